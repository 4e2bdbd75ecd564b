"""How a process learns that another one has committed, without asking again and again.

SQLite tells a connection whether another one has committed; Postgres sends a notification.
"""

from __future__ import annotations

import time
from typing import Protocol

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

#: The Postgres channel on which a wake-up is announced, for those who execute.
CHANNEL = "fastgraph_wakeup"
#: The one on which every change of a run is announced, for those who watch.
CHANGES = "fastgraph"
_STEP_SECONDS = 0.01  # between two looks at SQLite, each about 6 µs


class Doorbell(Protocol):
    """Tells of commits. It may ring for nothing, but a commit that was made after the last answer
    always makes it ring."""

    def wait(self, seconds: float) -> bool:
        """Whether it rang, waiting at most `seconds`."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


def announce(channel: str = CHANGES) -> None:
    """Ring with the commit of the transaction that is open on the default database. On SQLite the
    commit itself is what rings."""
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [channel])


def doorbell(alias: str) -> Doorbell:
    """The doorbell of the database `alias`, on a connection of its own that stays open."""
    connection = connections.create_connection(alias)
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        connection.set_autocommit(True)
        return Notified(connection)
    return DataVersion(connection)


class DataVersion:
    """SQLite's `PRAGMA data_version`: changes when another connection commits anything."""

    def __init__(self, database: BaseDatabaseWrapper) -> None:
        self._database = database
        self._seen = self._version()

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (version := self._version()) == self._seen:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(_STEP_SECONDS, left))
        self._seen = version
        return True

    def close(self) -> None:
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
