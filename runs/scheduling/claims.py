"""Claiming runs: one conditional update decides who executes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.utils import timezone

from runs import models
from runs.conf import conf
from runs.db import statements
from runs.db.columns import Row
from runs.db.dialect import dialect
from runs.db.statements import adapted
from runs.db.transaction import fast_transaction
from runs.engine.events import Event
from runs.engine.journal.ports import Lease
from runs.lifecycle import event_log, notification
from runs.lifecycle.transitions import claim_of, columns
from runs.models import Payload, Run
from runs.scheduling import availability, limits
from runs.scheduling.claimable import (
    PendingRun,
    first_pending,
    next_query,
    next_runs,
    of_known_workflows,
    on_free_threads,
    one_per_thread,
    suspicious,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run that this process may execute now, under `lease`. `checkpoint_id` is where it goes on:
    the run's own place, or else its thread's newest; None on a thread without any. `payload` is
    None for a run that has a place of its own."""

    lease: Lease
    workflow: str
    payload: Any
    checkpoint_id: str | None
    durability: str = "sync"


def claim(
    worker_id: UUID, limit: int, *, apart: bool = False, known: Set[str] | None = None
) -> list[Claimed]:
    """Take up to `limit` pending runs, first by priority, then by age: running from now on, with a
    lease, the next attempt number, and the event that says so, all in one transaction. Of a thread
    at most one run is ever running; of a key or a workflow with a limit at most so many. What
    waits for a place holds up nobody else, but may make a batch smaller than it could be: the next
    one has the rest.

    A run whose next crash would be its last is a suspect: it is taken by those only who execute
    `apart`, in a process that has no other run, so that it cannot take innocent ones with it, nor
    they it. With its next superstep it goes back to the queue, and is one of the others again.

    Runs of workflows that are not `known` are left to processes that have them (None: all are
    known). A run of one holds up the later runs of its thread, for their order is that of the
    thread.
    """
    knew = known is None or availability.others_wait()
    claimed = _claim(worker_id, limit, apart, known)
    if not claimed and not knew and availability.others_wait():
        claimed = _claim(worker_id, limit, apart, known)
    return claimed


def _claim(worker_id: UUID, limit: int, apart: bool, known: Set[str] | None) -> list[Claimed]:
    full = limits.full_workflows()
    mixed = known is not None and availability.others_wait()
    with fast_transaction(connection):
        read: Iterable[Sequence[Any]]
        if mixed:
            read = first_pending(limit, known, full, apart)
        elif full:
            read = next_query(full, apart=apart, suspicious=suspicious())[:limit]
        else:
            read = next_runs(apart, suspicious()).rows(limit)
        free = on_free_threads([PendingRun(*row) for row in read])
        found = limits.fitting(of_known_workflows(one_per_thread(free), known))
        if not found:
            return []
        now = timezone.now()  # not before the lock was had: no run starts before it was created
        until = now + timedelta(seconds=conf().lease_seconds)
        _record_claims(found, worker_id, now, until)
        notification.notify(ended=False)
        payloads = _payloads(found)
    return [_claimed(run, payloads.get(run.id), apart) for run in found]


def _record_claims(
    found: Sequence[PendingRun], worker_id: UUID, now: datetime, until: datetime
) -> None:
    """Update the claimed runs and append their events. `found` is what was read: the rows are
    locked."""
    as_form = dialect(connection)
    changes: list[dict[str, Any]] = []
    events: list[Row] = []
    for run in found:
        transition = claim_of(run.pending_reason, run.attempt)
        data = orjson.dumps({"attempt": run.attempt + 1, "worker": str(worker_id)})
        event = Event(name=transition.event or "", ts=now, data=data)
        events += event_log.rows(as_form, str(run.id), run.seq, [event])
        changes.append(
            columns(
                transition,
                now=now,
                attempt=run.attempt + 1,
                entries=0,
                seq=event_log.seq_after(run.seq, [event]),
                started_at=run.started_at or now,
                lease_owner=worker_id,
                lease_expires_at=until,
            )
        )
    values = [(*change.values(), run.id) for change, run in zip(changes, found, strict=True)]
    statements.update(connection, Run, tuple(changes[0]), adapted(connection, values))
    statements.insert(connection, models.Event, event_log.EVENT_COLUMNS, events)


def _payloads(found: Sequence[PendingRun]) -> dict[UUID, Any]:
    """What the runs begin with; one query for those that are large. A replay from a checkpoint goes
    on there: its payload, kept to be seen, went in before."""
    begin = [run for run in found if run.checkpoint_id is None]
    apart = [run.id for run in begin if run.payload is None]
    large = Payload.objects.filter(run__in=apart).values_list("run", "value") if apart else ()
    return {run.id: run.payload for run in begin} | dict(large)


def _claimed(run: PendingRun, payload: Any, apart: bool) -> Claimed:
    place = run.checkpoint_id or run.head
    return Claimed(
        lease=Lease(
            run_id=str(run.id),
            thread_id=str(run.thread_id),
            attempt=run.attempt + 1,
            created_ms=int(run.created_at.timestamp() * 1000),
            apart=apart,
        ),
        workflow=run.workflow,
        payload=payload,
        checkpoint_id=str(place) if place else None,
        durability=run.durability,
    )
