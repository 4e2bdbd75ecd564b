"""The doorbell of SQLite: a counter that says whether any other connection has committed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from runs import bells
from streaming.doorbell import Ring

INTERVAL = 0.01  # seconds between two looks at the counter that nobody rang for; each some 6 µs


class DataVersion:
    """Asks `PRAGMA data_version` again and again, on a connection of its own that stays open: the
    counter is relative to the connection that asks, and moves with the commits of all others, in
    this process and in any other. Whoever commits in another process of ours rings, too, and in
    this one when a run may have ended.

    The question is asked on the event loop: it reads a counter in shared memory and never waits
    for a lock.
    """

    def __init__(self, path: Path, interval: float = INTERVAL) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=rw"  # rw: never makes a missing database
        self._interval = interval

    async def listen(self, ring: Ring) -> None:
        with (
            closing(sqlite3.connect(self._uri, uri=True, timeout=0, isolation_level=None)) as own,
            _rung() as rang,
        ):
            known = read(own)
            ring()
            while True:
                rung, ended = await rang.wait(self._interval)
                version = read(own)
                # The end of a run is told even when its commit was seen before its bell was heard.
                if version != known or version is None or ended:
                    known = version
                    ring(ended=ended or not rung)  # who did not ring may have ended one


class _Rung:
    """What the bell said since it was last asked."""

    def __init__(self) -> None:
        self._rang = asyncio.Event()
        self._ended = False

    def hear(self, *, ended: bool) -> None:
        self._ended |= ended
        self._rang.set()

    async def wait(self, seconds: float) -> tuple[bool, bool]:
        """Whether one rang within so many seconds, and said that a run may have ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rang.wait()
        rung, ended = self._rang.is_set(), self._ended
        self._rang.clear()
        self._ended = False
        return rung, ended


@contextmanager
def _rung() -> Iterator[_Rung]:
    rang = _Rung()
    try:
        bell = bells.Bell(bells.folder(), own_ends=True)
    except OSError:  # no pipes here: the looks have to do
        yield rang
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(bell.fileno(), lambda: rang.hear(ended=bell.take()))
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
