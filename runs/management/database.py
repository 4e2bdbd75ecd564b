"""Whether the database is there and up to date: what has to be true before a command uses it."""

from __future__ import annotations

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor


def missing_migrations(database: BaseDatabaseWrapper | None = None) -> int:
    """How many migrations `database` (the default one) lacks; CommandError when it cannot be
    reached."""
    connection = database or connections[DEFAULT_DB_ALIAS]
    try:
        executor = MigrationExecutor(connection)
        return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError as error:
        raise CommandError(
            f"The database cannot be reached: {' '.join(str(error).split())} "
            "Check DATABASE_URL, and that the database server runs."
        ) from error


def require_migrated(database: BaseDatabaseWrapper | None = None) -> None:
    """Refuse when `database` (the default one) cannot be reached, or lacks a migration."""
    if lacking := missing_migrations(database):
        raise CommandError(
            f"The database lacks {lacking} of its migrations. Start the server with `make run`, or "
            "run: .venv/bin/python manage.py migrate"
        )
