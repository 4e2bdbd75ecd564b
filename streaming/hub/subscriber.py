"""One reader of one run's events, at its own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from runs.queries.event_frames import Frame
from streaming.hub.frame_batch import FrameBatch
from streaming.hub.reader import Closed

QUEUE_FRAMES = 256  # what a subscriber may have waiting before it must read the log itself
QUEUE_BYTES = 64 * 1024
PAGE_FRAMES = 64  # of its first page; then about as many as a page has room for

#: Writes bytes to a socket at once; returns whether there was room for them.
DirectWrite = Callable[[bytes], bool]


class UnknownRun(LookupError):
    """There is no run with this id (any more)."""


class Quota:
    """How much may wait in the queues of one subscriber, or of several that share it."""

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

    async def page(self, run_id: UUID, *, after: int, limit: int) -> FrameBatch:
        """The next frames in the log, and whether there were more."""
        ...

    def join(self, subscriber: Subscriber) -> int:
        """From now on `offer` it every new frame; idempotent. Returns the seq of the last frame
        that was offered to others already."""
        ...


class Subscriber:
    """Gives every event of a run after `cursor` once, in order, until the run has ended.

    First it catches up: it reads pages of the log until there is no more. Then it joins and is
    offered new frames. Its queue is small. A full queue is dropped, and the subscriber catches up
    again: it loses its queue, never an event. `committed` is a seq that is known to be in the log;
    `finished` that no event can come beyond it.

    With `direct_write`, frames that are offered while a caller waits in `ready` are written at
    once, while there is room, and are not returned by `next`. A caller that waits there has sent
    all frames that it got.
    """

    def __init__(
        self,
        log: Log,
        run_id: UUID,
        *,
        after: int,
        committed: int,
        finished: bool,
        quota: Quota | None = None,
        direct_write: DirectWrite | None = None,
    ) -> None:
        self.run_id = run_id
        self.cursor = after
        self.committed = committed
        self._log = log
        self._last = committed if finished else None
        self._quota = quota or Quota(QUEUE_FRAMES, QUEUE_BYTES)
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0
        self._ready = asyncio.Event()
        self._direct_write = direct_write
        self._has_waiter = False
        self._catching_up = True
        self._has_looked = False  # whether it has looked for more than is known to be there
        self._finished = False
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
    def is_catching_up(self) -> bool:
        """Whether `now` reads the log."""
        return self._catching_up

    @property
    def ended(self) -> bool:
        """Whether it is known, without a look at the log, that no more events can come."""
        return self._finished or (self._last is not None and self.cursor >= self._last)

    async def ready(self) -> None:
        """Return when `next` need not wait for new frames. Cancelling either loses nothing."""
        if not (self._catching_up or self._finished or self._failure):
            self._has_waiter = True
            try:
                await self._ready.wait()
            finally:
                self._has_waiter = False

    async def next(self) -> FrameBatch:
        """The next frames, at least one; none if the run has ended and all were returned.

        Raises Closed when the hub closes, and UnknownRun when the run is deleted.
        """
        while not self._finished:
            await self.ready()
            if frames := await self.now():
                return frames
        return FrameBatch()

    async def now(self) -> FrameBatch:
        """The frames that are there, read from the log if need be. There may be none although more
        will come. Raises as `next` does."""
        if self._failure and not self._finished:
            raise self._failure
        return await self._catch_up() if self._catching_up else self._take()

    def offer(self, batch: FrameBatch) -> bool:
        """Take the next frames of the run, in order. False: there was no room, and no frames will
        be taken until the subscriber joins again."""
        if self._write_directly(batch):
            return True
        newest = self._queue[-1].seq if self._queue else self.cursor
        if not self._catching_up and batch.first > newest + 1:
            return self._drop_queue()  # frames are missing: read them in the log
        fresh = batch
        if batch.first <= newest:
            fresh = FrameBatch(frame for frame in batch if frame.seq > newest)
        self._ready.set()
        if not fresh and batch.terminal:
            self._finished = True  # its cursor is beyond the end
        self._queue.extend(fresh)
        self._queued_bytes += fresh.size
        self._quota.take(len(fresh), fresh.size)
        return True if not self._quota.overfull else self._drop_queue()

    def _drop_queue(self) -> bool:
        self._empty()
        self._catching_up = True
        self._ready.set()
        return False

    def _write_directly(self, batch: FrameBatch) -> bool:
        if (
            self._direct_write is None
            or not self._has_waiter
            or self._ready.is_set()
            or batch.websocket_bytes is None
            or batch.first != self.cursor + 1
            or not self._direct_write(batch.websocket_bytes)
        ):
            return False
        self.cursor = self.committed = batch.last
        self._page_limit = batch.page_limit
        if batch.terminal:
            self._finished = True
            self._ready.set()
        return True

    def fail(self, failure: type[Exception] = Closed) -> None:
        """Make `next` raise `failure`, now and later."""
        self._failure = failure
        self._empty()
        self._ready.set()

    def _take(self) -> FrameBatch:
        self._ready.clear()
        frames = FrameBatch(self._queue)
        self._empty()
        self._advance(frames)
        return frames

    async def _catch_up(self) -> FrameBatch:
        if not self._has_looked and self.cursor >= self.committed and self._last is None:
            self._has_looked = True  # nothing is there: the first page would be empty
            self._catching_up = not self._join()
            return FrameBatch()
        self._has_looked = True
        page = await self._log.page(self.run_id, after=self.cursor, limit=self._page_limit)
        self._advance(page)
        if not page.more and not self._finished:
            if self._last is not None:
                if self.cursor < self._last:
                    raise UnknownRun(self.run_id)  # its log was deleted while it was read
                self._finished = True
            else:
                self._catching_up = not self._join()
        return page

    def _join(self) -> bool:
        """Have new frames offered. False: others were offered frames meanwhile that this subscriber
        has not read. The next page has them, and later frames are offered already."""
        head = self._log.join(self)
        while self._queue and self._queue[0].seq <= self.cursor:
            size = len(self._queue.popleft().body)
            self._queued_bytes -= size
            self._quota.take(-1, -size)
        if not self._queue:
            return head <= self.cursor
        self._ready.set()
        return self._queue[0].seq == self.cursor + 1

    def _advance(self, frames: FrameBatch) -> None:
        if not frames:
            return
        self.cursor = self.committed = frames.last
        self._finished = frames.terminal
        self._page_limit = frames.page_limit

    def _empty(self) -> None:
        self._quota.take(-len(self._queue), -self._queued_bytes)
        self._queue.clear()
        self._queued_bytes = 0
