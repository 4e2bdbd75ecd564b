"""The account of a storm: what became of every run that was accepted, from the event log and the
journal themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, QuerySet

from artifacts.models import Artifact
from runs.engine import events
from runs.models import TERMINAL, Checkpoint, Event, PendingWrite, Run, RunStatus
from runs.scheduling.recovery import CRASHED
from runs.worker.executor import RESULT

_CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Blow:
    """Something that was done at `at`, and the runs that it hit."""

    kind: str
    at: datetime
    hit: Sequence[UUID]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A run that went on `seconds` after a blow."""

    seconds: float
    kind: str
    run_id: UUID


@dataclass(kw_only=True)
class Account:
    """`given_up` are runs that failed because blow after blow hit them before they got any further:
    that is promised, too, and no fault. `not_completed` are those that failed otherwise."""

    created: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    lost: list[UUID] = field(default_factory=list)
    given_up: list[UUID] = field(default_factory=list)
    not_completed: list[UUID] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    holes: list[UUID] = field(default_factory=list)
    different: list[UUID] = field(default_factory=list)
    leftovers: int = 0
    attempts: int = 0
    slowest: Recovery | None = None

    @property
    def finished(self) -> int:
        return sum(self.statuses[status] for status in TERMINAL)

    @property
    def sound(self) -> bool:
        """Whether nothing is lost, doubled, or otherwise than it would have been."""
        found = (self.lost, self.doubled, self.holes, self.not_completed, self.different)
        return not any(found) and not self.leftovers


def unfinished(run_ids: Iterable[UUID]) -> int:
    """How many of the runs have not ended, or are not there."""
    ids = list(run_ids)
    ended = sum(part.filter(status__in=TERMINAL).count() for part in _parts(ids))
    return len(ids) - ended


def draw_up(
    created: dict[UUID, int], references: dict[int, UUID], blows: Sequence[Blow]
) -> Account:
    """The account of the runs `created` (id → which order). `references` are the runs of each order
    that nothing happened to."""
    account = Account(created=len(created))
    hits = Counter(run_id for blow in blows for run_id in blow.hit)
    whole = {order: _outcome([run_id])[run_id] for order, run_id in references.items()}
    for part in _parts(created):
        runs = list(part.values_list("id", "status", "seq", "attempt"))
        ids = [run_id for run_id, *_ in runs]
        account.statuses.update(status for _, status, _, _ in runs)
        account.attempts = max([account.attempts, *(attempt for *_, attempt in runs)])
        account.lost += [run_id for run_id, status, _, _ in runs if status not in TERMINAL]
        for run in part.filter(status__in=TERMINAL).exclude(status=RunStatus.COMPLETED):
            (account.given_up if _may_give_up(run, hits) else account.not_completed).append(run.id)
        account.doubled += _doubled(ids)
        # Of one that has not ended the log still grows while we look.
        ended = {run_id: seq for run_id, status, seq, _ in runs if status in TERMINAL}
        account.holes += _holes(ended)
        account.leftovers += PendingWrite.objects.filter(
            run__in=ids, run__status=RunStatus.COMPLETED
        ).count()
        for run_id, outcome in _outcome(list(ended)).items():
            ended_early = run_id in account.not_completed or run_id in account.given_up
            if outcome != whole[created[run_id]] and not ended_early:
                account.different.append(run_id)
    account.lost += sorted(set(created) - _known(created))
    account.slowest = _slowest(blows)
    return account


def _may_give_up(run: Run, hits: Counter[UUID]) -> bool:
    """Whether the run ended as one that crashed too often, and was hit that often: of one hit we
    may not know, because it was claimed between the look and the blow."""
    crashed = isinstance(run.error, dict) and run.error.get("type") == CRASHED
    return crashed and hits[run.id] >= run.crashes - 1


def _parts(run_ids: Iterable[UUID]) -> Iterator[QuerySet[Run]]:
    """The runs, so many at a time that a statement can name them."""
    rest = iter(run_ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield Run.objects.filter(id__in=chunk)


def _known(run_ids: Iterable[UUID]) -> set[UUID]:
    return {run_id for part in _parts(run_ids) for run_id in part.values_list("id", flat=True)}


def _doubled(run_ids: Sequence[UUID]) -> list[str]:
    """Steps that were committed twice: tasks whose result, supersteps whose checkpoint, runs whose
    end is in the event log more than once; supersteps with two checkpoints in the journal."""
    log = Event.objects.filter(run__in=run_ids).order_by()
    journal = Checkpoint.objects.filter(run__in=run_ids).order_by()
    found = []
    for rows, *fields in (
        (log.filter(name=events.NODE_UPDATE), "run", "namespace", "task_id"),
        (log.filter(name=events.CHECKPOINT), "run", "namespace", "step"),
        (log.filter(name__in=TERMINAL), "run"),
        (journal, "run", "namespace", "step"),
    ):
        groups: Any = rows.values_list(*fields).annotate(times=Count("pk")).filter(times__gt=1)
        found += [f"{rows.model.__name__} {group}" for group in groups]
    return found


def _holes(seqs: dict[UUID, int]) -> list[UUID]:
    """Runs whose log is not numbered from 1 to what their row says."""
    counted = (
        Event.objects.filter(run__in=seqs)
        .order_by()
        .values_list("run")
        .annotate(Count("pk"), Max("seq"))
    )
    told = {run_id: (count, last) for run_id, count, last in counted}
    return [run_id for run_id, seq in seqs.items() if told.get(run_id) != (seq, seq)]


def _outcome(run_ids: Sequence[UUID]) -> dict[UUID, tuple[Any, ...]]:
    """What must be the same for two runs of one order: the result, and how many tasks and
    supersteps led to it."""
    results = Artifact.objects.filter(run__in=run_ids, name=RESULT).values_list("run", "sha256")
    named = Event.objects.filter(run__in=run_ids, name__in=(events.NODE_UPDATE, events.CHECKPOINT))
    counts = named.order_by().values_list("run", "name").annotate(Count("pk"))
    shas = dict(results)
    steps: dict[UUID, dict[str, int]] = {run_id: {} for run_id in run_ids}
    for run_id, name, count in counts:
        steps[run_id][name] = count
    return {
        run_id: (shas.get(run_id), sorted(counted.items())) for run_id, counted in steps.items()
    }


def _slowest(blows: Sequence[Blow]) -> Recovery | None:
    """The run that took longest to say anything again after a blow that hit it."""
    slowest: Recovery | None = None
    for blow in blows:
        after = Event.objects.filter(run__in=blow.hit, ts__gt=blow.at).order_by()
        for run_id, first in after.values_list("run").annotate(Min("ts")):
            seconds = (first - blow.at).total_seconds()
            if slowest is None or seconds > slowest.seconds:
                slowest = Recovery(seconds=seconds, kind=blow.kind, run_id=run_id)
    return slowest
