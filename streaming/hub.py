"""The hub: one per web process, between the event log and all who follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, connections

from runs import frames as log
from runs.db.compiled import CompiledLookup
from runs.models import TERMINAL, Run
from streaming import roll_call
from streaming.batch import PAGE_BYTES, Batch
from streaming.data_version import DataVersion
from streaming.doorbell import Doorbell, Doorbells
from streaming.endings import Endings
from streaming.feed import Feed
from streaming.hints import Hints, crossing_layer
from streaming.lookout import Lookout
from streaming.notifications import Notifications
from streaming.pages import PAGE_READS, Pages
from streaming.reader import Closed, Reader
from streaming.subscriber import Room, Straight, Subscriber, UnknownRun

P = ParamSpec("P")
T = TypeVar("T")

SLOW_POLL = 1.0  # seconds between two looks when no doorbell rings
LOOK_FRAMES = 1000  # the most that one look gives; a further one gives the rest
LOOK_BYTES = 8 * 2**20
FEW_RUNS = 20  # of more than these it is asked first which have moved
ROLL_CALL = 1.0  # seconds after which it is asked anyway, for who was deleted
LOOK_RUNS = 200  # runs in one query: SQLite refuses a condition of a thousand terms
REST = 20e-6  # seconds for each who was given something, until the run is looked at again …
LONGEST_REST = 0.05  # … up to this
SHORTEST_REST = 0.001  # less is not worth a timer


@dataclass(eq=False)
class Watch:
    """A run that is followed: `head` is the seq of the last frame that was handed out. While it is
    `resting`, what is new is not handed out."""

    head: int
    subscribers: set[Subscriber] = field(default_factory=set)
    resting: bool = False


class Hub:
    """Follows the event log for everybody in this process.

    It looks when a doorbell rings, reads what is new of all watched runs together, and hands each
    frame, encoded once, to every subscriber of its run. Without a subscriber that waits for an
    unfinished run it reads nothing. It belongs to the event loop on which it was made.

    To write to each of a crowd is dear, however little. So a run that many follow rests between
    two hand-outs, for a time that grows with the crowd: what happens meanwhile is one write each.
    Those who follow other runs wait for nothing.
    """

    def __init__(
        self, doorbells: Sequence[Doorbell] | None = None, *, slow_poll: float = SLOW_POLL
    ) -> None:
        self._reader = Reader("streaming", threads=PAGE_READS + 2)  # the rest for looks
        self._pages = Pages(self._reader)
        self._doorbells = Doorbells(installed_doorbells() if doorbells is None else doorbells)
        self.subscribers: set[Subscriber] = set()
        self._watches: dict[UUID, Watch] = {}
        self._closed = False
        self._lookout = Lookout(
            self._look, lambda: bool(self._watches), self._doorbells, slow_poll=slow_poll
        )
        self.feed = Feed(self._reader, self._doorbells, slow_poll=slow_poll)
        self.endings = Endings(self._reader, self._doorbells, slow_poll=slow_poll)
        self._roll_call_at = 0.0
        self.log_reads = 0  # queries for what is new, however many subscribers there are

    @property
    def watching(self) -> int:
        """How many runs the hub looks for."""
        return len(self._watches)

    @property
    def trouble(self) -> str:
        """Why the log cannot be read and what to do, where that is more than to wait."""
        return self._reader.trouble

    @property
    def live(self) -> int:
        """How many subscribers are offered what is new; the others read the log."""
        return sum(len(watch.subscribers) for watch in self._watches.values())

    @property
    def page_reads(self) -> int:
        """Queries of those who were behind, however many they were."""
        return self._pages.reads

    @asynccontextmanager
    async def subscribe(
        self,
        run_id: UUID,
        *,
        after: int = 0,
        room: Room | None = None,
        straight: Straight | None = None,
    ) -> AsyncIterator[Subscriber]:
        """A subscriber to the events of `run_id` with a seq above `after`: those in the log, then
        those to come, to the terminal one. Subscribers of one client share its `room`; `straight`
        writes to a client that has only this one. Raises UnknownRun, or Closed when the hub is."""
        standing = await self._reader.read(_STANDING.values, run_id)
        if standing is None:
            raise UnknownRun(run_id)
        if self._closed:
            raise Closed
        status, seq = standing
        subscriber = Subscriber(
            self,
            run_id,
            after=after,
            committed=seq,
            finished=status in TERMINAL,
            room=room,
            straight=straight,
        )
        self.subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self.subscribers.discard(subscriber)
            subscriber.fail()  # so that nothing of it is left in the room
            self._leave(subscriber)

    async def page(self, run_id: UUID, *, after: int, limit: int, size: int = PAGE_BYTES) -> Batch:
        """The next frames in the log, for those who are behind: at most `limit`, of `size` bytes
        together."""
        return await self._pages.page(run_id, after=after, limit=limit, size=size)

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of another query of a stream, in the same turns as the pages."""
        return await self._pages.read(query, *args, **kwargs)

    def join(self, subscriber: Subscriber) -> int:
        """Hand new frames to `subscriber`, too; the seq of the last one handed out to others."""
        watch = self._watches.get(subscriber.run_id)
        if watch is None:
            watch = self._watches[subscriber.run_id] = Watch(head=subscriber.committed)
            self._lookout.kick()  # the log may have grown since the subscriber read it
        watch.subscribers.add(subscriber)
        return watch.head

    def hang_up(self) -> None:
        """End every subscription with Closed, now and later."""
        self._closed = True
        for subscriber in self.subscribers:
            subscriber.fail()
        self.feed.hang_up()
        self.endings.hang_up()

    async def close(self) -> None:
        """End every subscription with Closed, and free threads and connections."""
        self.hang_up()
        await self._lookout.stop()
        await self.feed.close()
        await self.endings.close()
        await self._doorbells.close()
        await self._reader.close()

    def _leave(self, subscriber: Subscriber) -> None:
        watch = self._watches.get(subscriber.run_id)
        if watch is not None:
            watch.subscribers.discard(subscriber)
            self._drop_if_deserted(subscriber.run_id, watch)

    def _drop_if_deserted(self, run_id: UUID, watch: Watch) -> None:
        if not watch.subscribers:
            del self._watches[run_id]
            if not self._watches:
                self._lookout.kick()  # to stop

    async def _look(self) -> bool:
        """Hand out what is new of all watched runs; True: there may be more at once."""
        now = asyncio.get_running_loop().time()
        moved = [(run_id, watch) for run_id, watch in self._watches.items() if not watch.resting]
        if moved and (len(moved) > FEW_RUNS or now >= self._roll_call_at):
            moved = await self._call_roll(dict(moved))
            self._roll_call_at = now + ROLL_CALL
        more = False
        for start in range(0, len(moved), LOOK_RUNS):
            some = dict(moved[start : start + LOOK_RUNS])
            heads = {run_id: watch.head for run_id, watch in some.items()}
            page = await self._reader.read(log.read, heads, limit=LOOK_FRAMES, size=LOOK_BYTES)
            self.log_reads += 1
            more |= page.more
            for run_id, of_run in groupby(page, key=attrgetter("run_id")):
                self._hand_out(run_id, some[run_id], Batch(of_run))
                if not page.more:
                    self._rest(some[run_id])
        return more

    async def _call_roll(self, watched: dict[UUID, Watch]) -> list[tuple[UUID, Watch]]:
        """Those of the watched runs that have moved. Whoever follows one that was deleted is
        told."""
        heads = {run_id: watch.head for run_id, watch in watched.items()}
        moved, gone = await self._reader.read(roll_call.call, heads)
        self.log_reads += 1
        for run_id in gone:
            for subscriber in watched[run_id].subscribers:
                subscriber.fail(UnknownRun)
        return [(run_id, watched[run_id]) for run_id in moved]

    def _hand_out(self, run_id: UUID, watch: Watch, batch: Batch) -> None:
        if self._watches.get(run_id) is not watch:
            return  # deserted during the read; a new watch of the run has a head of its own
        watch.head = batch.last
        watch.subscribers = {each for each in watch.subscribers if each.offer(batch)}
        if batch.terminal:
            watch.subscribers.clear()
        self._drop_if_deserted(run_id, watch)

    def _rest(self, watch: Watch) -> None:
        rest = min(REST * len(watch.subscribers), LONGEST_REST)
        if rest >= SHORTEST_REST:
            watch.resting = True
            asyncio.get_running_loop().call_later(rest, self._end_rest, watch)

    def _end_rest(self, watch: Watch) -> None:
        watch.resting = False  # not by the time: a timer may be a little early
        if not self._closed:
            self._lookout.kick()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current() -> Hub:
    """The hub of the running event loop, made when it is first asked for."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def hang_up() -> None:
    """End every stream of the running loop's hub with Closed, and begin no new one."""
    hub = _hubs.get(asyncio.get_running_loop())
    if hub is not None:
        hub.hang_up()


async def close() -> None:
    """Close the running loop's hub, if it has one; the next `current` makes a new one."""
    hub = _hubs.pop(asyncio.get_running_loop(), None)
    if hub is not None:
        await hub.close()


def installed_doorbells() -> list[Doorbell]:
    """Every way in which this installation can say that something moved."""
    doorbells: list[Doorbell] = []
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor == "postgresql":
        doorbells.append(Notifications())
    elif connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]
        doorbells.append(DataVersion(Path(connection.settings_dict["NAME"])))
    if crossing_layer() is not None:
        doorbells.append(Hints())
    return doorbells


_STANDING = CompiledLookup(Run, "status", "seq")
