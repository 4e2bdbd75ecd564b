"""The dialect of Postgres."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import psycopg
from django.core.checks import CheckMessage
from django.db import InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql
from psycopg.pq import TransactionStatus

from runs.db.columns import Row
from runs.db.error_kinds import ErrorKind
from runs.db.postgres_pipeline import Pipeline, open_pipeline, opened
from runs.db.writes import Write

#: The advisory lock of those who count running runs: an arbitrary number.
_COUNTERS = 0x66_67_6C_69_6D_69_74
_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
_PLACE = re.compile(r"%(.)", re.DOTALL)

_ERRORS: Mapping[str, ErrorKind] = {
    "53100": ErrorKind.FULL,
    "XX001": ErrorKind.DAMAGED,
    "XX002": ErrorKind.DAMAGED,
    # A transaction was idle for too long (`idle_timeout`), or took too long. For psycopg these are
    # internal errors.
    "25P03": ErrorKind.ENDED,
    "25P04": ErrorKind.ENDED,
}
#: Codes, or how they begin, of a server that lets nobody in: connections fail, a login is refused,
#: it is shut down, it has no connection left.
_UNREACHABLE = ("08", "28", "57P", "53300")


class Postgres:
    """Postgres by psycopg 3."""

    name = "postgresql"
    locks_whole_database = False
    adapters: Mapping[type, Callable[[Any], Any]] = {bytes: bytes.decode}

    def id(self, text: str) -> str:
        return text

    def time(self, moment: datetime) -> Any:
        return moment

    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        # Not Django's: statements of this one are planned once a connection.
        return psycopg.Cursor(connection.connection)

    def driver_sql(self, statement: str) -> str:
        return statement

    @contextmanager
    def begin(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """One round trip for each `fetch`, BEGIN with the first, and one for all writes and COMMIT.
        The first error of a write is raised at the next `fetch` or at the end."""
        raw = connection.connection
        with connection.wrap_database_errors:
            try:
                with ExitStack() as stack:
                    pipeline = Pipeline(connection, stack)
                    self.cursor(connection).execute("BEGIN")
                    with open_pipeline(connection, pipeline):
                        yield
                        pipeline.send()
                    self.cursor(connection).execute("COMMIT")
            finally:
                if raw.info.transaction_status in _OPEN:
                    raw.rollback()

    def fetch(
        self, connection: BaseDatabaseWrapper, statement: str, params: Sequence[Any]
    ) -> list[Row]:
        if (pipeline := opened(connection)) is not None:
            return pipeline.fetch(statement, params)
        with connection.wrap_database_errors:
            cursor = self.cursor(connection)
            cursor.execute(statement, params)
            return list(cursor.fetchall())

    def write(self, connection: BaseDatabaseWrapper, write: Write) -> None:
        if (pipeline := opened(connection)) is not None:
            return pipeline.add(write)
        with connection.wrap_database_errors:
            Pipeline.write(connection, write)

    def bind(self, statement: str, params: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        # As a part of the text: a plan for any status fits no partial index.
        left = iter(params)

        def replaced(place: re.Match[str]) -> str:
            return sql_literal(next(left)) if place[1] == "s" else place[0]

        return _PLACE.sub(replaced, statement), ()

    def lock_rows(
        self, select: str, *, key: str, where: str, ids: Sequence[str]
    ) -> tuple[str, Sequence[Any]]:
        rows = f"{where} AND {key} = ANY(%s::uuid[])"
        return f"{select} WHERE {rows} ORDER BY {key} FOR UPDATE", [ids]

    def lock_counters(self, connection: BaseDatabaseWrapper) -> None:
        # Who has this lock sees, with the next statement, all that those before it have counted.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_COUNTERS])

    def limit_idle(self, connection: BaseDatabaseWrapper, seconds: float, *, local: bool) -> None:
        scope = "LOCAL " if local else ""
        milliseconds = max(1, int(seconds * 1000))
        with connection.cursor() as cursor:
            cursor.execute(f"SET {scope}idle_in_transaction_session_timeout = {milliseconds}")

    def pairs_table(self) -> str:
        return "(SELECT * FROM unnest(%s::uuid[], %s::bigint[]) AS pairs (id, head))"

    def pairs(self, heads: Mapping[Any, int]) -> Sequence[Any]:
        return [list(heads), list(heads.values())]

    def unindexed(self, expression: str) -> str:
        return expression  # the planner knows better

    def byte_length(self, expression: str) -> str:
        return f"OCTET_LENGTH({expression})"

    def add_function(
        self, connection: BaseDatabaseWrapper, name: str, function: Callable[[Any], Any]
    ) -> None:
        """Nothing to do: SQL has what we need."""

    def error_kind(self, error: BaseException) -> ErrorKind:
        state = str(getattr(error.__cause__, "sqlstate", None) or "")
        if not state and not isinstance(error.__cause__, psycopg.Error):
            return ErrorKind.OTHER
        if state in _ERRORS:
            return _ERRORS[state]
        if state.startswith("54"):  # for psycopg, an operational error
            return ErrorKind.TOO_LARGE
        away = state.startswith(_UNREACHABLE) if state else True
        if away and isinstance(error, OperationalError | InterfaceError):
            return ErrorKind.UNREACHABLE
        return ErrorKind.OTHER

    def issues(self, config: Mapping[str, Any]) -> list[CheckMessage]:
        return []

    def live_issues(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        return []


def sql_literal(value: Any) -> str:
    """A value as a part of a statement that is executed with parameters: its `%` are doubled."""
    literal = sql.Literal(str(value) if isinstance(value, str) else value)
    return literal.as_string().replace("%", "%%")
