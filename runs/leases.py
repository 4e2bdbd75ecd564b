"""Claiming runs, and keeping what was claimed: conditional updates that decide who executes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from runs import doorbell, rows
from runs.conf import conf
from runs.engine import events
from runs.engine.ports import Lease
from runs.models import Event, Run, RunStatus, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run that this process may execute now, under `lease`. `checkpoint_id` is where it goes on:
    the run's own place, or else its thread's newest; None on a thread without any. `payload` is
    None for a run that has a place of its own."""

    lease: Lease
    workflow: str
    payload: Any
    checkpoint_id: str | None
    suspect: bool = False


def any_pending() -> bool:
    """Whether there may be something to claim; one look at an index of pending runs."""
    return _claimable().exists()


def claim(worker_id: UUID, limit: int, *, idle: bool = True) -> list[Claimed]:
    """Take up to `limit` pending runs, first by priority, then by age: running from now on, with a
    lease, the next attempt number, and the event that says so, all in one transaction. Of a thread
    at most one run is ever running.

    A run whose next crash would be its last is a suspect: it is taken alone, by a worker that is
    `idle`, so that it cannot take innocent runs with it, nor they it.
    """
    with transaction.atomic():
        found = _apart(_first_of_each_thread(_locked(limit)), idle=idle)
        if not found:
            return []
        now = timezone.now()  # not before the lock was had: no run starts before it was created
        ids = [run.id for run in found]
        Run.objects.filter(id__in=ids).update(
            status=RunStatus.RUNNING,
            attempt=F("attempt") + 1,
            entries=0,
            seq=F("seq") + 1,
            started_at=Coalesce("started_at", now),
            lease_owner=worker_id,
            lease_expires_at=now + timedelta(seconds=conf().lease_seconds),
            wake_at=None,
            updated_at=now,
        )
        rows.insert(connection, Event, rows.EVENT, [_begun(run, worker_id, now) for run in found])
        doorbell.announce()
    return [_claimed(run) for run in found]


def cleared(run_ids: Collection[str]) -> bool:
    """Whether none of these suspects is one any more: each has got further since, or has ended."""
    return not Run.objects.filter(id__in=run_ids, status=RunStatus.RUNNING, crashes__gt=0).exists()


def renew(worker_id: UUID, held: Mapping[str, int]) -> set[str]:
    """Say that the worker is alive, and prolong the leases of the runs it executes (`held`: run id
    → attempt), in three statements. Answers which of them are still its own: a lease that the
    sweep took back stays taken, and one that nobody executes is left to lapse."""
    now = timezone.now()
    Worker.objects.filter(id=worker_id).update(heartbeat_at=now)
    if not held:
        return set()
    own = Run.objects.filter(id__in=held, lease_owner=worker_id, status=RunStatus.RUNNING)
    own.update(lease_expires_at=now + timedelta(seconds=conf().lease_seconds))
    found = own.values_list("id", "attempt")
    return {str(run_id) for run_id, attempt in found if held[str(run_id)] == attempt}


def give_back(worker_id: UUID) -> None:
    """Put back what the worker still holds, at its last superstep. Whatever it writes of these runs
    afterwards is fenced off."""
    Run.objects.filter(lease_owner=worker_id, status=RunStatus.RUNNING).update(
        status=RunStatus.PENDING, lease_owner=None, lease_expires_at=None, updated_at=timezone.now()
    )


def in_flight() -> dict[UUID, int]:
    """How many runs each worker holds now, counted from the leases themselves."""
    held = Run.objects.filter(status=RunStatus.RUNNING).values_list("lease_owner")
    return {owner: count for owner, count in held.annotate(Count("id")) if owner is not None}


def _claimable() -> QuerySet[Run]:
    busy = Run.objects.filter(thread=OuterRef("thread"), status=RunStatus.RUNNING)
    pending = Run.objects.filter(~Exists(busy), status=RunStatus.PENDING)
    return pending.order_by("-priority", "created_at", "id")


def _locked(limit: int) -> list[Run]:
    query = _claimable().select_related("thread")
    if not connection.features.has_select_for_update:
        return list(query[:limit])  # SQLite: the transaction holds the whole database
    # The thread is locked along, so that no two workers take two runs of it at the same time ...
    found = list(query.select_for_update(of=("self", "thread"), skip_locked=True)[:limit])
    # ... and looked at once more: the query above may have begun before another one's commit.
    busy = set(
        Run.objects.filter(
            thread__in=[run.thread_id for run in found], status=RunStatus.RUNNING
        ).values_list("thread_id", flat=True)
    )
    return [run for run in found if run.thread_id not in busy]


def _first_of_each_thread(found: Sequence[Run]) -> list[Run]:
    first: dict[UUID, Run] = {}
    for run in found:
        first.setdefault(run.thread_id, run)
    return list(first.values())


def _apart(found: Sequence[Run], *, idle: bool) -> list[Run]:
    if found and _is_suspect(found[0]):
        return [found[0]] if idle else []  # whoever is not idle takes nothing more until it is
    return list(takewhile(lambda run: not _is_suspect(run), found))


def _is_suspect(run: Run) -> bool:
    return run.crashes >= max(1, conf().max_attempts - 1)


def _begun(run: Run, worker_id: UUID, now: datetime) -> rows.Row:
    attempt = run.attempt + 1
    if run.wake_at is not None:  # it was waiting, and its time has come
        name = events.RESUMED
    else:
        name = events.STARTED if attempt == 1 else events.RECOVERED
    data = orjson.dumps({"attempt": attempt, "worker": str(worker_id)})
    return (run.id, run.seq + 1, name, now, "", None, "", None, data)


def _claimed(run: Run) -> Claimed:
    place = run.checkpoint_id or run.thread.checkpoint_id
    return Claimed(
        lease=Lease(
            run_id=str(run.id),
            thread_id=str(run.thread_id),
            attempt=run.attempt + 1,
            created_ms=int(run.created_at.timestamp() * 1000),
        ),
        workflow=run.workflow,
        # A replay from a checkpoint goes on there; its payload, kept to be seen, went in before.
        payload=None if run.checkpoint_id else run.payload,
        checkpoint_id=str(place) if place else None,
        suspect=_is_suspect(run),
    )
