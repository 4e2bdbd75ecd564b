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
from runs.queries.summaries import COLUMNS, summarise
from streaming.hub.deleted_runs import Deletions
from streaming.hub.reader import Closed, Reader
from streaming.listening.listeners import ChangeListeners
from streaming.listening.poller import Poller

PAUSE_SECONDS = 0.1  # between two looks: what a run does in between is one change
NEAR = timedelta(seconds=2)  # how far back each look goes: commits are not in the order of time
FAR = timedelta(seconds=60)  # how far back one look in a while goes: clocks of hosts differ
FAR_EVERY_SECONDS = 5.0  # seconds
MAX_WAITING_RUNS = 2_000  # for one subscriber
SUMMARIES_A_READ = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeKey:
    """The columns that make a change: a run whose key is unchanged is not reported again."""

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

_KEY_COLUMNS = ("status", "step", "attempt", "paused_at", "cancel_requested_at")


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


class SubscriberTooSlow(Exception):
    """The subscriber did not read for so long that its changes were dropped: it must start anew."""


class FeedSubscriber:
    """The changes that pass one filter, newest state per run. A run that no longer passes is
    given once more, so that a list can drop it. `since`: runs created before may be on the
    client's list already."""

    def __init__(self, filter: Filter, *, since: datetime) -> None:
        self._filter = filter
        self._since = since
        self._passed: dict[UUID, bool] = {}
        self._waiting: dict[UUID, bytes] = {}
        self._ready = asyncio.Event()
        self._failure: type[Exception] | None = None

    async def next(self) -> Sequence[bytes]:
        """The frames of the runs that changed, at least one.

        Raises SubscriberTooSlow if too many were waiting, and Closed when the hub closes.
        """
        await self._ready.wait()
        self._ready.clear()
        if self._failure is not None:
            raise self._failure
        frames = tuple(self._waiting.values())
        self._waiting.clear()
        return frames

    def offer(self, change: Change) -> None:
        """Take `change` if it passes the filter, in place of an older one of the same run."""
        if self._failure is not None or not self._is_relevant(change):
            return
        self._waiting.pop(change.run_id, None)
        self._waiting[change.run_id] = change.body
        self._ready.set()
        if len(self._waiting) > MAX_WAITING_RUNS:
            self.fail(SubscriberTooSlow)

    def fail(self, failure: type[Exception]) -> None:
        """Make `next` raise `failure`, now and later."""
        self._failure = failure
        self._waiting.clear()
        self._ready.set()

    def _is_relevant(self, change: Change) -> bool:
        filter = self._filter
        if filter.workflow not in (None, change.workflow):
            return False
        if filter.thread_id not in (None, change.thread_id):
            return False
        if change.status is None:  # the client knows whether it has the run on its list
            self._passed.pop(change.run_id, None)
            return True
        passes = not filter.statuses or change.status in filter.statuses
        passed = self._passed.pop(change.run_id, change.created_at <= self._since)
        if change.status not in TERMINAL:
            self._passed[change.run_id] = passes
        return passes or passed


class Feed:
    """Finds changed runs by `updated_at` and reports each change to every subscriber once.

    A commit may become visible after a later one. So each look goes back over a window and leaves
    out what it has reported. One query finds the changed runs, one reads them, one finds the
    deleted ones. Without subscribers there are no queries.
    """

    def __init__(self, reader: Reader, listeners: ChangeListeners, *, slow_poll: float) -> None:
        self._reader = reader
        self._deletions = Deletions(reader)
        self._subscribers: set[FeedSubscriber] = set()
        self._reported: dict[UUID, tuple[datetime, ChangeKey]] = {}
        self._edge: datetime | None = None  # the newest updated_at that was seen
        self._next_far = 0.0
        self._beginning = asyncio.Lock()
        self._poller = Poller(
            self._look,
            lambda: bool(self._subscribers),
            listeners,
            slow_poll=slow_poll,
            pause=PAUSE_SECONDS,
        )

    @asynccontextmanager
    async def subscribe(self, filter: Filter = EVERYTHING) -> AsyncIterator[FeedSubscriber]:
        """A subscriber to all changes that are committed from now on."""
        async with self._beginning:
            since = self._edge or await self._begin()
            subscriber = FeedSubscriber(filter, since=since)
            self._subscribers.add(subscriber)
        self._poller.wake()
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)
            if not self._subscribers:
                self._edge = None
                self._poller.wake()

    def disconnect_all(self) -> None:
        """Make every subscriber raise Closed."""
        for subscriber in self._subscribers:
            subscriber.fail(Closed)

    async def close(self) -> None:
        """Make every subscriber raise Closed, and stop."""
        self.disconnect_all()
        await self._poller.stop()

    async def _begin(self) -> datetime:
        """Count the existing runs as reported; return their newest `updated_at`."""
        await self._deletions.begin(FAR)
        edge = await self._reader.read(_newest)
        rows = await self._reader.read(_change_keys, edge - FAR)
        self._reported = {run_id: (updated, key) for run_id, updated, key in rows}
        self._edge = edge
        return edge

    async def _look(self) -> bool:
        edge = self._edge
        if edge is None:
            return False
        window = self._window()
        rows = await self._reader.read(_change_keys, edge - window)
        new = [
            run_id for run_id, _, key in rows if self._reported.get(run_id, (None, None))[1] != key
        ]
        for start in range(0, len(new), SUMMARIES_A_READ):
            await self._report(new[start : start + SUMMARIES_A_READ])
        if rows and self._edge is not None:
            # A host with a fast clock must not move the window past the commits of others.
            self._edge = max(edge, min(rows[-1][1], timezone.now()))
        for deleted in await self._deletions.read_new(window, FAR):
            self._offer(_deleted_change(deleted))
        return False

    async def _report(self, run_ids: Sequence[UUID]) -> None:
        for row in await self._reader.read(_rows, run_ids):
            self._reported[row["id"]] = (row["updated_at"], _change_key(row))
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
        self._next_far = now + FAR_EVERY_SECONDS
        oldest = self._edge - FAR
        recent = {run_id: entry for run_id, entry in self._reported.items() if entry[0] >= oldest}
        self._reported = recent
        return FAR


def _deleted_change(deleted: DeletedRun) -> Change:
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


def _change_keys(since: datetime) -> list[tuple[UUID, datetime, ChangeKey]]:
    """The runs that changed at `since` or later, the last changed last."""
    rows = (
        Run.objects.filter(updated_at__gte=since)
        .order_by("updated_at")
        .values("id", "updated_at", *_KEY_COLUMNS)
    )
    return [(row["id"], row["updated_at"], _change_key(row)) for row in rows]


def _change_key(row: Mapping[str, Any]) -> ChangeKey:
    return ChangeKey(
        status=row["status"],
        step=row["step"],
        attempt=row["attempt"],
        is_paused=row["paused_at"] is not None,
        cancel_requested=row["cancel_requested_at"] is not None,
    )


def _rows(run_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    return list(
        Run.objects.filter(id__in=run_ids).order_by("updated_at").values(*{*COLUMNS, *_KEY_COLUMNS})
    )
