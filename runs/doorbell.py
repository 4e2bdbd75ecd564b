"""How a process learns that another one has committed, without asking again and again.

SQLite tells a connection whether another one has committed; Postgres sends a notification.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from runs import bells

#: The Postgres channel on which a wake-up is announced, for those who execute.
CHANNEL = "fastgraph_wakeup"
#: The one on which every change of a run is announced, for those who watch.
CHANGES = "fastgraph"
#: What it says there when no run has ended.
MOVED = "moved"
#: Between two looks at SQLite that nobody rang for, each some 10 µs; the second when nothing has
#: moved for a while: who waits for nothing in particular is most of what an idle server costs.
LOOK_SECONDS, QUIET_LOOK_SECONDS = 0.01, 0.025
QUIET_AFTER = 0.3  # seconds


#: Told of each commit on a thread of a worker, and whether a run has ended with it: it must not
#: block, nor raise.
Hint = Callable[[bool], object]


class Doorbell(Protocol):
    """Tells of commits. It may ring for nothing, but a commit that was made after the last answer
    always makes it ring."""

    def wait(self, seconds: float) -> bool:
        """Whether it rang, waiting at most `seconds`."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


def announce(channel: str = CHANGES, *, ended: bool = True) -> None:
    """Ring with the commit of the transaction that is open on the default database, and say whether
    a run may have `ended` with it. On SQLite `rows.written` rings for its own. Where nothing rings,
    the commit is noticed a little later."""
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor == "sqlite":
        if connection.in_atomic_block:
            transaction.on_commit(partial(bells.ring, ended=ended), robust=True)
    else:
        connection.ensure_connection()
        # A cursor of the driver: planned once, where Django's would be anew each time.
        with connection.wrap_database_errors:
            psycopg.Cursor(connection.connection).execute(
                "SELECT pg_notify(%s, %s)", [channel, "" if ended else MOVED]
            )


def doorbell(alias: str, *, rung: bool = False) -> Doorbell:
    """The doorbell of the database `alias`, on a connection of its own that stays open. On SQLite
    it looks every now and then; one that is to be `rung` also when a process of ours committed."""
    connection = connections.create_connection(alias)
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        connection.set_autocommit(True)
        return Notified(connection)
    return DataVersion(connection, rung=rung)


class DataVersion:
    """SQLite's `PRAGMA data_version`: changes when another connection commits anything."""

    def __init__(self, database: BaseDatabaseWrapper, *, rung: bool = False) -> None:
        self._database = database
        self._bell: bells.Bell | None = None
        if rung:
            with suppress(OSError):
                self._bell = bells.Bell(bells.folder())
        self._seen = self._version()
        self._moved_at = time.monotonic()

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (version := self._version()) == self._seen:
            now = time.monotonic()
            if now >= deadline:
                return False
            quiet = now - self._moved_at > QUIET_AFTER
            self._rest(min(QUIET_LOOK_SECONDS if quiet else LOOK_SECONDS, deadline - now))
        self._seen = version
        self._moved_at = time.monotonic()
        return True

    def _rest(self, seconds: float) -> None:
        if self._bell is None:
            time.sleep(seconds)
        else:
            self._bell.wait(seconds)

    def close(self) -> None:
        if self._bell is not None:
            self._bell.close()
        self._database.close()

    def _version(self) -> int:
        # Past Django's cursor, which costs several times as much as the question.
        with self._database.wrap_database_errors:
            return int(self._database.connection.execute("PRAGMA data_version").fetchone()[0])


class Notified:
    """Postgres' LISTEN / NOTIFY."""

    def __init__(self, database: BaseDatabaseWrapper) -> None:
        self._database = database
        with database.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")

    def wait(self, seconds: float) -> bool:
        with self._database.wrap_database_errors:
            notifies = self._database.connection.notifies(timeout=seconds, stop_after=1)
            return any(True for _ in notifies)

    def close(self) -> None:
        self._database.close()
