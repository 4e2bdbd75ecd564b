"""The change listener of the database (`runs.notify.changes`) on an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from django.db import DEFAULT_DB_ALIAS

from runs.notify.changes import WATCHERS, ChangeListener, listen
from streaming.listening.listeners import OnChange


class DatabaseChanges:
    """Reports the commits of other connections to the database, in this process and in others."""

    async def listen(self, on_change: OnChange) -> None:
        async with _opened() as changes:
            with _readable(changes) as readable:
                on_change()
                while True:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(changes.poll_seconds):
                            await readable.wait()
                    readable.clear()
                    # On the event loop: it reads a socket or a counter, and never waits.
                    if (ended := changes.poll()) is not None:
                        on_change(ended=ended)


@asynccontextmanager
async def _opened() -> AsyncIterator[ChangeListener]:
    """A listener that is opened in a thread, as connecting may take long."""
    opening = _Opening()
    try:
        changes = await asyncio.to_thread(opening.open)
    except asyncio.CancelledError:
        opening.abandon()
        raise
    try:
        yield changes
    finally:
        changes.close()


class _Opening:
    """A listener that is being opened in a thread. The thread outlives the task that waits for it,
    and even the event loop: whichever of both comes last closes an abandoned listener."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = False
        self._opened: ChangeListener | None = None

    def open(self) -> ChangeListener:
        changes = listen(DEFAULT_DB_ALIAS, WATCHERS)
        with self._lock:
            self._opened = changes
            if self._abandoned:
                changes.close()
        return changes

    def abandon(self) -> None:
        """Close the listener, now or once it is open."""
        with self._lock:
            self._abandoned = True
            if self._opened is not None:
                self._opened.close()


@contextmanager
def _readable(changes: ChangeListener) -> Iterator[asyncio.Event]:
    """An event that is set when the descriptor of `changes` is readable."""
    event = asyncio.Event()
    descriptor = changes.fileno()
    if descriptor is None:
        yield event
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, event.set)
    try:
        yield event
    finally:
        loop.remove_reader(descriptor)
