"""Claiming runs, and keeping what was claimed: conditional updates that decide who executes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from time import monotonic, sleep
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from runs import models
from runs.conf import conf
from runs.db import locking, statements
from runs.db.columns import Row, column, table
from runs.db.compiled import CompiledQuery
from runs.db.dialect import dialect
from runs.db.statements import adapted
from runs.db.transaction import fast_transaction
from runs.engine.events import Event
from runs.engine.journal.ports import Lease
from runs.lifecycle import event_log, notification, pauses
from runs.lifecycle.transitions import STOP, apply_to_all, claim_of, columns
from runs.models import Payload, Run, RunStatus, Worker, WorkflowPause
from runs.scheduling import availability, limits
from runs.scheduling.availability import Only, unknown_before

#: How long `renew` waits for runs that are locked, and between two looks. Seconds.
_RENEW_SECONDS, _RENEW_PAUSE = 0.25, 0.01


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


class _Pending(NamedTuple):
    """What the claim reads of a run; `head` is its thread's newest checkpoint."""

    id: UUID
    thread_id: UUID
    workflow: str
    payload: Any
    attempt: int
    crashes: int
    seq: int
    priority: int
    created_at: datetime
    started_at: datetime | None
    pending_reason: str
    checkpoint_id: UUID | None
    durability: str
    concurrency_key: str | None
    concurrency_limit: int | None
    head: UUID | None


def suspicious() -> int:
    """With so many crashes in a row a run is a suspect: one more would end it."""
    return max(1, conf().max_attempts - 1)


def any_pending(*, apart: bool = False, known: Set[str] | None = None) -> bool:
    """Whether there is something to claim; one look at an index of pending runs. `known`: the
    workflows that the process has; None: any."""
    full = limits.full_workflows()
    if known is None or not availability.others_wait():
        found: Sequence[Sequence[Any]]
        if full:
            claimable = _claimable(full, apart=apart, suspicious=suspicious()).order_by()
            found = list(claimable.values_list("id", "workflow")[:1])
        else:
            found = _first(apart, suspicious()).rows(1)
        if not found:
            return False
        if known is None or found[0][1] in known:
            return True
    return any(query.rows(1) for query in _of_each(_first, known, full, apart))


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
            read = _first_of_all(limit, known, full, apart)
        elif full:
            read = _all_next(full, apart=apart, suspicious=suspicious())[:limit]
        else:
            read = _next(apart, suspicious()).rows(limit)
        free = _on_free_threads([_Pending(*row) for row in read])
        found = limits.fitting(_known(_first_of_each_thread(free), known))
        if not found:
            return []
        now = timezone.now()  # not before the lock was had: no run starts before it was created
        until = now + timedelta(seconds=conf().lease_seconds)
        _record_claims(found, worker_id, now, until)
        notification.notify(ended=False)
        payloads = _payloads(found)
    return [_claimed(run, payloads.get(run.id), apart) for run in found]


def renew(worker_id: UUID, held: Mapping[str, int]) -> set[str]:
    """Say that the worker is alive, and prolong the leases of the runs it executes (`held`: run id
    → attempt). Answers which of them are still its own: a lease that the sweep took back stays
    taken, and one that nobody executes is left to lapse. A run that somebody else has locked for
    long is left out, and costs the others nothing."""
    now = timezone.now()
    Worker.objects.filter(id=worker_id).update(heartbeat_at=now)
    if not held:
        return set()
    own = Run.objects.filter(id__in=held, lease_owner=worker_id, status=RunStatus.RUNNING)
    until = now + timedelta(seconds=conf().lease_seconds)
    give_up_at = monotonic() + _RENEW_SECONDS
    # Most that is locked is being written by this very process, and free in a moment.
    while _prolong(own, until) and monotonic() < give_up_at:
        sleep(_RENEW_PAUSE)
    found = own.values_list("id", "attempt")
    return {str(run_id) for run_id, attempt in found if held[str(run_id)] == attempt}


def _prolong(own: QuerySet[Run], until: datetime) -> bool:
    """Renew those of `own` that are not renewed yet and that nobody has locked. Whether some are
    left."""
    left = own.filter(Q(lease_expires_at__lt=until) | Q(lease_expires_at=None))
    with transaction.atomic():
        Run.objects.filter(pk__in=locking.lock_available(left)).update(lease_expires_at=until)
    return not dialect(connection).locks_whole_database and left.exists()


def give_back(worker_id: UUID, only: Collection[str] | None = None) -> int:
    """Put back what the worker still holds (or `only` these runs), at its last superstep, but for
    what somebody else has locked; their number. Whatever it writes of these runs afterwards is
    fenced off."""
    held = Run.objects.filter(lease_owner=worker_id, status=RunStatus.RUNNING)
    if only is not None:
        held = held.filter(id__in=only, cancel_requested_at=None)
    with transaction.atomic():
        return apply_to_all(locking.lock_available(held), STOP, now=timezone.now())


def in_flight() -> dict[UUID, int]:
    """How many runs each worker holds now, counted from the leases themselves."""
    held = Run.objects.filter(status=RunStatus.RUNNING).values_list("lease_owner")
    return {owner: count for owner, count in held.annotate(Count("id")) if owner is not None}


def begun_on_thread() -> QuerySet[Run]:
    """The other unfinished runs of an outer run's thread that have begun."""
    begun = Run.objects.filter(started_at__isnull=False, finished_at__isnull=True)
    return begun.filter(thread=OuterRef("thread"))


def _claimable(
    full: Collection[str] = (), *, apart: bool, suspicious: int, only: Only | None = None
) -> QuerySet[Run]:
    """The pending runs that nothing keeps from running: the suspects (`apart`), or the others. Who
    has begun on a thread goes on before anybody else begins there, or the two would branch off from
    one state; only a run that waits for an answer holds nobody up, as it may wait for ever. `full`:
    workflows without a place. `only`: those of one workflow, which is not paused."""
    # The first of the two is what the index of suspects says of itself.
    kind = Q(crashes__gt=0, crashes__gte=suspicious) if apart else Q(crashes__lt=suspicious)
    begun = begun_on_thread()
    pending = Run.objects.filter(
        ~Exists(begun.filter(status=RunStatus.RUNNING)),
        Q(started_at__isnull=False) | ~Exists(begun.exclude(status=RunStatus.INTERRUPTED)),
        limits.key_has_room(),
        kind,
        status=RunStatus.PENDING,
        paused_at=None,
    )
    if only is None:
        paused = WorkflowPause.objects.filter(workflow=OuterRef("workflow"), ended_at=None)
        pending = pending.filter(~Exists(paused))
    else:
        pending = pending.filter(~Exists(unknown_before(only)), workflow=only.workflow)
    if full:
        pending = pending.exclude(workflow__in=full)
    return pending.order_by("-priority", "created_at", "id")


def _all_next(
    full: Collection[str] = (), *, apart: bool, suspicious: int, only: Only | None = None
) -> QuerySet[Run, tuple[Any, ...]]:
    # The threads are locked along, so that no two workers take two runs of one at the same time.
    columns = (*_Pending._fields[:-1], "thread__checkpoint_id")
    claimable = _claimable(full, apart=apart, suspicious=suspicious, only=only)
    return claimable.values_list(*columns).select_for_update(skip_locked=True)


@cache
def _first(apart: bool, suspicious: int, only: Only | None = None) -> CompiledQuery:
    claimable = partial(_claimable, apart=apart, suspicious=suspicious, only=only)
    return CompiledQuery(lambda: claimable().order_by().values_list("id", "workflow"))


@cache
def _next(apart: bool, suspicious: int, only: Only | None = None) -> CompiledQuery:
    return CompiledQuery(partial(_all_next, apart=apart, suspicious=suspicious, only=only))


def _of_each(
    build: Callable[[bool, int, Only], CompiledQuery],
    known: Set[str] | None,
    full: Collection[str],
    apart: bool,
) -> list[CompiledQuery]:
    """One query for each known workflow that waits, has a place and is not paused. Where runs of
    other workflows wait too, one query over all would read past each of them: maybe a million."""
    if known is None:
        return []
    mine, closed = frozenset(known), {*full, *pauses.of_workflows()}
    names = [name for name in availability.claimable_workflows(known) if name not in closed]
    return [build(apart, suspicious(), Only(workflow=name, known=mine)) for name in names]


def _first_of_all(
    limit: int, known: Set[str] | None, full: Collection[str], apart: bool
) -> list[Sequence[Any]]:
    """The first `limit` pending runs of the known workflows, in the order of the claim."""
    found = [row for query in _of_each(_next, known, full, apart) for row in query.rows(limit)]
    found.sort(key=lambda row: _order(_Pending(*row)))
    return found[:limit]


def _order(run: _Pending) -> tuple[int, datetime, UUID]:
    return (-run.priority, run.created_at, run.id)


def _known(found: list[_Pending], known: Set[str] | None) -> list[_Pending]:
    if known is None:
        return found
    mine = [run for run in found if run.workflow in known]
    if len(mine) < len(found):
        availability.met_another()
    return mine


_BUSY = (
    f"SELECT {column(Run, 'thread_id')} FROM {table(Run)} "  # noqa: S608
    f"WHERE {column(Run, 'status')} = '{RunStatus.RUNNING}'"
    f" AND {column(Run, 'thread_id')} = ANY(%s::uuid[])"
)


def _on_free_threads(found: list[_Pending]) -> list[_Pending]:
    if not found or dialect(connection).locks_whole_database:
        return found  # SQLite: the transaction holds the whole database
    # Looked at once more: the query above may have begun before another one's commit.
    threads = [str(run.thread_id) for run in found]
    busy = {thread_id for (thread_id,) in statements.fetch(connection, _BUSY, [threads])}
    return [run for run in found if run.thread_id not in busy]


def _first_of_each_thread(found: Sequence[_Pending]) -> list[_Pending]:
    first: dict[UUID, _Pending] = {}
    for run in found:
        first.setdefault(run.thread_id, run)
    return list(first.values())


def _record_claims(
    found: Sequence[_Pending], worker_id: UUID, now: datetime, until: datetime
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


def _payloads(found: Sequence[_Pending]) -> dict[UUID, Any]:
    """What the runs begin with; one query for those that are large. A replay from a checkpoint goes
    on there: its payload, kept to be seen, went in before."""
    begin = [run for run in found if run.checkpoint_id is None]
    apart = [run.id for run in begin if run.payload is None]
    large = Payload.objects.filter(run__in=apart).values_list("run", "value") if apart else ()
    return {run.id: run.payload for run in begin} | dict(large)


def _claimed(run: _Pending, payload: Any, apart: bool) -> Claimed:
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
