"""The hub: one per web process, between the event log and all who follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import ParamSpec, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from runs.db.compiled import CompiledLookup
from runs.models import TERMINAL, Run
from runs.queries import event_frames as log
from streaming.hub import moved_runs
from streaming.hub.frame_batch import PAGE_BYTES, FrameBatch
from streaming.hub.log_pages import PAGE_READS, Pages
from streaming.hub.reader import Closed, Reader
from streaming.hub.run_endings import CompletionWatcher
from streaming.hub.run_feed import Feed
from streaming.hub.subscriber import DirectWrite, Quota, Subscriber, UnknownRun
from streaming.listening.channel_layer import Hints, crossing_layer
from streaming.listening.database import DatabaseChanges
from streaming.listening.listeners import ChangeListeners, Listener
from streaming.listening.poller import Poller

P = ParamSpec("P")
T = TypeVar("T")

SLOW_POLL = 1.0  # seconds between two looks without a notification
LOOK_FRAMES = 1000  # the most that one look gives; a further one gives the rest
LOOK_BYTES = 8 * 2**20
FEW_RUNS = 20  # of more runs, a query first finds those that moved
FIND_MOVED_SECONDS = 1.0  # after which that query is made anyway, for deleted runs
LOOK_RUNS = 200  # runs in one query: SQLite refuses a condition of a thousand terms
THROTTLE_SECONDS = 20e-6  # for each subscriber, until the run is looked at again …
MAX_THROTTLE_SECONDS = 0.05  # … up to this
MIN_THROTTLE_SECONDS = 0.001  # less is not worth a timer


@dataclass(eq=False)
class Watch:
    """A run with subscribers: `head` is the seq of the last frame that was handed out. While it is
    `throttled`, no new frames are handed out."""

    head: int
    subscribers: set[Subscriber] = field(default_factory=set)
    throttled: bool = False


class Hub:
    """Follows the event log for all subscribers of this process.

    At a notification it reads the new events of all watched runs together, and hands each frame,
    encoded once, to every subscriber of its run. It reads nothing unless a subscriber waits for an
    unfinished run. It belongs to the event loop on which it was made.

    A write costs much, however short. So after a hand-out a run is throttled, for a time that grows
    with the number of its subscribers: the events of that time are one write for each of them.
    Other runs are not delayed.
    """

    def __init__(
        self, listeners: Sequence[Listener] | None = None, *, slow_poll: float = SLOW_POLL
    ) -> None:
        self._reader = Reader("streaming", threads=PAGE_READS + 2)  # the seconds for looks
        self._pages = Pages(self._reader)
        self._listeners = ChangeListeners(installed_listeners() if listeners is None else listeners)
        self.subscribers: set[Subscriber] = set()
        self._watches: dict[UUID, Watch] = {}
        self._closed = False
        self._poller = Poller(
            self._look, lambda: bool(self._watches), self._listeners, slow_poll=slow_poll
        )
        self.feed = Feed(self._reader, self._listeners, slow_poll=slow_poll)
        self.completions = CompletionWatcher(self._reader, self._listeners, slow_poll=slow_poll)
        self._find_moved_at = 0.0
        self.log_reads = 0  # queries for what is new, however many subscribers there are

    @property
    def watching(self) -> int:
        """How many runs the hub looks for."""
        return len(self._watches)

    @property
    def trouble(self) -> str:
        """Why the log cannot be read and what to do; empty if there is nothing but to wait."""
        return self._reader.trouble

    @property
    def live(self) -> int:
        """How many subscribers are offered new frames; the others read the log."""
        return sum(len(watch.subscribers) for watch in self._watches.values())

    @property
    def page_reads(self) -> int:
        """Queries for subscribers that catch up, however many these are."""
        return self._pages.reads

    @asynccontextmanager
    async def subscribe(
        self,
        run_id: UUID,
        *,
        after: int = 0,
        quota: Quota | None = None,
        direct_write: DirectWrite | None = None,
    ) -> AsyncIterator[Subscriber]:
        """A subscriber to the events of `run_id` with a seq above `after`: those in the log, then
        those to come, to the terminal one. Subscribers of one client share its `quota`.
        `direct_write` writes to a client that has only this subscriber.

        Raises UnknownRun, or Closed once the hub is closed.
        """
        row = await self._reader.read(_STATUS_AND_SEQ.values, run_id)
        if row is None:
            raise UnknownRun(run_id)
        if self._closed:
            raise Closed
        status, seq = row
        subscriber = Subscriber(
            self,
            run_id,
            after=after,
            committed=seq,
            finished=status in TERMINAL,
            quota=quota,
            direct_write=direct_write,
        )
        self.subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self.subscribers.discard(subscriber)
            subscriber.fail()  # gives back its part of the quota
            self._leave(subscriber)

    async def page(
        self, run_id: UUID, *, after: int, limit: int, size: int = PAGE_BYTES
    ) -> FrameBatch:
        """The next frames in the log, for subscribers that catch up: at most `limit`, of at most
        `size` bytes together."""
        return await self._pages.page(run_id, after=after, limit=limit, size=size)

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of another query of a stream, in the same turns as the pages."""
        return await self._pages.read(query, *args, **kwargs)

    def join(self, subscriber: Subscriber) -> int:
        """Hand new frames to `subscriber`, too. Returns the seq of the last frame handed out."""
        watch = self._watches.get(subscriber.run_id)
        if watch is None:
            watch = self._watches[subscriber.run_id] = Watch(head=subscriber.committed)
            self._poller.wake()  # the log may have grown since the subscriber read it
        watch.subscribers.add(subscriber)
        return watch.head

    def disconnect_all(self) -> None:
        """End every subscription with Closed, now and later."""
        self._closed = True
        for subscriber in self.subscribers:
            subscriber.fail()
        self.feed.disconnect_all()
        self.completions.disconnect_all()

    async def close(self) -> None:
        """End every subscription with Closed, and free threads and connections."""
        self.disconnect_all()
        await self._poller.stop()
        await self.feed.close()
        await self.completions.close()
        await self._listeners.close()
        await self._reader.close()

    def _leave(self, subscriber: Subscriber) -> None:
        watch = self._watches.get(subscriber.run_id)
        if watch is not None:
            watch.subscribers.discard(subscriber)
            self._drop_if_unused(subscriber.run_id, watch)

    def _drop_if_unused(self, run_id: UUID, watch: Watch) -> None:
        if not watch.subscribers:
            del self._watches[run_id]
            if not self._watches:
                self._poller.wake()  # to stop

    async def _look(self) -> bool:
        """Hand out the new frames of all watched runs; return whether there may be more at once."""
        now = asyncio.get_running_loop().time()
        moved = [(run_id, watch) for run_id, watch in self._watches.items() if not watch.throttled]
        if moved and (len(moved) > FEW_RUNS or now >= self._find_moved_at):
            moved = await self._find_moved(dict(moved))
            self._find_moved_at = now + FIND_MOVED_SECONDS
        more = False
        for start in range(0, len(moved), LOOK_RUNS):
            some = dict(moved[start : start + LOOK_RUNS])
            heads = {run_id: watch.head for run_id, watch in some.items()}
            page = await self._reader.read(log.read, heads, limit=LOOK_FRAMES, size=LOOK_BYTES)
            self.log_reads += 1
            more |= page.more
            for run_id, of_run in groupby(page, key=attrgetter("run_id")):
                self._hand_out(run_id, some[run_id], FrameBatch(of_run))
                if not page.more:
                    self._throttle(some[run_id])
        return more

    async def _find_moved(self, watched: dict[UUID, Watch]) -> list[tuple[UUID, Watch]]:
        """The watched runs that have new events. Subscribers to a deleted run fail."""
        heads = {run_id: watch.head for run_id, watch in watched.items()}
        moved, gone = await self._reader.read(moved_runs.moved_since, heads)
        self.log_reads += 1
        for run_id in gone:
            for subscriber in watched[run_id].subscribers:
                subscriber.fail(UnknownRun)
        return [(run_id, watched[run_id]) for run_id in moved]

    def _hand_out(self, run_id: UUID, watch: Watch, batch: FrameBatch) -> None:
        if self._watches.get(run_id) is not watch:
            return  # unused since the read; a new watch of the run has a head of its own
        watch.head = batch.last
        watch.subscribers = {each for each in watch.subscribers if each.offer(batch)}
        if batch.terminal:
            watch.subscribers.clear()
        self._drop_if_unused(run_id, watch)

    def _throttle(self, watch: Watch) -> None:
        seconds = min(THROTTLE_SECONDS * len(watch.subscribers), MAX_THROTTLE_SECONDS)
        if seconds >= MIN_THROTTLE_SECONDS:
            watch.throttled = True
            asyncio.get_running_loop().call_later(seconds, self._end_throttle, watch)

    def _end_throttle(self, watch: Watch) -> None:
        watch.throttled = False  # not by the time: a timer may be a little early
        if not self._closed:
            self._poller.wake()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current() -> Hub:
    """The hub of the running event loop, made when it is first asked for."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def disconnect_all() -> None:
    """End every stream of the running loop's hub with Closed, and begin no new one."""
    hub = _hubs.get(asyncio.get_running_loop())
    if hub is not None:
        hub.disconnect_all()


async def close() -> None:
    """Close the running loop's hub, if it has one; the next `current` makes a new one."""
    hub = _hubs.pop(asyncio.get_running_loop(), None)
    if hub is not None:
        await hub.close()


def installed_listeners() -> list[Listener]:
    """Every source of notifications that this installation has."""
    listeners: list[Listener] = [DatabaseChanges()]
    if crossing_layer() is not None:
        listeners.append(Hints())
    return listeners


_STATUS_AND_SEQ = CompiledLookup(Run, "status", "seq")
