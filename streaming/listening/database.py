"""The change listener of the database (`runs.notify.changes`) on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

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
    opening = asyncio.ensure_future(asyncio.to_thread(partial(listen, DEFAULT_DB_ALIAS, WATCHERS)))
    try:
        changes = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_if_opened)
        raise
    try:
        yield changes
    finally:
        changes.close()


def _close_if_opened(opening: asyncio.Task[ChangeListener]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


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
