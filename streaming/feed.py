"""The feed: which runs were created, changed or deleted, as lists of runs show them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Max
from django.utils import timezone

from runs.models import TERMINAL, DeletedRun, Run
from runs.summaries import COLUMNS, summarise
from streaming.deletions import Deletions
from streaming.listening.listeners import ChangeListeners
from streaming.listening.poller import Poller
from streaming.reader import Closed, Reader

PAUSE = 0.1  # seconds between two looks: what a run does in between is told as one change
NEAR = timedelta(seconds=2)  # how far back each look goes: commits are not in the order of time
FAR = timedelta(seconds=60)  # how far back one look in a while goes: clocks of hosts differ
FAR_EVERY = 5.0  # seconds
WAITING = 2_000  # runs that may wait for one subscriber
SUMMARIES_A_READ = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What makes a change worth telling: two equal marks of a run are the same news."""

    status: str
    step: int
    attempt: int
    is_paused: bool
    cancel_requested: bool


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which runs; None and the empty set: all."""

    workflow: str | None = None
    statuses: frozenset[str] = frozenset()
    thread_id: UUID | None = None


EVERYTHING = Filter()

_MARKED = ("status", "step", "attempt", "paused_at", "cancel_requested_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A run as it is now, without a status when it was deleted; `body` is the frame for clients,
    encoded."""

    run_id: UUID
    thread_id: UUID
    workflow: str
    status: str | None
    created_at: datetime
    body: bytes


class Lagging(Exception):
    """The subscriber did not read for so long that its news were dropped; it should begin anew."""


class FeedSubscriber:
    """The changes that pass one filter, newest state per run. A run that no longer passes is
    given once more, so that a list can drop it. `since`: runs created before may be on the
    client's list already."""

    def __init__(self, wanted: Filter, *, since: datetime) -> None:
        self._wanted = wanted
        self._since = since
        self._passed: dict[UUID, bool] = {}
        self._waiting: dict[UUID, bytes] = {}
        self._fed = asyncio.Event()
        self._failure: type[Exception] | None = None

    async def next(self) -> Sequence[bytes]:
        """The frames of the runs that changed, at least one. Raises Lagging when too many were
        waiting, Closed when the hub closes."""
        await self._fed.wait()
        self._fed.clear()
        if self._failure is not None:
            raise self._failure
        frames = tuple(self._waiting.values())
        self._waiting.clear()
        return frames

    def offer(self, change: Change) -> None:
        """Take `change` if it passes the filter, in place of an older one of the same run."""
        if self._failure is not None or not self._wants(change):
            return
        self._waiting.pop(change.run_id, None)
        self._waiting[change.run_id] = change.body
        self._fed.set()
        if len(self._waiting) > WAITING:
            self.fail(Lagging)

    def fail(self, failure: type[Exception]) -> None:
        """Make `next` raise `failure`, now and later."""
        self._failure = failure
        self._waiting.clear()
        self._fed.set()

    def _wants(self, change: Change) -> bool:
        wanted = self._wanted
        if wanted.workflow not in (None, change.workflow):
            return False
        if wanted.thread_id not in (None, change.thread_id):
            return False
        if change.status is None:  # whether the client has it on its list, the client knows
            self._passed.pop(change.run_id, None)
            return True
        passes = not wanted.statuses or change.status in wanted.statuses
        passed = self._passed.pop(change.run_id, change.created_at <= self._since)
        if change.status not in TERMINAL:
            self._passed[change.run_id] = passes
        return passes or passed


class Feed:
    """Finds changed runs by `updated_at` and tells each change to every subscriber once.

    A commit may become visible after a later one, so each look goes back over a window and leaves
    out what it has told. One query finds what changed, one more reads it, one finds what was
    deleted; none while nobody listens.
    """

    def __init__(self, reader: Reader, listeners: ChangeListeners, *, slow_poll: float) -> None:
        self._reader = reader
        self._deletions = Deletions(reader)
        self._subscribers: set[FeedSubscriber] = set()
        self._told: dict[UUID, tuple[datetime, Mark]] = {}
        self._edge: datetime | None = None  # the newest updated_at that was seen
        self._next_far = 0.0
        self._beginning = asyncio.Lock()
        self._poller = Poller(
            self._look,
            lambda: bool(self._subscribers),
            listeners,
            slow_poll=slow_poll,
            pause=PAUSE,
        )

    @asynccontextmanager
    async def subscribe(self, wanted: Filter = EVERYTHING) -> AsyncIterator[FeedSubscriber]:
        """A subscriber that is told every change that is committed from now on."""
        async with self._beginning:
            since = self._edge or await self._begin()
            subscriber = FeedSubscriber(wanted, since=since)
            self._subscribers.add(subscriber)
        self._poller.wake()
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)
            if not self._subscribers:
                self._edge = None
                self._poller.wake()

    def hang_up(self) -> None:
        """Make every subscriber raise Closed."""
        for subscriber in self._subscribers:
            subscriber.fail(Closed)

    async def close(self) -> None:
        """Make every subscriber raise Closed, and stop."""
        self.hang_up()
        await self._poller.stop()

    async def _begin(self) -> datetime:
        """What is there already is no news; the newest `updated_at` of it."""
        await self._deletions.begin(FAR)
        edge = await self._reader.read(_newest)
        rows = await self._reader.read(_marks, edge - FAR)
        self._told = {run_id: (updated, mark) for run_id, updated, mark in rows}
        self._edge = edge
        return edge

    async def _look(self) -> bool:
        edge = self._edge
        if edge is None:
            return False
        window = self._window()
        rows = await self._reader.read(_marks, edge - window)
        new = [
            run_id for run_id, _, mark in rows if self._told.get(run_id, (None, None))[1] != mark
        ]
        for start in range(0, len(new), SUMMARIES_A_READ):
            await self._tell(new[start : start + SUMMARIES_A_READ])
        if rows and self._edge is not None:
            # A host whose clock is ahead must not drag the window past the others' commits.
            self._edge = max(edge, min(rows[-1][1], timezone.now()))
        for deleted in await self._deletions.news(window, FAR):
            self._offer(_farewell(deleted))
        return False

    async def _tell(self, run_ids: Sequence[UUID]) -> None:
        for row in await self._reader.read(_rows, run_ids):
            self._told[row["id"]] = (row["updated_at"], _mark(row))
            change = Change(
                run_id=row["id"],
                thread_id=row["thread_id"],
                workflow=row["workflow"],
                status=row["status"],
                created_at=row["created_at"],
                body=orjson.dumps({"event": "run", "data": summarise(row)}),
            )
            self._offer(change)

    def _offer(self, change: Change) -> None:
        for subscriber in self._subscribers:
            subscriber.offer(change)

    def _window(self) -> timedelta:
        """How far back to look; now and then far, and what is older still is forgotten."""
        now = asyncio.get_running_loop().time()
        if now < self._next_far or self._edge is None:
            return NEAR
        self._next_far = now + FAR_EVERY
        oldest = self._edge - FAR
        self._told = {run_id: told for run_id, told in self._told.items() if told[0] >= oldest}
        return FAR


def _farewell(deleted: DeletedRun) -> Change:
    return Change(
        run_id=deleted.id,
        thread_id=deleted.thread_id,
        workflow=deleted.workflow,
        status=None,
        created_at=deleted.deleted_at,
        body=orjson.dumps({"event": "deleted", "run_id": str(deleted.id)}),
    )


def _newest() -> datetime:
    newest: datetime | None = Run.objects.aggregate(newest=Max("updated_at"))["newest"]
    return min(newest, timezone.now()) if newest else timezone.now() - FAR


def _marks(since: datetime) -> list[tuple[UUID, datetime, Mark]]:
    """The runs that changed at `since` or later, the last changed last."""
    rows = (
        Run.objects.filter(updated_at__gte=since)
        .order_by("updated_at")
        .values("id", "updated_at", *_MARKED)
    )
    return [(row["id"], row["updated_at"], _mark(row)) for row in rows]


def _mark(row: Mapping[str, Any]) -> Mark:
    return Mark(
        status=row["status"],
        step=row["step"],
        attempt=row["attempt"],
        is_paused=row["paused_at"] is not None,
        cancel_requested=row["cancel_requested_at"] is not None,
    )


def _rows(run_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    return list(
        Run.objects.filter(id__in=run_ids).order_by("updated_at").values(*{*COLUMNS, *_MARKED})
    )
