"""Why a run is not moving: read from its rows and those around it, never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from runs import workflows
from runs.conf import conf
from runs.db.guard import open_transactions
from runs.engine import events
from runs.models import Event, Run, RunStatus, Worker
from runs.process import slots
from runs.queries import open_tasks, queue_reasons, slot_holders
from runs.queries.open_tasks import SHOWN
from runs.queries.reasons import Cause, within
from runs.scheduling import availability, claimable, leases, stalls


def causes(run: Run, now: datetime) -> list[Cause]:
    """Why the run has not ended, the most telling first; for one that has ended, how."""
    return list(_causes(run, now))


def _causes(run: Run, now: datetime) -> Iterator[Cause]:
    if run.finished:
        yield Cause(code="ended", detail=f"The run is {run.status}.")
        return
    if run.cancel_requested_at is not None:
        yield _cancelling(run, now)
    yield from _transactions(run)
    yield from _standstills(run)
    waiting = [*queue_reasons.paused(run)]
    if run.status == RunStatus.PENDING:
        waiting += queue_reasons.behind(run)
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
            yield from _missing(run, availability.alive(now))
        case RunStatus.SLEEPING:
            yield _sleeping(run, now)
            yield from _missing(run, availability.alive(now))


def _transactions(run: Run) -> Iterator[Cause]:
    """A long transaction of the run's own node, or one that keeps it from being recorded."""
    for transaction in open_transactions.published():
        if transaction.run_id == str(run.id):
            yield Cause(code="holds_transaction", detail=str(transaction))
        elif transaction.locks_database:
            yield Cause(code="database_locked", detail=str(transaction))


def _standstills(run: Run) -> Iterator[Cause]:
    """What keeps the worker from going on that executes the run, or could take it."""
    for found in stalls.published():
        mine = run.status == RunStatus.RUNNING and str(run.lease_owner) == found.worker
        if mine and found.kind == "threads_full":
            mine = open_tasks.any_waits_for_thread(run)
        if mine or run.status == RunStatus.PENDING:
            yield Cause(code=found.kind, detail=found.detail)


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
    alive = availability.alive(now)
    suspect = run.crashes >= claimable.suspicious()
    awake = any(worker.awake for worker in alive)
    if not awake and (why := slots.fault(apart=suspect)):
        yield Cause(code="slots_unusable", detail=why)
        return
    holders = [] if awake and not suspect else slot_holders.blocking(now, apart=suspect)
    if holders:
        yield Cause(code="slot_held", detail=slot_holders.advice(holders, apart=suspect))
        return
    if not alive:
        yield Cause(code="no_worker", detail=_no_worker(run))
        return
    missing = list(_missing(run, alive))
    yield from missing
    if held_up or missing:
        return
    if suspect:
        yield _apart(run)
        return
    ahead = queue_reasons.ahead(run).filter(crashes__lt=claimable.suspicious()).count()
    held = leases.in_flight()
    able = availability.having(alive, run.workflow)
    free = sum(max(0, worker.capacity - held.get(worker.id, 0)) for worker in able)
    if ahead or not free:
        yield Cause(
            code="queued",
            detail=f"{ahead} pending runs come before it; workers have room for {free} now.",
        )
    else:
        yield Cause(code="starting", detail="A worker is about to take it.")


def _no_worker(run: Run) -> str:
    detail = "No worker is alive; start one with `manage.py serve`."
    if workflows.find(run.workflow) is not None:
        return detail
    return (
        f"{detail} It must have workflow {run.workflow!r}, which this process does not have:"
        " FASTGRAPH_APPS names the app that registers it."
    )


def _missing(run: Run, alive: list[Worker]) -> Iterator[Cause]:
    if alive and not availability.having(alive, run.workflow):
        yield Cause(code="workflow_missing", detail=availability.missing_detail(run.workflow))


def _apart(run: Run) -> Cause:
    suspects = Run.objects.filter(crashes__gte=claimable.suspicious())
    running = suspects.filter(status=RunStatus.RUNNING).count()
    first = (suspects & queue_reasons.ahead(run)).count()
    return Cause(
        code="apart",
        detail="Its next step is executed apart, one such run at a time on each host:"
        f" {running} running, and {first} that come{'s' * (first == 1)} before it.",
    )


def _running(run: Run, now: datetime) -> Iterator[Cause]:
    renewable_until = now - timedelta(seconds=open_transactions.locked_seconds())
    if run.lease_expires_at is None or run.lease_expires_at <= renewable_until:
        until = now + timedelta(seconds=conf().sweep_seconds)
        yield Cause(
            code="lease_lapsed",
            detail="Its worker has not been heard of for too long; the sweep puts it back"
            f" {within(until, now)} at the latest.",
            until=until,
        )
        return
    yield from open_tasks.causes(run, now)


def _interrupted(run: Run) -> Cause:
    event = Event.objects.filter(run=run, name=events.INTERRUPTED).order_by("-seq").first()
    asked = event.decoded.get("interrupts", []) if event is not None else []
    shown = "; ".join(f"{one['value']!r} of node {one['node']!r}"[:200] for one in asked[:SHOWN])
    if len(asked) > SHOWN:
        shown += f"; and to {len(asked) - SHOWN:,} more questions"
    return Cause(code="waits_for_answer", detail=f"It waits for an answer to {shown or 'a stop'}.")


def _sleeping(run: Run, now: datetime) -> Cause:
    if run.wake_at is None:
        return Cause(code="sleeping", detail="It sleeps, and no time is set at which it wakes.")
    detail = f"It sleeps until {run.wake_at:%Y-%m-%d %H:%M:%S} UTC, {within(run.wake_at, now)}."
    return Cause(code="sleeping", detail=detail, until=run.wake_at)
