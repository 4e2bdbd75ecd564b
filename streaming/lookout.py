"""The rhythm of looking: at once, whenever the doorbell rings, and now and then anyway."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from streaming.doorbell import Doorbells

logger = logging.getLogger(__name__)

AFTER_ERROR = 1.0  # seconds until the next look after one that failed


class Lookout:
    """Calls `look` for as long as `wanted()`, and not at all when not.

    `look` says whether there may be more to see at once. `pause` is the least time between two
    looks, `slow_poll` the most. With `ends_only`, it hears of what may have ended a run, and of
    nothing else. A look that raises is logged, and looked again.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[bool]],
        wanted: Callable[[], bool],
        doorbells: Doorbells,
        *,
        slow_poll: float,
        pause: float = 0.0,
        ends_only: bool = False,
    ) -> None:
        self._look = look
        self._wanted = wanted
        self._doorbells = doorbells
        self._slow_poll = slow_poll
        self._pause = pause
        self._ends_only = ends_only
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def kick(self) -> None:
        """Look now; or, when nothing is wanted any more, stop looking now."""
        self._moved.set()
        if self._wanted() and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop looking, whatever is wanted."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        with self._doorbells.heard_by(self._moved, ends_only=self._ends_only):
            while self._wanted():
                # Cleared before the look: what is committed during it rings for the next one.
                self._moved.clear()
                if not await self._look_safely():
                    await asyncio.sleep(self._pause)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._slow_poll):
                            await self._moved.wait()

    async def _look_safely(self) -> bool:
        try:
            return await self._look()
        except Exception:
            logger.exception("A look at the database failed; the next is in a moment.")
            await asyncio.sleep(AFTER_ERROR)
            return True
