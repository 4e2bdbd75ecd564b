"""The parts of a node call that are recorded when they end: steps, tasks and graphs.

A question beside them ends the call, which waits for them before: what ended between its effect and
its record would be done again with the answer.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any


class Parts:
    """Those of one call that run now, each with the asyncio task that it runs in."""

    __slots__ = ("_loop", "_running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: dict[Any, asyncio.Task[Any] | None] = {}

    def one(self) -> _Part:
        """In the block a part runs, in the present task."""
        return _Part(self._running, self._loop.create_future())

    def one_in_thread(self) -> _Part:
        """The same in a thread."""
        return _Part(self._running, Future())

    async def over(self) -> None:
        """Wait until none runs."""
        if running := list(self._running):
            await asyncio.wait([in_loop(one) for one in running])

    def cancel(self) -> None:
        """Stop those that run in other tasks."""
        if self._running:
            own = asyncio.current_task()
            for task in list(self._running.values()):
                if task is not None and task is not own:
                    task.cancel()


class _Part:
    """No generator: contextlib sets an attribute on the error that leaves the block, which that of
    a frozen dataclass does not take."""

    __slots__ = ("_over", "_running")

    def __init__(self, running: dict[Any, asyncio.Task[Any] | None], over: Any) -> None:
        self._running = running
        self._over = over

    def __enter__(self) -> None:
        is_task = not isinstance(self._over, Future)
        self._running[self._over] = asyncio.current_task() if is_task else None

    def __exit__(self, *error: object) -> None:
        del self._running[self._over]
        self._over.set_result(None)


def in_loop(running: Any) -> asyncio.Future[Any]:
    """Something that was begun, as a future of the event loop."""
    return asyncio.wrap_future(running) if isinstance(running, Future) else running
