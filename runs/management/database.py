"""Whether the database is there and up to date: what has to be true before a command uses it."""

from __future__ import annotations

import sqlite3

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from runs.outages import explain, sqlstate

#: Postgres' codes, or how they begin, of a server that lets nobody in: connections fail, a login is
#: refused, it is shut down, it has no connection left.
_AWAY = ("08", "28", "57P", "53300")


def missing_migrations(database: BaseDatabaseWrapper | None = None) -> int:
    """How many migrations `database` (the default one) lacks; CommandError when it cannot say."""
    connection = database or connections[DEFAULT_DB_ALIAS]
    try:
        executor = MigrationExecutor(connection)
        return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError as error:
        raise CommandError(fault(error) or _unanswered(error)) from error


def fault(error: DatabaseError) -> str:
    """What is wrong with the database and what to do, in a sentence; empty when `error` is about
    what was asked of it."""
    if why := explain(error):
        return why
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    if code is not None:
        locked = code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        return "The database is locked by another process. Try again when that is done." * locked
    state = sqlstate(error)
    if not isinstance(error, OperationalError) or (state and not state.startswith(_AWAY)):
        return ""
    return (
        f"The database cannot be reached: {_line(error)} "
        "Check DATABASE_URL, and that the database server runs."
    )


def _unanswered(error: DatabaseError) -> str:
    return f"The database does not say which migrations it has: {_line(error)}"


def _line(error: DatabaseError) -> str:
    return " ".join(str(error).split())


def require_migrated(database: BaseDatabaseWrapper | None = None) -> None:
    """Refuse when `database` (the default one) cannot say what it has, or lacks a migration."""
    if lacking := missing_migrations(database):
        raise CommandError(
            f"The database lacks {lacking} of its migrations. Start the server with `make run`, or "
            "run: .venv/bin/python manage.py migrate"
        )
