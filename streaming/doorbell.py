"""How a web process learns that something moved in the database, whoever moved it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.1  # seconds until a broken doorbell is tried again; doubled each time …
LONGEST_DELAY = 5.0  # … up to this
LINGER = 1.0  # seconds that doorbells are listened to after the last who wanted to hear has left


class Ring(Protocol):
    """Called when something may have moved, and with whether a run may have `ended`."""

    def __call__(self, *, ended: bool = True) -> None: ...


class Doorbell(Protocol):
    """One way to hear of news. It says "look now", and for whom: it may ring for nothing, and
    whoever listens must not depend on it ringing at all."""

    async def listen(self, ring: Ring) -> None:
        """Ring once when the listening has begun (what came before is not announced), and then
        whenever something may have moved. Returns only by raising or being cancelled, and frees
        what it opened either way."""
        ...


class Doorbells:
    """All the doorbells of an installation, listened to only while somebody wants to hear them, and
    for a while after: to begin costs more than to go on, on Postgres a connection."""

    def __init__(self, doorbells: Sequence[Doorbell]) -> None:
        self._doorbells = doorbells
        self._listeners: dict[asyncio.Event, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = False
        self._stopping: asyncio.TimerHandle | None = None

    @contextmanager
    def heard_by(self, event: asyncio.Event, *, ends_only: bool = False) -> Iterator[None]:
        """Set `event`, inside the block, at each ring, or at those after which a run may have
        ended."""
        if self._stopping is not None:
            self._stopping.cancel()
        if not self._listening:
            self._start()
        self._listeners[event] = ends_only
        try:
            yield
        finally:
            del self._listeners[event]
            if not self._listeners:
                self._stopping = asyncio.get_running_loop().call_later(LINGER, self._stop)

    async def close(self) -> None:
        """Stop listening, and return when all that was opened is free."""
        self._stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self) -> None:
        self._listening = True
        for doorbell in self._doorbells:
            task = asyncio.create_task(self._keep(doorbell))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        self._listening = False
        for task in self._tasks:
            task.cancel()

    def _ring(self, *, ended: bool = True) -> None:
        for event, ends_only in self._listeners.items():
            if ended or not ends_only:
                event.set()

    async def _keep(self, doorbell: Doorbell) -> None:
        """Listen to `doorbell` for ever, again after each failure; the first of a row is logged."""
        delay = FIRST_DELAY

        def ring(*, ended: bool = True) -> None:
            nonlocal delay
            if delay > FIRST_DELAY:
                delay = FIRST_DELAY
                logger.warning("%s is heard again.", type(doorbell).__name__)
            self._ring(ended=ended)

        while True:
            try:
                await doorbell.listen(ring)
            except Exception as error:
                if delay == FIRST_DELAY:
                    name = type(doorbell).__name__
                    logger.warning(
                        "%s broke (%r); streams are slower until it is back.", name, error
                    )
            delay = min(2 * delay, LONGEST_DELAY)
            await asyncio.sleep(delay)
