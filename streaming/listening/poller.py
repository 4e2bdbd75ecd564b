"""When to look at the database: at once, at each notification, and now and then anyway."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from streaming.listening.listeners import ChangeListeners

logger = logging.getLogger(__name__)

AFTER_ERROR_SECONDS = 1.0  # until the next look after one that failed


class Poller:
    """Calls `look` while `is_needed()`, and not at all otherwise.

    `look` returns whether there may be more to see at once. `pause` is the least time between two
    looks, `slow_poll` the longest, in seconds. With `ends_only` only the notifications after which
    a run may have ended cause a look. A look that raises is logged and repeated.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[bool]],
        is_needed: Callable[[], bool],
        listeners: ChangeListeners,
        *,
        slow_poll: float,
        pause: float = 0.0,
        ends_only: bool = False,
    ) -> None:
        self._look = look
        self._is_needed = is_needed
        self._listeners = listeners
        self._slow_poll = slow_poll
        self._pause = pause
        self._ends_only = ends_only
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look now; or stop now if that is no longer needed."""
        self._changed.set()
        if self._is_needed() and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, whether or not looks are needed."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        with self._listeners.subscribe(self._changed, ends_only=self._ends_only):
            while self._is_needed():
                # Cleared before the look: a commit during it causes the next one.
                self._changed.clear()
                if not await self._look_safely():
                    await asyncio.sleep(self._pause)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._slow_poll):
                            await self._changed.wait()

    async def _look_safely(self) -> bool:
        try:
            return await self._look()
        except Exception:
            logger.exception("A look at the database failed; the next is in a moment.")
            await asyncio.sleep(AFTER_ERROR_SECONDS)
            return True
