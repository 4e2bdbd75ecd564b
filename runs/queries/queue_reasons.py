"""Why nobody may claim a pending run: it is paused, or others are in its place. The claim
(`leases`) decides by the same rows."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q, QuerySet

from runs import workflows
from runs.lifecycle import pauses
from runs.models import Run, RunStatus
from runs.queries.reasons import Cause
from runs.scheduling import availability, limits


def ahead(run: Run) -> QuerySet[Run]:
    """The pending runs that come before `run`, which is one itself."""
    before = Q(priority__gt=run.priority) | Q(priority=run.priority, created_at__lt=run.created_at)
    return Run.objects.filter(before, status=RunStatus.PENDING)


def paused(run: Run) -> Iterator[Cause]:
    """The pauses of an unfinished run: its own, and its workflow's."""
    running = run.status == RunStatus.RUNNING
    then = " It stops when its present superstep has ended." if running else ""
    if run.paused_at is not None:
        who = _who(run.pause_by, run.pause_reason)
        detail = f"It was paused{who} at {run.paused_at:%Y-%m-%d %H:%M:%S} UTC.{then}"
        yield Cause(code="run_paused", detail=detail)
    pause = pauses.of_workflow(run.workflow)
    if pause is not None:
        who = _who(pause.paused_by, pause.reason)
        detail = (
            f"Its workflow {run.workflow!r} was paused{who} at"
            f" {pause.paused_at:%Y-%m-%d %H:%M:%S} UTC.{then}"
        )
        yield Cause(code="workflow_paused", detail=detail)


def behind(run: Run) -> Iterator[Cause]:
    """The runs that a pending run waits for, whatever workers there are."""
    other = _begun_before(run)
    if other is not None:
        yield Cause(
            code="thread_busy",
            detail=f"It is behind run {other.pk} of its thread, which is {_state(other)}"
            f"{_lacking(other)}: one at a time.",
        )
    elif (first := _missing_before(run)) is not None:
        yield Cause(
            code="thread_busy",
            detail=f"It is behind run {first.pk} of its thread, which waits for a worker that has"
            f" workflow {first.workflow!r}: one at a time, in their order.",
        )
    yield from _full_key(run)
    yield from _full_workflow(run)


def _missing_before(run: Run) -> Run | None:
    """The first run before `run` on its thread that has not begun, of a workflow that a live worker
    with the workflow of `run` lacks: such a worker leaves both."""
    if run.started_at is not None:
        return None
    others = ahead(run).filter(thread=run.thread_id, started_at=None, paused_at=None)
    others = others.exclude(workflow=run.workflow).order_by("-priority", "created_at", "id")
    able = [one for one in availability.alive() if run.workflow in (one.workflows or ())]
    for other in others[:100]:
        if able and not availability.having(able, other.workflow):
            return other
    return None


def _begun_before(run: Run) -> Run | None:
    others = Run.objects.filter(thread=run.thread_id, finished_at=None).exclude(pk=run.pk)
    busy = Q(status=RunStatus.RUNNING)
    if run.started_at is None:
        begun = Q(started_at__isnull=False, status__in=(RunStatus.PENDING, RunStatus.SLEEPING))
        busy |= begun
    return others.filter(busy).order_by("created_at", "id").first()


def _lacking(other: Run) -> str:
    """That no live worker has the workflow of a run that does not run, if there is one at all."""
    alive = availability.alive() if other.status != RunStatus.RUNNING else []
    if not alive or availability.having(alive, other.workflow):
        return ""
    return f", and needs a worker that has workflow {other.workflow!r}"


def _state(other: Run) -> str:
    paused_too = " (paused)" if other.paused_at is not None else ""
    begun = " and has begun" if other.status == RunStatus.PENDING else ""
    return f"{other.status}{begun}{paused_too}"


def _full_key(run: Run) -> Iterator[Cause]:
    key, limit = run.concurrency_key, run.concurrency_limit
    if key is None or limit is None:
        return
    running = limits.in_key(key)
    if running >= limit:
        first = ahead(run).filter(concurrency_key=key).count()
        detail = _behind(f"key {key!r}", running, limit, first)
        yield Cause(code="key_full", detail=detail)


def _full_workflow(run: Run) -> Iterator[Cause]:
    limit = workflows.limited().get(run.workflow)
    if limit is None:
        return
    running = limits.in_workflow(run.workflow)
    if running >= limit:
        first = ahead(run).filter(workflow=run.workflow).count()
        detail = _behind(f"workflow {run.workflow!r}", running, limit, first)
        yield Cause(code="workflow_full", detail=detail)


def _behind(of: str, running: int, limit: int, first: int) -> str:
    count = running + first
    return (
        f"It is behind {count} run{'s' * (count != 1)} of its {of}: {running} running, of at most"
        f" {limit}, and {first} that come{'s' * (first == 1)} before it."
    )


def _who(by: str, reason: str) -> str:
    return (f" by {by}" if by else "") + (f" because {reason!r}" if reason else "")
