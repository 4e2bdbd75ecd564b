"""How a web process learns that a run changed, whichever process changed it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.1  # until a failed listener is started again; doubled each time …
LONGEST_RETRY_SECONDS = 5.0  # … up to this
LINGER_SECONDS = 1.0  # that listeners go on after the last subscriber has left


class OnChange(Protocol):
    """Called when a run may have changed, with whether one may have `ended`."""

    def __call__(self, *, ended: bool = True) -> None: ...


class Listener(Protocol):
    """One source of notifications. A notification means "look now": it may come without a change,
    and no subscriber may depend on it."""

    async def listen(self, on_change: OnChange) -> None:
        """Call `on_change` once when the listener is ready, as earlier changes are not reported,
        and then at each change. Returns only by raising or by cancellation; frees its resources
        either way."""
        ...


class ChangeListeners:
    """All the listeners of an installation. They run while there is a subscriber, and a while
    longer: starting one costs more than keeping it, on Postgres a connection."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners
        #: Events to set, each with whether it is for the ends of runs only.
        self._subscribers: dict[asyncio.Event, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = False
        self._stop_timer: asyncio.TimerHandle | None = None

    @contextmanager
    def subscribe(self, event: asyncio.Event, *, ends_only: bool = False) -> Iterator[None]:
        """Within the block, set `event` at each notification; with `ends_only`, at those after
        which a run may have ended."""
        if self._stop_timer is not None:
            self._stop_timer.cancel()
        if not self._running:
            self._start()
        self._subscribers[event] = ends_only
        try:
            yield
        finally:
            del self._subscribers[event]
            if not self._subscribers:
                loop = asyncio.get_running_loop()
                self._stop_timer = loop.call_later(LINGER_SECONDS, self._stop)

    async def close(self) -> None:
        """Stop all listeners; return when their resources are free."""
        self._stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self) -> None:
        self._running = True
        for listener in self._listeners:
            task = asyncio.create_task(self._keep_listening(listener))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        self._running = False
        for task in self._tasks:
            task.cancel()

    def _notify(self, *, ended: bool = True) -> None:
        for event, ends_only in self._subscribers.items():
            if ended or not ends_only:
                event.set()

    async def _keep_listening(self, listener: Listener) -> None:
        """Listen for ever, again after each failure. The first failure of a series is logged."""
        name = type(listener).__name__
        delay = FIRST_RETRY_SECONDS

        def on_change(*, ended: bool = True) -> None:
            nonlocal delay
            if delay > FIRST_RETRY_SECONDS:
                delay = FIRST_RETRY_SECONDS
                logger.warning("%s works again.", name)
            self._notify(ended=ended)

        while True:
            try:
                await listener.listen(on_change)
            except Exception as error:
                if delay == FIRST_RETRY_SECONDS:
                    logger.warning("%s failed (%r); streams are slower meanwhile.", name, error)
            delay = min(2 * delay, LONGEST_RETRY_SECONDS)
            await asyncio.sleep(delay)
