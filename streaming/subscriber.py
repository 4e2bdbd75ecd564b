"""One reader of one run's events, at its own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from runs.frames import Frame
from streaming.reader import Closed

QUEUE_FRAMES = 256  # what a subscriber may have waiting before it must read the log itself
QUEUE_BYTES = 256 * 1024
PAGE_FRAMES = 64  # of its first page; then as many as weigh PAGE_BYTES
PAGE_BYTES = 128 * 1024
LONGEST_PAGE = 500
SHORTEST_PAGE = 4


class UnknownRun(LookupError):
    """There is no run with this id, or there is none any more."""


class Room:
    """How much may wait, for one subscriber or for several that share it."""

    def __init__(self, frames: int, size: int) -> None:
        self._frames = frames
        self._bytes = size

    def take(self, frames: int, size: int) -> None:
        self._frames -= frames
        self._bytes -= size

    @property
    def overfull(self) -> bool:
        return self._frames < 0 or self._bytes < 0


class Log(Protocol):
    """What a subscriber needs of the hub."""

    async def page(self, run_id: UUID, *, after: int, limit: int) -> list[Frame]:
        """The next frames in the log; fewer than `limit`: that was all there is now."""
        ...

    def join(self, subscriber: Subscriber) -> int:
        """From now on `offer` it every new frame; idempotent. The seq of the last frame that was
        offered to others already."""
        ...


class Subscriber:
    """Gives every event of a run after `cursor` once, in order, until the run has ended.

    It begins *behind*: it reads pages of the log until one is not full, then joins and is offered
    what is new. Its queue is small. When the queue is full, it is emptied and the subscriber is
    behind again: it loses its queue, never an event. `committed` is a seq that is known to be in
    the log; `finished` that no event can come beyond it.
    """

    def __init__(
        self,
        log: Log,
        run_id: UUID,
        *,
        after: int,
        committed: int,
        finished: bool,
        room: Room | None = None,
    ) -> None:
        self.run_id = run_id
        self.cursor = after
        self.committed = committed
        self._log = log
        self._last = committed if finished else None
        self._room = room or Room(QUEUE_FRAMES, QUEUE_BYTES)
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0
        self._fed = asyncio.Event()
        self._behind = True
        self._over = False
        self._failure: type[Exception] | None = None
        self._page_limit = PAGE_FRAMES

    @property
    def waiting(self) -> int:
        """How many frames wait in the queue."""
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """How much they weigh."""
        return self._queued_bytes

    @property
    def ended(self) -> bool:
        """Whether it is known, without a look at the log, that there is nothing more to come."""
        return self._over or (self._last is not None and self.cursor >= self._last)

    async def ready(self) -> None:
        """Return when `next` has something to do other than wait for news. Cancelling it, or
        `next`, loses nothing."""
        if not (self._behind or self._over or self._failure):
            await self._fed.wait()

    async def next(self) -> Sequence[Frame]:
        """The next frames, at least one; none: the run has ended and everything was given.
        Raises Closed when the hub closes, UnknownRun when the run is deleted."""
        while not self._over:
            await self.ready()
            if frames := await self.now():
                return frames
        return ()

    async def now(self) -> Sequence[Frame]:
        """What is there, read from the log if need be; it may be nothing, though more is to come.
        Raises as `next` does."""
        if self._failure and not self._over:
            raise self._failure
        return await self._catch_up() if self._behind else self._take()

    def offer(self, frames: Sequence[Frame]) -> bool:
        """The hub's next frames of this run, in order. False: there was no room, and none will be
        taken until the subscriber joins again."""
        newest = self._queue[-1].seq if self._queue else self.cursor
        fresh = [frame for frame in frames if frame.seq > newest]
        self._fed.set()
        if not fresh and frames[-1].terminal:
            self._over = True  # its cursor is beyond the end
        self._queue.extend(fresh)
        size = sum(len(frame.body) for frame in fresh)
        self._queued_bytes += size
        self._room.take(len(fresh), size)
        if not self._room.overfull:
            return True
        self._empty()
        self._behind = True
        return False

    def fail(self, failure: type[Exception] = Closed) -> None:
        """Make `next` raise `failure`, now and later."""
        self._failure = failure
        self._empty()
        self._fed.set()

    def _take(self) -> Sequence[Frame]:
        self._fed.clear()
        frames = tuple(self._queue)
        self._empty()
        self._advance(frames)
        return frames

    async def _catch_up(self) -> Sequence[Frame]:
        limit = self._page_limit
        page = await self._log.page(self.run_id, after=self.cursor, limit=limit)
        self._advance(page)
        if len(page) < limit and not self._over:
            if self._last is not None:
                if self.cursor < self._last:
                    raise UnknownRun(self.run_id)  # its log was deleted while it was read
                self._over = True
            else:
                self._behind = not self._join()
        return page

    def _join(self) -> bool:
        """Be offered what is new. False: others were offered frames meanwhile that this one has
        not read; the next page has them, and it is offered what comes after them already."""
        head = self._log.join(self)
        while self._queue and self._queue[0].seq <= self.cursor:
            size = len(self._queue.popleft().body)
            self._queued_bytes -= size
            self._room.take(-1, -size)
        if not self._queue:
            return head <= self.cursor
        self._fed.set()
        return self._queue[0].seq == self.cursor + 1

    def _advance(self, frames: Sequence[Frame]) -> None:
        if not frames:
            return
        self.cursor = self.committed = frames[-1].seq
        self._over = frames[-1].terminal
        mean = sum(len(frame.body) for frame in frames) // len(frames) + 1
        self._page_limit = max(SHORTEST_PAGE, min(PAGE_BYTES // mean, LONGEST_PAGE))

    def _empty(self) -> None:
        self._room.take(-len(self._queue), -self._queued_bytes)
        self._queue.clear()
        self._queued_bytes = 0
