"""Pages of the event log, for those who are behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from runs import frames as log
from streaming.batch import Batch
from streaming.reader import Reader

P = ParamSpec("P")
T = TypeVar("T")

PAGE_READS = 2  # pages that are read at the same time, for all who are behind

_Place = tuple[UUID, int, int]


class _Waiting:
    """A page that waits for its turn, for so many."""

    def __init__(self, task: asyncio.Task[Batch]) -> None:
        self.task = task
        self.askers = 0
        task.add_done_callback(_looked_at)


class Pages:
    """Those who are behind take turns, so that the look for everybody never waits for them.

    A page is read once for all who ask for it meanwhile, and for as long as one of them holds it:
    a thousand who come back together, or a hundred who never read, cost little more than one.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turns = asyncio.Semaphore(PAGE_READS)
        self._waiting: dict[_Place, _Waiting] = {}
        self._begun: dict[_Place, asyncio.Task[Batch]] = {}
        self._held: WeakValueDictionary[_Place, Batch] = WeakValueDictionary()
        self.reads = 0  # queries for a page, however many asked for it

    async def page(self, run_id: UUID, *, after: int, limit: int) -> Batch:
        """The frames of `run_id` beyond `after`; fewer than `limit`: that is all there is."""
        place = (run_id, after, limit)
        if (held := self._held.get(place)) is not None:
            return held
        if (begun := self._begun.get(place)) is not None:
            page = await asyncio.shield(begun)
            if len(page) == limit:  # otherwise there may have been more when this one asked
                return page
        if (waiting := self._waiting.get(place)) is None:
            waiting = self._waiting[place] = _Waiting(asyncio.create_task(self._read(place)))
        waiting.askers += 1
        try:
            return await asyncio.shield(waiting.task)
        finally:
            waiting.askers -= 1
            if not waiting.askers and self._waiting.get(place) is waiting:
                del self._waiting[place]
                waiting.task.cancel()  # nobody wants it any more, and others wait for a turn

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of another query of a stream, in the same turns."""
        async with self._turns:
            return await self._reader.read(query, *args, **kwargs)

    async def _read(self, place: _Place) -> Batch:
        run_id, after, limit = place
        async with self._turns:
            self._begun[place] = self._waiting.pop(place).task
            self.reads += 1
            try:
                page = Batch(await self._reader.read(log.read, {run_id: after}, limit=limit))
            finally:
                self._begun.pop(place, None)
        if len(page) == limit:  # what is not full may grow
            self._held[place] = page
        return page


def _looked_at(reading: asyncio.Task[Batch]) -> None:
    """Whoever asked for it may be gone, and nobody else misses its failure."""
    with contextlib.suppress(asyncio.CancelledError):
        reading.exception()
