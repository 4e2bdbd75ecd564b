"""How a process learns of the commits of other processes. One listener per kind of database serves
the workers, the queue and the streams.

Postgres has NOTIFY. SQLite has a counter of commits; processes of one host notify each other with
pipes.
"""

from __future__ import annotations

import select
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError

from runs.notify import pipes

#: The Postgres channel for processes that execute runs: there may be work.
WORKERS = "fastgraph_wakeup"
#: The Postgres channel for processes that watch runs: a run changed.
WATCHERS = "fastgraph"
#: The payload of a notification if no run has ended. Otherwise it is empty.
NOT_ENDED = "moved"
#: Between two polls of SQLite; each costs some 10 µs.
POLL_SECONDS = 0.01
#: The same once nothing has changed for `QUIET_AFTER_SECONDS`. These polls are most of what an idle
#: server costs.
QUIET_POLL_SECONDS = 0.025
QUIET_AFTER_SECONDS = 0.3

#: Called for each commit of a worker, on one of its threads, with whether a run has ended. It must
#: not block and must not raise.
CommitHint = Callable[[bool], object]


class ChangeListener(Protocol):
    """Reports commits from its construction on. It may report a commit that did not happen; it
    never misses one that was made after the last report."""

    @property
    def poll_seconds(self) -> float | None:
        """After how long `poll` is worth a call although `fileno` is not readable; None: never."""
        ...

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when there may be a change; None: there is none."""
        ...

    def poll(self) -> bool | None:
        """Return None if nothing changed since the last report, and otherwise whether a run may
        have ended. Never waits. Raises DatabaseError if the connection is lost."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for a change; return whether there was one."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...


def notify_changes(*, ended: bool = True) -> None:
    """Notify the watchers when the open transaction of the default database commits, and whether a
    run may have `ended` with it. On SQLite `rows.written` does so by itself. A commit without a
    notification is noticed a little later."""
    _notify(WATCHERS, ended)


def notify_workers() -> None:
    """Notify the workers of work when the open transaction of the default database commits."""
    _notify(WORKERS, ended=False)


def listen(alias: str, channel: str, *, prompt: bool = True) -> ChangeListener:
    """A listener on a connection of its own to the database `alias`, for the `channel` WORKERS or
    WATCHERS. If it is not `prompt`, it learns of a commit on SQLite by polling alone."""
    database = connections.create_connection(alias)
    database.ensure_connection()
    try:
        return _LISTENERS[database.vendor](database, channel, prompt=prompt)
    except BaseException:
        _close(database)
        raise


def _notify(channel: str, ended: bool) -> None:
    database = connections[DEFAULT_DB_ALIAS]
    _LISTENERS[database.vendor].notify(database, channel, ended=ended)


class SqliteChanges:
    """Polls `PRAGMA data_version`, a counter in shared memory that moves with the commits of every
    other connection, in this process and in others. A notification by pipe makes it poll at once.
    """

    def __init__(self, database: BaseDatabaseWrapper, channel: str, *, prompt: bool = True) -> None:
        self._database = database
        database.connection.execute("PRAGMA busy_timeout = 0")  # `poll` never waits
        self._pipe: pipes.PipeListener | None = None
        if prompt:
            with suppress(OSError):  # no pipes on this file system: polling alone will do
                self._pipe = pipes.PipeListener(pipes.folder(), own_ends=channel == WATCHERS)
        self._version = self._read_version()
        self._changed_at = time.monotonic()

    @staticmethod
    def notify(database: BaseDatabaseWrapper, channel: str, *, ended: bool) -> None:
        """Notify all listeners of this host with the commit of the open transaction."""
        if database.in_atomic_block:
            transaction.on_commit(partial(pipes.notify, ended=ended), robust=True)

    @property
    def poll_seconds(self) -> float:
        quiet = time.monotonic() - self._changed_at > QUIET_AFTER_SECONDS
        return QUIET_POLL_SECONDS if quiet else POLL_SECONDS

    def fileno(self) -> int | None:
        return self._pipe.fileno() if self._pipe else None

    def poll(self) -> bool | None:
        ended = self._pipe.drain() if self._pipe else None
        version = self._read_version()
        # An end is reported even if its commit was seen before its notification.
        if version == self._version and version is not None and not ended:
            return None
        self._version = version
        self._changed_at = time.monotonic()
        return ended is not False  # nobody notified: the commit may have ended a run

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._pause(min(self.poll_seconds, left))
        return True

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        _close(self._database)

    def _pause(self, seconds: float) -> None:
        if self._pipe is None:
            time.sleep(seconds)
        else:
            self._pipe.wait(seconds)

    def _read_version(self) -> int | None:
        """The counter; None while the database is locked as a whole, which may mean a change."""
        raw = self._database.connection
        try:
            # Without Django's cursor, which costs several times as much as the question.
            with self._database.wrap_database_errors:
                return int(raw.execute("PRAGMA data_version").fetchone()[0])
        except OperationalError as error:
            code = getattr(error.__cause__, "sqlite_errorcode", 0)
            if code & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return None


class PostgresChanges:
    """LISTENs on one channel."""

    poll_seconds = None

    def __init__(self, database: BaseDatabaseWrapper, channel: str, *, prompt: bool = True) -> None:
        self._database = database
        database.set_autocommit(True)
        with database.cursor() as cursor:
            cursor.execute(f"LISTEN {channel}")
        self._readable = select.poll()
        self._readable.register(self.fileno(), select.POLLIN)

    @staticmethod
    def notify(database: BaseDatabaseWrapper, channel: str, *, ended: bool) -> None:
        """Notify all listeners on `channel` with the commit of the open transaction."""
        database.ensure_connection()
        # A cursor of the driver plans the statement once, Django's each time.
        with database.wrap_database_errors:
            payload = "" if ended else NOT_ENDED
            psycopg.Cursor(database.connection).execute(
                "SELECT pg_notify(%s, %s)", [channel, payload]
            )

    def fileno(self) -> int:
        return int(self._database.connection.fileno())

    def poll(self) -> bool | None:
        libpq = self._database.connection.pgconn
        with self._database.wrap_database_errors:
            libpq.consume_input()
        payloads: list[bytes] = []
        while (notification := libpq.notifies()) is not None:
            payloads.append(notification.extra)
        return any(payload != NOT_ENDED.encode() for payload in payloads) if payloads else None

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._readable.poll(left * 1000)
        return True

    def close(self) -> None:
        _close(self._database)


_LISTENERS: dict[str, type[SqliteChanges | PostgresChanges]] = {
    "sqlite": SqliteChanges,
    "postgresql": PostgresChanges,
}


def _close(database: Any) -> None:
    """Close the connection as its driver does: Django's `close` may not be called on an event
    loop."""
    database.connection.close()
    database.connection = None
