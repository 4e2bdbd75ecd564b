"""A transaction of Postgres in which statements do not wait for the answers of those before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper

from runs.db import postgres_bulk
from runs.db.columns import Row
from runs.db.writes import Write

#: Up to so many rows in all are quickest one by one, in a pipeline; more of them with one COPY or
#: `unnest` a table (docs/performance.md has the figures).
PIPELINE_MAX_ROWS = 40

_PIPELINE = "fastgraph_pipeline"  # an attribute of the connection


class Pipeline:
    """Collects large writes until they have to be sent. Then it is known how many rows it is, and
    so whether they go through the pipeline or, without one, by COPY."""

    def __init__(self, connection: BaseDatabaseWrapper, stack: ExitStack) -> None:
        self._connection = connection
        self._stack = stack
        self._pipeline = stack.enter_context(connection.connection.pipeline())
        self._is_open = True
        self._rows = 0  # of all writes
        self._writes: list[Write] = []  # those that are not sent

    def fetch(self, statement: str, params: Sequence[Any]) -> list[Row]:
        """The rows that `statement` gives, after all that was written before."""
        self.send()
        cursor = psycopg.Cursor(self._connection.connection)
        cursor.execute(statement, params)
        self._sync()
        return list(cursor.fetchall())

    def add(self, write: Write) -> None:
        """Write this before the next `fetch`, or with `send`. Few rows go at once: they go one by
        one in any case, and the server is at work on them while the next are made."""
        self._rows += len(write.rows)
        if self._writes or len(write.rows) >= postgres_bulk.COPY_MIN_ROWS:
            self._writes.append(write)
        else:
            self.write(self._connection, write)

    def send(self) -> None:
        """Write what was added and not sent. COPY has no pipeline: many rows end it."""
        writes, self._writes = self._writes, []
        if writes and self._rows > PIPELINE_MAX_ROWS:
            self._leave()
        for write in writes:
            self.write(self._connection, write)

    @staticmethod
    def write(connection: BaseDatabaseWrapper, write: Write) -> None:
        """Write now: in one statement where that is possible and worth it."""
        if write.in_bulk is not None and postgres_bulk.should_use(connection, write.rows):
            write.in_bulk()
        else:
            psycopg.Cursor(connection.connection).executemany(write.statement, write.rows)

    def around_django(
        self,
        execute: Callable[..., Any],
        statement: str,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any:
        """Execute a statement of Django's, which knows nothing of a pipeline: after an error it
        rolls back to a savepoint and goes on, which a pipeline cannot."""
        self.send()
        if not str(statement).startswith("SELECT"):
            self._leave()
        answer = execute(statement, params, many, context)
        self._sync()
        return answer

    def _sync(self) -> None:
        # More than reading needs: a process that stands still from here on is idle in a
        # transaction for Postgres, which ends it (`idle_timeout`).
        if self._is_open:
            self._pipeline.sync()

    def _leave(self) -> None:
        if self._is_open:
            self._is_open = False
            self._stack.close()


def opened(connection: BaseDatabaseWrapper) -> Pipeline | None:
    """The pipeline of the transaction that is open on the connection."""
    found: Pipeline | None = getattr(connection, _PIPELINE, None)
    return found


@contextmanager
def open_pipeline(connection: BaseDatabaseWrapper, pipeline: Pipeline) -> Iterator[None]:
    """`opened` in the block, where Django's statements pass through it too."""
    # Not in `vars`: `django.db.connection` stands for a connection of each thread.
    setattr(connection, _PIPELINE, pipeline)
    connection.execute_wrappers.append(pipeline.around_django)
    try:
        yield
    finally:
        delattr(connection, _PIPELINE)
        connection.execute_wrappers.remove(pipeline.around_django)
