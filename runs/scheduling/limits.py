"""Concurrency limits: how many runs of one workflow, and of one key, run at the same time.

A run takes a place by being `running`, which is to hold a lease. Places are counted from those rows
whenever somebody claims; there is no counter that a death could leave wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from django.db import connection
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from runs import workflows
from runs.db.dialect import dialect
from runs.models import Run, RunStatus


class Limited(Protocol):
    """What decides whether a run may begin."""

    @property
    def workflow(self) -> str: ...
    @property
    def concurrency_key(self) -> str | None: ...
    @property
    def concurrency_limit(self) -> int | None: ...


R = TypeVar("R", bound=Limited)


def key_has_room() -> Q:
    """Runs without a key, or of whose key fewer run than their limit. The same text every time."""
    of_key = Run.objects.filter(
        status=RunStatus.RUNNING, concurrency_key=OuterRef("concurrency_key")
    )
    running = of_key.order_by().values("concurrency_key").annotate(n=Count("id")).values("n")
    return Q(concurrency_key=None) | Q(concurrency_limit__gt=Coalesce(Subquery(running), 0))


def full_workflows() -> list[str]:
    """The workflows of which as many run as may; no query where no workflow has a limit."""
    limits = workflows.limited()
    if not limits:
        return []
    running = _running(Q(workflow__in=limits)).items()
    counts: Counter[str] = Counter()
    for (workflow, _), count in running:
        counts[workflow] += count
    return [name for name, limit in limits.items() if counts[name] >= limit]


def fitting(found: Sequence[R]) -> list[R]:
    """Those of `found`, in their order, for which there are places. To be called in the transaction
    that then makes them run: until its end nobody else can take the same places."""
    limits = workflows.limited()
    keys = {run.concurrency_key for run in found if run.concurrency_key is not None}
    names = {run.workflow for run in found if run.workflow in limits}
    if not keys and not names:
        return list(found)
    dialect(connection).lock_counters(connection)
    by_key: Counter[str | None] = Counter()
    by_workflow: Counter[str] = Counter()
    running = _running(Q(concurrency_key__in=keys) | Q(workflow__in=names))
    for (workflow, key), count in running.items():
        by_workflow[workflow] += count
        by_key[key] += count
    fit = []
    for run in found:
        key, limit = run.concurrency_key, run.concurrency_limit
        if key is not None and limit is not None and by_key[key] >= limit:
            continue
        if run.workflow in limits and by_workflow[run.workflow] >= limits[run.workflow]:
            continue
        by_key[key] += 1
        by_workflow[run.workflow] += 1
        fit.append(run)
    return fit


def in_key(key: str) -> int:
    """How many runs of the key run now."""
    return Run.objects.filter(status=RunStatus.RUNNING, concurrency_key=key).count()


def in_workflow(name: str) -> int:
    """How many runs of the workflow run now."""
    return Run.objects.filter(status=RunStatus.RUNNING, workflow=name).count()


def _running(which: Q) -> Mapping[tuple[str, str | None], int]:
    running = Run.objects.filter(which, status=RunStatus.RUNNING).order_by()
    counted = running.values_list("workflow", "concurrency_key").annotate(Count("id"))
    return {(workflow, key): count for workflow, key, count in counted}
