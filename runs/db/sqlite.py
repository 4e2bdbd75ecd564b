"""The dialect of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.core.checks import CheckMessage, Error
from django.db.backends.base.base import BaseDatabaseWrapper

from runs.db.columns import Row
from runs.db.error_kinds import ErrorKind
from runs.db.sqlite3 import database_file
from runs.db.writes import Write

_ERRORS: Mapping[int, ErrorKind] = {
    sqlite3.SQLITE_FULL: ErrorKind.FULL,
    sqlite3.SQLITE_CORRUPT: ErrorKind.DAMAGED,
    sqlite3.SQLITE_NOTADB: ErrorKind.DAMAGED,
    sqlite3.SQLITE_IOERR: ErrorKind.UNREADABLE,
    sqlite3.SQLITE_CANTOPEN: ErrorKind.REFUSED,
    sqlite3.SQLITE_READONLY: ErrorKind.REFUSED,
    sqlite3.SQLITE_PERM: ErrorKind.REFUSED,
    sqlite3.SQLITE_BUSY: ErrorKind.LOCKED,
    sqlite3.SQLITE_LOCKED: ErrorKind.LOCKED,
}


def sqlite_id(text: str) -> str:
    """An id as Django stores it: 32 hexadecimal digits."""
    if len(text) != 36:  # Postgres would refuse it, SQLite keep it
        raise ValueError(f"{text!r} is no id.")
    return text.replace("-", "")


def sqlite_timestamp(moment: datetime) -> str:
    """A time as Django stores it: UTC, without an offset."""
    if moment.tzinfo is UTC:  # as nearly all of them are
        return moment.isoformat(" ")[:-6]
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


class Sqlite:
    """SQLite by Python's own driver, on a file or in memory."""

    name = "sqlite"
    locks_whole_database = True
    adapters: Mapping[type, Callable[[Any], Any]] = {
        UUID: lambda value: f"{value.int:032x}",
        datetime: sqlite_timestamp,
        bytes: bytes.decode,
    }

    def id(self, text: str) -> str:
        return sqlite_id(text)

    def time(self, moment: datetime) -> Any:
        return sqlite_timestamp(moment)

    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        return connection.connection.cursor()

    def driver_sql(self, statement: str) -> str:
        if "%%" not in statement:
            return statement.replace("%s", "?")
        return "%".join(part.replace("%s", "?") for part in statement.split("%%"))

    @contextmanager
    def begin(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        raw = connection.connection
        with connection.wrap_database_errors:
            # IMMEDIATE: two transactions that read and then write would fail each other.
            raw.execute("BEGIN IMMEDIATE")
            try:
                yield
                database_file.check_before_commit(connection)
                raw.execute("COMMIT")
                database_file.check_after_commit(connection)
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")

    def fetch(
        self, connection: BaseDatabaseWrapper, statement: str, params: Sequence[Any]
    ) -> list[Row]:
        with connection.wrap_database_errors:
            cursor = connection.connection.cursor()
            cursor.execute(self.driver_sql(statement), params)
            return list(cursor.fetchall())

    def write(self, connection: BaseDatabaseWrapper, write: Write) -> None:
        with connection.wrap_database_errors:
            cursor = connection.connection.cursor()
            cursor.executemany(self.driver_sql(write.statement), write.rows)

    def bind(self, statement: str, params: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        return statement, params

    def lock_rows(
        self, select: str, *, key: str, where: str, ids: Sequence[str]
    ) -> tuple[str, Sequence[Any]]:
        # Nothing to lock: the transaction holds the whole database.
        places = ", ".join(["%s"] * len(ids))
        return f"{select} WHERE {where} AND {key} IN ({places})", ids

    def lock_counters(self, connection: BaseDatabaseWrapper) -> None:
        """Nothing to do: the transaction holds the whole database."""

    def limit_idle(self, connection: BaseDatabaseWrapper, seconds: float, *, local: bool) -> None:
        """Nothing to do: whoever stops with a transaction is ended by the sweep."""

    def pairs_table(self) -> str:
        return "(SELECT key AS id, value AS head FROM json_each(%s))"

    def pairs(self, heads: Mapping[UUID, int]) -> Sequence[Any]:
        return [orjson.dumps({key.hex: head for key, head in heads.items()}).decode()]

    def unindexed(self, expression: str) -> str:
        return f"+{expression}"

    def byte_length(self, expression: str) -> str:
        if sqlite3.sqlite_version_info < (3, 43):
            return f"LENGTH(CAST({expression} AS BLOB))"
        return f"OCTET_LENGTH({expression})"

    def add_function(
        self, connection: BaseDatabaseWrapper, name: str, function: Callable[[Any], Any]
    ) -> None:
        connection.connection.create_function(name, 1, function, deterministic=True)

    def error_kind(self, error: BaseException) -> ErrorKind:
        code = getattr(error.__cause__, "sqlite_errorcode", None)
        if code is None:
            return ErrorKind.OTHER
        return _ERRORS.get(code & 0xFF, ErrorKind.OTHER)

    def issues(self, config: Mapping[str, Any]) -> list[CheckMessage]:
        """runs.E002: transactions that are not IMMEDIATE."""
        mode = str(config.get("OPTIONS", {}).get("transaction_mode", "")).upper()
        if mode in ("IMMEDIATE", "EXCLUSIVE"):
            return []
        return [
            Error(
                "SQLite transactions are not IMMEDIATE: two writers will fail each other.",
                hint="Take over DATABASES['default']['OPTIONS'] of fastgraph_site.settings.",
                id="runs.E002",
            )
        ]

    def live_issues(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        """runs.E003: without a write-ahead log readers block the writer. SQLite falls back silently
        where the file system has no shared memory."""
        with connection.cursor() as cursor:
            mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
        if mode in ("wal", "memory"):  # a database in memory has no file, hence no log
            return []
        return [
            Error(
                f"SQLite keeps its journal as {mode!r} instead of 'wal'.",
                hint="Put FASTGRAPH_DATA_DIR on a local disk (not NFS), or use Postgres.",
                id="runs.E003",
            )
        ]
