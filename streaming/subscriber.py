"""One reader of one run's events, at its own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from runs.frames import Frame
from streaming.batch import Batch
from streaming.reader import Closed

QUEUE_FRAMES = 256  # what a subscriber may have waiting before it must read the log itself
QUEUE_BYTES = 64 * 1024
PAGE_FRAMES = 64  # of its first page; then about as many as a page has room for

#: Writes what is ready to be written, and tells whether there was room for it.
Straight = Callable[[bytes], bool]


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

    async def page(self, run_id: UUID, *, after: int, limit: int) -> Batch:
        """The next frames in the log, and whether there were more."""
        ...

    def join(self, subscriber: Subscriber) -> int:
        """From now on `offer` it every new frame; idempotent. The seq of the last frame that was
        offered to others already."""
        ...


class Subscriber:
    """Gives every event of a run after `cursor` once, in order, until the run has ended.

    It begins *behind*: it reads pages of the log until there is no more, then joins and is offered
    what is new. Its queue is small. When the queue is full, it is emptied and the subscriber is
    behind again: it loses its queue, never an event. `committed` is a seq that is known to be in
    the log; `finished` that no event can come beyond it.

    With `straight`, what is offered while somebody waits in `ready` is written by that at once, as
    long as it takes it, and is not given by `next`; whoever waits there has sent all it was given.
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
        straight: Straight | None = None,
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
        self._straight = straight
        self._waited_for = False
        self._behind = True
        self._asked = False  # whether it has looked for more than is known to be there
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
    def behind(self) -> bool:
        """Whether `now` reads the log."""
        return self._behind

    @property
    def ended(self) -> bool:
        """Whether it is known, without a look at the log, that there is nothing more to come."""
        return self._over or (self._last is not None and self.cursor >= self._last)

    async def ready(self) -> None:
        """Return when `next` has something to do other than wait for news. Cancelling it, or
        `next`, loses nothing."""
        if not (self._behind or self._over or self._failure):
            self._waited_for = True
            try:
                await self._fed.wait()
            finally:
                self._waited_for = False

    async def next(self) -> Batch:
        """The next frames, at least one; none: the run has ended and everything was given.
        Raises Closed when the hub closes, UnknownRun when the run is deleted."""
        while not self._over:
            await self.ready()
            if frames := await self.now():
                return frames
        return Batch()

    async def now(self) -> Batch:
        """What is there, read from the log if need be; it may be nothing, though more is to come.
        Raises as `next` does."""
        if self._failure and not self._over:
            raise self._failure
        return await self._catch_up() if self._behind else self._take()

    def offer(self, batch: Batch) -> bool:
        """The hub's next frames of this run, in order. False: there was no room, and none will be
        taken until the subscriber joins again."""
        if self._wrote_straight(batch):
            return True
        newest = self._queue[-1].seq if self._queue else self.cursor
        if not self._behind and batch.first > newest + 1:
            return self._fall_behind()  # something went wrong before: the log has it all
        fresh = batch
        if batch.first <= newest:
            fresh = Batch(frame for frame in batch if frame.seq > newest)
        self._fed.set()
        if not fresh and batch.terminal:
            self._over = True  # its cursor is beyond the end
        self._queue.extend(fresh)
        self._queued_bytes += fresh.size
        self._room.take(len(fresh), fresh.size)
        return True if not self._room.overfull else self._fall_behind()

    def _fall_behind(self) -> bool:
        self._empty()
        self._behind = True
        self._fed.set()
        return False

    def _wrote_straight(self, batch: Batch) -> bool:
        if (
            self._straight is None
            or not self._waited_for
            or self._fed.is_set()
            or batch.ready is None
            or batch.first != self.cursor + 1
            or not self._straight(batch.ready)
        ):
            return False
        self.cursor = self.committed = batch.last
        self._page_limit = batch.page_limit
        if batch.terminal:
            self._over = True
            self._fed.set()
        return True

    def fail(self, failure: type[Exception] = Closed) -> None:
        """Make `next` raise `failure`, now and later."""
        self._failure = failure
        self._empty()
        self._fed.set()

    def _take(self) -> Batch:
        self._fed.clear()
        frames = Batch(self._queue)
        self._empty()
        self._advance(frames)
        return frames

    async def _catch_up(self) -> Batch:
        if not self._asked and self.cursor >= self.committed and self._last is None:
            self._asked = True  # nothing is there: the first page would be empty
            self._behind = not self._join()
            return Batch()
        self._asked = True
        page = await self._log.page(self.run_id, after=self.cursor, limit=self._page_limit)
        self._advance(page)
        if not page.more and not self._over:
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

    def _advance(self, frames: Batch) -> None:
        if not frames:
            return
        self.cursor = self.committed = frames.last
        self._over = frames.terminal
        self._page_limit = frames.page_limit

    def _empty(self) -> None:
        self._room.take(-len(self._queue), -self._queued_bytes)
        self._queue.clear()
        self._queued_bytes = 0
