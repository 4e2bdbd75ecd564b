"""Pages of the event log, for subscribers that catch up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from runs.queries import event_frames as log
from streaming.hub.frame_batch import PAGE_BYTES, FrameBatch
from streaming.hub.reader import Reader, Unanswered

P = ParamSpec("P")
T = TypeVar("T")

PAGE_READS = 2  # pages that are read at the same time

_Place = tuple[UUID, int, int, int]


class _Reading:
    """A page that is read, or waits for its turn, for a number of `askers`. Once it has `started`,
    the log may have grown; `busy`: a thread reads it."""

    task: asyncio.Task[FrameBatch]

    def __init__(self) -> None:
        self.askers = 0
        self.started = False
        self.busy = False


class Pages:
    """Subscribers that catch up take turns, so that the hub's own reads never wait for them.

    A page is read once for all that ask for it meanwhile, and is kept while one of them uses it: a
    thousand clients that come back together, or a hundred that never read, cost little more than
    one.
    A page that cannot be read gives its turn to others until it is tried again.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turns = asyncio.Semaphore(PAGE_READS)
        self._readings: dict[_Place, _Reading] = {}  # the latest of each place
        self._cached: WeakValueDictionary[_Place, FrameBatch] = WeakValueDictionary()
        self.reads = 0  # queries for a page, however many asked for it

    async def page(
        self, run_id: UUID, *, after: int, limit: int, size: int = PAGE_BYTES
    ) -> FrameBatch:
        """The next frames of `run_id` beyond `after`, as `frames.read` gives them."""
        place = (run_id, after, limit, size)
        if (page := self._cached.get(place)) is not None:
            return page
        reading = self._readings.get(place)
        if reading is not None and reading.started:
            page = await self._answer(place, reading)
            if page.more:  # otherwise there may have been more when this one asked
                return page
            reading = self._readings.get(place)
        if reading is None or reading.started:
            reading = self._readings[place] = _Reading()
            reading.task = asyncio.create_task(self._read(place, reading))
            reading.task.add_done_callback(_ignore_failure)
        return await self._answer(place, reading)

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of another query of a stream, in the same turns."""
        while True:
            async with self._turns:
                try:
                    return await self._reader.once(query, *args, **kwargs)
                except Unanswered as unanswered:
                    pause = unanswered.pause
            await asyncio.sleep(pause)

    async def _answer(self, place: _Place, reading: _Reading) -> FrameBatch:
        reading.askers += 1
        try:
            return await asyncio.shield(reading.task)
        finally:
            reading.askers -= 1
            if not reading.askers and not reading.busy:
                self._forget(place, reading)
                reading.task.cancel()  # nobody wants it any more, and others wait for a turn

    async def _read(self, place: _Place, reading: _Reading) -> FrameBatch:
        page = FrameBatch()
        while reading.askers:
            async with self._turns:
                try:
                    page = await self._try(place, reading)
                    break
                except Unanswered as unanswered:
                    pause = unanswered.pause
            if reading.askers:
                await asyncio.sleep(pause)
        self._forget(place, reading)
        if page and page.more:  # what is not full may grow
            self._cached[place] = page
        return page

    async def _try(self, place: _Place, reading: _Reading) -> FrameBatch:
        """The page; Unanswered when the database does not answer."""
        run_id, after, limit, size = place
        reading.started = reading.busy = True
        self.reads += 1
        try:
            found = await self._reader.once(log.read, {run_id: after}, limit=limit, size=size)
        except Unanswered:
            raise
        except BaseException:
            self._forget(place, reading)
            raise
        finally:
            reading.busy = False
        return FrameBatch(found, more=found.more)

    def _forget(self, place: _Place, reading: _Reading) -> None:
        if self._readings.get(place) is reading:
            del self._readings[place]


def _ignore_failure(reading: asyncio.Task[FrameBatch]) -> None:
    """Mark a failure as seen: the callers may be gone."""
    with contextlib.suppress(asyncio.CancelledError):
        reading.exception()
