"""Why a run is not moving: read from its rows and those around it, never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from runs import blocked, leases, workflows
from runs.causes import Cause, within
from runs.conf import conf
from runs.engine import events
from runs.errors import Problem
from runs.models import Event, Run, RunStatus, Worker


def causes(run: Run, now: datetime) -> list[Cause]:
    """Why the run has not ended, the most telling first; for one that has ended, how."""
    return list(_causes(run, now))


def _causes(run: Run, now: datetime) -> Iterator[Cause]:
    if run.finished:
        yield Cause(code="ended", detail=f"The run is {run.status}.")
        return
    if run.cancel_requested_at is not None:
        yield _cancelling(run, now)
    waiting = [*blocked.paused(run)]
    if run.status == RunStatus.PENDING:
        waiting += blocked.behind(run)
    yield from waiting
    match run.status:
        case RunStatus.PENDING:
            yield from _pending(run, now, held_up=bool(waiting))
        case RunStatus.RUNNING:
            yield from _running(run, now)
        case RunStatus.INTERRUPTED:
            yield _interrupted(run)
            if run.wake_at is not None:
                yield _sleeping(run, now)
        case RunStatus.SLEEPING:
            yield _sleeping(run, now)


def _cancelling(run: Run, now: datetime) -> Cause:
    assert run.cancel_requested_at is not None
    by = f" by {run.cancel_by}" if run.cancel_by else ""
    known = "its worker knows" if run.cancel_acknowledged_at else "its worker does not know yet"
    until = run.cancel_requested_at + timedelta(seconds=conf().cancel_seconds)
    detail = f"It was cancelled{by} and {known}; it is ended {within(until, now)} at the latest."
    return Cause(code="cancelling", detail=detail, until=until)


def _pending(run: Run, now: datetime, *, held_up: bool) -> Iterator[Cause]:
    if run.crashes:
        most = conf().max_attempts
        yield Cause(
            code="worker_lost",
            detail=f"Its worker was lost {run.crashes} times in a row; at {most} it fails.",
        )
    since = now - timedelta(seconds=conf().lease_seconds)
    alive = list(Worker.objects.filter(heartbeat_at__gte=since))
    if not alive:
        detail = "No worker is alive; start one with `manage.py serve`."
        yield Cause(code="no_worker", detail=detail)
        return
    if held_up:
        return
    if run.crashes >= leases.suspicious():
        yield _apart(run)
        return
    ahead = blocked.ahead(run).filter(crashes__lt=leases.suspicious()).count()
    held = leases.in_flight()
    free = sum(max(0, worker.capacity - held.get(worker.id, 0)) for worker in alive)
    if ahead or not free:
        yield Cause(
            code="queued",
            detail=f"{ahead} pending runs come before it; workers have room for {free} now.",
        )
    else:
        yield Cause(code="starting", detail="A worker is about to take it.")


def _apart(run: Run) -> Cause:
    suspects = Run.objects.filter(crashes__gte=leases.suspicious())
    running = suspects.filter(status=RunStatus.RUNNING).count()
    first = (suspects & blocked.ahead(run)).count()
    return Cause(
        code="apart",
        detail="Its next step is executed apart, one such run at a time on each host:"
        f" {running} running, and {first} that come{'s' * (first == 1)} before it.",
    )


def _running(run: Run, now: datetime) -> Iterator[Cause]:
    if run.lease_expires_at is None or run.lease_expires_at <= now:
        until = now + timedelta(seconds=conf().sweep_seconds)
        yield Cause(
            code="lease_lapsed",
            detail="Its worker has not been heard of for too long; the sweep puts it back"
            f" {within(until, now)} at the latest.",
            until=until,
        )
        return
    for event in _open_tasks(run):
        yield (
            _retrying(run, event, now)
            if event.name == events.RETRY
            else Cause(
                code="node_running",
                detail=f"Node {event.node!r} of step {event.step} has been running since"
                f" {event.ts:%H:%M:%S} UTC.",
            )
        )


def _open_tasks(run: Run) -> list[Event]:
    """What was said last of every task of the present superstep that has not finished."""
    told = Event.objects.filter(run=run, seq__gt=_last_checkpoint(run), task_id__isnull=False)
    names = (events.NODE_STARTED, events.NODE_UPDATE, events.RETRY)
    last = {event.task_id: event for event in told.filter(name__in=names).order_by("seq")}
    return [event for event in last.values() if event.name != events.NODE_UPDATE]


def _last_checkpoint(run: Run) -> int:
    found = Event.objects.filter(run=run, name=events.CHECKPOINT, namespace="")
    return found.order_by("-seq").values_list("seq", flat=True).first() or 0


def _retrying(run: Run, event: Event, now: datetime) -> Cause:
    said = event.decoded
    until = event.ts + timedelta(seconds=said["delay"])
    most = _most_attempts(run, event.node)
    return Cause(
        code="retrying",
        detail=f"Node {event.node!r}: attempt {said['attempt'] + 1}{most} begins"
        f" {within(until, now)}, because the last one raised {said['error']}",
        until=until,
    )


def _most_attempts(run: Run, node: str) -> str:
    try:
        graph = workflows.get(run.workflow).graph.graph
    except Problem:
        return ""
    policies = graph.nodes[node].retry if node in graph.nodes else ()
    return f" of {max(policy.max_attempts for policy in policies)}" if policies else ""


def _interrupted(run: Run) -> Cause:
    event = Event.objects.filter(run=run, name=events.INTERRUPTED).order_by("-seq").first()
    asked = event.decoded.get("interrupts", []) if event is not None else []
    shown = "; ".join(f"{one['value']!r} of node {one['node']!r}"[:200] for one in asked)
    return Cause(code="waits_for_answer", detail=f"It waits for an answer to {shown or 'a stop'}.")


def _sleeping(run: Run, now: datetime) -> Cause:
    if run.wake_at is None:
        return Cause(code="sleeping", detail="It sleeps, and no time is set at which it wakes.")
    detail = f"It sleeps until {run.wake_at:%Y-%m-%d %H:%M:%S} UTC, {within(run.wake_at, now)}."
    return Cause(code="sleeping", detail=detail, until=run.wake_at)
