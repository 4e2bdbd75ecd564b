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
from runs.frames import Frame
from runs.models import TERMINAL, Run
from streaming import roll_call
from streaming.data_version import DataVersion
from streaming.doorbell import Doorbell, Doorbells
from streaming.feed import Feed
from streaming.hints import Hints, crossing_layer
from streaming.lookout import Lookout
from streaming.notifications import Notifications
from streaming.reader import Closed, Reader
from streaming.subscriber import Room, Subscriber, UnknownRun

P = ParamSpec("P")
T = TypeVar("T")

SLOW_POLL = 1.0  # seconds between two looks when no doorbell rings
PAGE_READS = 2  # pages that are read at the same time, for all who are behind
LOOK_FRAMES = 1000  # the most that one query gives; a further one gives the rest
FEW_RUNS = 20  # of more than these it is asked first which have moved
ROLL_CALL = 1.0  # seconds after which it is asked anyway, for who was deleted
LOOK_RUNS = 200  # runs in one query: SQLite refuses a condition of a thousand terms


@dataclass(eq=False)
class Watch:
    """A run that is followed: `head` is the seq of the last frame that was handed out."""

    head: int
    subscribers: set[Subscriber] = field(default_factory=set)


class Hub:
    """Follows the event log for everybody in this process.

    It looks when a doorbell rings, reads what is new of all watched runs together, and hands each
    frame, encoded once, to every subscriber of its run. Without a subscriber that waits for an
    unfinished run it does nothing. It belongs to the event loop on which it was made.
    """

    def __init__(
        self, doorbells: Sequence[Doorbell] | None = None, *, slow_poll: float = SLOW_POLL
    ) -> None:
        self._reader = Reader("streaming", threads=PAGE_READS + 1)
        self._page_turns = asyncio.Semaphore(PAGE_READS)
        self._doorbells = Doorbells(installed_doorbells() if doorbells is None else doorbells)
        self.subscribers: set[Subscriber] = set()
        self._watches: dict[UUID, Watch] = {}
        self._closed = False
        self._lookout = Lookout(
            self._look, lambda: bool(self._watches), self._doorbells, slow_poll=slow_poll
        )
        self.feed = Feed(self._reader, self._doorbells, slow_poll=slow_poll)
        self._roll_call_at = 0.0
        self.log_reads = 0  # queries for what is new, however many subscribers there are

    @property
    def watching(self) -> int:
        """How many runs the hub looks for."""
        return len(self._watches)

    @property
    def live(self) -> int:
        """How many subscribers are offered what is new; the others read the log."""
        return sum(len(watch.subscribers) for watch in self._watches.values())

    @asynccontextmanager
    async def subscribe(
        self, run_id: UUID, *, after: int = 0, room: Room | None = None
    ) -> AsyncIterator[Subscriber]:
        """A subscriber to the events of `run_id` with a seq above `after`: those in the log, then
        those to come, to the terminal one. Subscribers of one client share its `room`. Raises
        UnknownRun, or Closed when the hub is."""
        standing = await self._reader.read(_standing, run_id)
        if standing is None:
            raise UnknownRun(run_id)
        if self._closed:
            raise Closed
        status, seq = standing
        subscriber = Subscriber(
            self, run_id, after=after, committed=seq, finished=status in TERMINAL, room=room
        )
        self.subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self.subscribers.discard(subscriber)
            subscriber.fail()  # so that nothing of it is left in the room
            self._leave(subscriber)

    async def page(self, run_id: UUID, *, after: int, limit: int) -> list[Frame]:
        """The next frames in the log, for one subscriber alone. Those who are behind take turns,
        so that the look for everybody never waits for them."""
        async with self._page_turns:
            return await self._reader.read(log.read, {run_id: after}, limit=limit)

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of another query of a stream, in the same turns as the pages."""
        async with self._page_turns:
            return await self._reader.read(query, *args, **kwargs)

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

    async def close(self) -> None:
        """End every subscription with Closed, and free threads and connections."""
        self.hang_up()
        await self._lookout.stop()
        await self.feed.close()
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
        moved = list(self._watches.items())
        loop = asyncio.get_running_loop()
        if len(moved) > FEW_RUNS or loop.time() >= self._roll_call_at:
            moved = await self._call_roll(dict(moved))
            self._roll_call_at = loop.time() + ROLL_CALL
        more = False
        for start in range(0, len(moved), LOOK_RUNS):
            some = dict(moved[start : start + LOOK_RUNS])
            heads = {run_id: watch.head for run_id, watch in some.items()}
            frames = await self._reader.read(log.read, heads, limit=LOOK_FRAMES)
            self.log_reads += 1
            more |= len(frames) == LOOK_FRAMES
            for run_id, of_run in groupby(frames, key=attrgetter("run_id")):
                self._hand_out(run_id, some[run_id], list(of_run))
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

    def _hand_out(self, run_id: UUID, watch: Watch, frames: Sequence[Frame]) -> None:
        if self._watches.get(run_id) is not watch:
            return  # deserted during the read; a new watch of the run has a head of its own
        watch.head = frames[-1].seq
        watch.subscribers = {each for each in watch.subscribers if each.offer(frames)}
        if frames[-1].terminal:
            watch.subscribers.clear()
        self._drop_if_deserted(run_id, watch)


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


def _standing(run_id: UUID) -> tuple[str, int] | None:
    return Run.objects.filter(id=run_id).values_list("status", "seq").first()
