"""Whether the database is there and up to date: what has to be true before a command uses it."""

from __future__ import annotations

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, Error, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from runs.db.error_kinds import ErrorKind
from runs.db.errors import TRANSIENT, error_kind, explain


def missing_migrations(database: BaseDatabaseWrapper | None = None) -> int:
    """How many migrations `database` (the default one) lacks; CommandError when it cannot say."""
    connection = database or connections[DEFAULT_DB_ALIAS]
    try:
        executor = MigrationExecutor(connection)
        return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except TRANSIENT as error:
        raise CommandError(fault(error) or _unanswered(error)) from error


def fault(error: Error) -> str:
    """What is wrong with the database and what to do, in a sentence; empty when `error` is about
    what was asked of it."""
    if why := explain(error):
        return why
    match error_kind(error):
        case ErrorKind.LOCKED:
            return "The database is locked by another process. Try again when that is done."
        case ErrorKind.UNREACHABLE:
            return _unreachable(error)
    # Our own refusals of a file have no error of a driver behind them.
    refused = isinstance(error, OperationalError) and error.__cause__ is None
    return _unreachable(error) if refused else ""


def _unreachable(error: Error) -> str:
    return (
        f"The database cannot be reached: {_line(error)} "
        "Check DATABASE_URL, and that the database server runs."
    )


def _unanswered(error: Error) -> str:
    return f"The database does not say which migrations it has: {_line(error)}"


def _line(error: Error) -> str:
    return " ".join(str(error).split())


def require_migrated(database: BaseDatabaseWrapper | None = None) -> None:
    """Refuse when `database` (the default one) cannot say what it has, or lacks a migration."""
    if lacking := missing_migrations(database):
        raise CommandError(
            f"The database lacks {lacking} of its migrations. Start the server with `make run`, or "
            "run: .venv/bin/python manage.py migrate"
        )
