"""The doorbell of SQLite: a counter that says whether any other connection has committed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from runs import bells

INTERVAL = 0.01  # seconds between two looks at the counter that nobody rang for; each some 6 µs


class DataVersion:
    """Asks `PRAGMA data_version` again and again, on a connection of its own that stays open: the
    counter is relative to the connection that asks, and moves with the commits of all others, in
    this process and in any other. Whoever commits in another process of ours rings, too.

    The question is asked on the event loop: it reads a counter in shared memory and never waits
    for a lock.
    """

    def __init__(self, path: Path, interval: float = INTERVAL) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=rw"  # rw: never makes a missing database
        self._interval = interval

    async def listen(self, ring: Callable[[], None]) -> None:
        with (
            closing(sqlite3.connect(self._uri, uri=True, timeout=0, isolation_level=None)) as own,
            _rung() as rang,
        ):
            known = read(own)
            ring()
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval):
                        await rang.wait()
                rang.clear()
                version = read(own)
                if version != known or version is None:
                    known = version
                    ring()


@contextmanager
def _rung() -> Iterator[asyncio.Event]:
    """Set whenever another process rings."""
    rang = asyncio.Event()
    try:
        bell = bells.Bell(bells.folder())
    except OSError:  # no pipes here: the looks have to do
        yield rang
        return
    loop = asyncio.get_running_loop()

    def hear() -> None:
        bell.clear()
        rang.set()

    loop.add_reader(bell.fileno(), hear)
    try:
        yield rang
    finally:
        loop.remove_reader(bell.fileno())
        bell.close()


def read(connection: sqlite3.Connection) -> int | None:
    """The counter; None when the database is locked as a whole, which is a reason to look too."""
    try:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return None
    return int(version)
