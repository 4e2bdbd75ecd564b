"""Who waits for nothing of a run but its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from streaming import roll_call
from streaming.listening.listeners import ChangeListeners
from streaming.listening.poller import Poller
from streaming.reader import Closed, Reader
from streaming.subscriber import UnknownRun


class Endings:
    """Tells when runs have ended. Of a run that is only waited for no event is read, and its steps
    cause no look: only what may have ended a run does."""

    def __init__(self, reader: Reader, listeners: ChangeListeners, *, slow_poll: float) -> None:
        self._reader = reader
        self._waiting: dict[UUID, set[asyncio.Future[None]]] = {}
        self._closed = False
        self.looks = 0  # queries, however many wait
        self._poller = Poller(
            self._look,
            lambda: bool(self._waiting),
            listeners,
            slow_poll=slow_poll,
            ends_only=True,
        )

    @property
    def waited_for(self) -> int:
        """How many runs it looks for."""
        return len(self._waiting)

    @contextmanager
    def awaited(self, run_id: UUID) -> Iterator[asyncio.Future[None]]:
        """The end of the run: done when it has ended; UnknownRun when there is no such run, or none
        any more; Closed when the server stops. Closed at once when it has stopped before."""
        if self._closed:
            raise Closed
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, set()).add(end)
        self._poller.wake()
        try:
            yield end
        finally:
            if not end.cancel() and not end.cancelled():
                end.exception()  # known, even if nobody came to ask
            ends = self._waiting.get(run_id, set())
            ends.discard(end)
            if not ends:
                self._forget(run_id)

    def hang_up(self) -> None:
        """End every waiting with Closed, now and later."""
        self._closed = True
        for run_id in list(self._waiting):
            self._tell(run_id, Closed())

    async def close(self) -> None:
        """Stop looking."""
        await self._poller.stop()

    async def _look(self) -> bool:
        ended, gone = await self._reader.read(roll_call.ended, list(self._waiting))
        self.looks += 1
        for run_id in ended:
            self._tell(run_id)
        for run_id in gone:
            self._tell(run_id, UnknownRun(run_id))
        return False

    def _tell(self, run_id: UUID, failure: Exception | None = None) -> None:
        for end in self._waiting.get(run_id, ()):
            if not end.done():
                end.set_exception(failure) if failure else end.set_result(None)
        self._forget(run_id)

    def _forget(self, run_id: UUID) -> None:
        if self._waiting.pop(run_id, None) is not None and not self._waiting:
            self._poller.wake()  # to stop
