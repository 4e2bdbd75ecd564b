"""Waiting for the end of runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from streaming.hub import moved_runs
from streaming.hub.reader import Closed, Reader
from streaming.hub.subscriber import UnknownRun
from streaming.listening.listeners import ChangeListeners
from streaming.listening.poller import Poller


class CompletionWatcher:
    """Resolves a future when a run has ended. It reads no events of these runs, and only a
    notification after which a run may have ended causes a query."""

    def __init__(self, reader: Reader, listeners: ChangeListeners, *, slow_poll: float) -> None:
        self._reader = reader
        self._waiting: dict[UUID, set[asyncio.Future[None]]] = {}
        self._closed = False
        #: Queries so far, however many wait.
        self.looks = 0
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
    def wait_for(self, run_id: UUID) -> Iterator[asyncio.Future[None]]:
        """A future that is resolved when the run has ended.

        It raises UnknownRun if there is no such run (any more), and Closed when the server stops.

        Raises Closed at once if the server has stopped before.
        """
        if self._closed:
            raise Closed
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, set()).add(end)
        self._poller.wake()
        try:
            yield end
        finally:
            if not end.cancel() and not end.cancelled():
                end.exception()  # mark it as retrieved, even if the caller did not await it
            ends = self._waiting.get(run_id, set())
            ends.discard(end)
            if not ends:
                self._forget(run_id)

    def disconnect_all(self) -> None:
        """End every wait with Closed, now and later."""
        self._closed = True
        for run_id in list(self._waiting):
            self._resolve(run_id, Closed())

    async def close(self) -> None:
        """Stop looking."""
        await self._poller.stop()

    async def _look(self) -> bool:
        ended, gone = await self._reader.read(moved_runs.ended, list(self._waiting))
        self.looks += 1
        for run_id in ended:
            self._resolve(run_id)
        for run_id in gone:
            self._resolve(run_id, UnknownRun(run_id))
        return False

    def _resolve(self, run_id: UUID, failure: Exception | None = None) -> None:
        for end in self._waiting.get(run_id, ()):
            if not end.done():
                end.set_exception(failure) if failure else end.set_result(None)
        self._forget(run_id)

    def _forget(self, run_id: UUID) -> None:
        if self._waiting.pop(run_id, None) is not None and not self._waiting:
            self._poller.wake()  # to stop
