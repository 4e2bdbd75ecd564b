"""Which runs may be claimed, and in what order: the queries of the claim."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence, Set
from datetime import datetime
from functools import cache, partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from runs.conf import conf
from runs.db import statements
from runs.db.columns import column, table
from runs.db.compiled import CompiledQuery
from runs.db.dialect import dialect
from runs.lifecycle import pauses
from runs.models import Run, RunStatus, WorkflowPause
from runs.scheduling import availability, limits
from runs.scheduling.availability import Only, unknown_before


class PendingRun(NamedTuple):
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


def next_query(
    full: Collection[str] = (), *, apart: bool, suspicious: int, only: Only | None = None
) -> QuerySet[Run, tuple[Any, ...]]:
    # The threads are locked along, so that no two workers take two runs of one at the same time.
    columns = (*PendingRun._fields[:-1], "thread__checkpoint_id")
    claimable = _claimable(full, apart=apart, suspicious=suspicious, only=only)
    return claimable.values_list(*columns).select_for_update(skip_locked=True)


@cache
def _first(apart: bool, suspicious: int, only: Only | None = None) -> CompiledQuery:
    claimable = partial(_claimable, apart=apart, suspicious=suspicious, only=only)
    return CompiledQuery(lambda: claimable().order_by().values_list("id", "workflow"))


@cache
def next_runs(apart: bool, suspicious: int, only: Only | None = None) -> CompiledQuery:
    return CompiledQuery(partial(next_query, apart=apart, suspicious=suspicious, only=only))


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


def first_pending(
    limit: int, known: Set[str] | None, full: Collection[str], apart: bool
) -> list[Sequence[Any]]:
    """The first `limit` pending runs of the known workflows, in the order of the claim."""
    found = [row for query in _of_each(next_runs, known, full, apart) for row in query.rows(limit)]
    found.sort(key=lambda row: _order(PendingRun(*row)))
    return found[:limit]


def _order(run: PendingRun) -> tuple[int, datetime, UUID]:
    return (-run.priority, run.created_at, run.id)


def of_known_workflows(found: list[PendingRun], known: Set[str] | None) -> list[PendingRun]:
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


def on_free_threads(found: list[PendingRun]) -> list[PendingRun]:
    if not found or dialect(connection).locks_whole_database:
        return found  # SQLite: the transaction holds the whole database
    # Looked at once more: the query above may have begun before another one's commit.
    threads = [str(run.thread_id) for run in found]
    busy = {thread_id for (thread_id,) in statements.fetch(connection, _BUSY, [threads])}
    return [run for run in found if run.thread_id not in busy]


def one_per_thread(found: Sequence[PendingRun]) -> list[PendingRun]:
    first: dict[UUID, PendingRun] = {}
    for run in found:
        first.setdefault(run.thread_id, run)
    return list(first.values())
