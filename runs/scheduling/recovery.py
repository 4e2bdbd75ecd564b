"""The sweep: brings back what lost its worker, wakes what is due, ends what only ever crashes.

Any number of processes may sweep at once. Every change is a conditional update: who comes second
changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import F, Q, QuerySet

from runs import workflows
from runs.conf import conf
from runs.db import locking
from runs.db.errors import TRANSIENT
from runs.engine import events
from runs.engine.events import Event
from runs.lifecycle import cancellation, notification, transitions, wakeup
from runs.lifecycle.transitions import apply_to_all
from runs.models import WAITING, Run, RunStatus, Worker
from runs.scheduling import availability, claimable, silent_workers
from runs.scheduling.worker_health import (
    DatabaseHealth,
    database_is_responsive,
    dead_and_silent,
    host_has_worker,
    refresh_idle_heartbeats,
)

logger = logging.getLogger(__name__)

#: The type of the error of a run that was given up.
CRASHED = "CrashedTooOften"


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What one sweep changed: runs put back to pending, runs failed for good, sleeping runs that
    are pending now, runs cancelled, Worker rows removed, and whether it rang."""

    recovered: int = 0
    failed: int = 0
    woken: int = 0
    cancelled: int = 0
    workers: int = 0
    rang: bool = False


def sweep(now: datetime) -> Swept:
    """Do all of that; when there is nothing to do, a few reads and no write. Rows that somebody
    else has locked are left to the next sweep."""
    try:
        found = _find(now)
    except TRANSIENT:
        DatabaseHealth.disturbed = True
        silent_workers.forget()
        raise
    # What fails from here on has another reason, and may fail each time.
    DatabaseHealth.disturbed = False
    return _change(found, now)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The workers that have ended, those that are silent, which runs are lost, and whether there
    are any. Not `prompt`: those who live may still renew their leases."""

    dead: list[UUID]
    silent: list[Worker]
    lost: Q
    any_lost: bool
    prompt: bool


def _find(now: datetime) -> _Found:
    # Before any write: it may hold the lock that the first one waits for.
    silent_workers.end_frozen(now)
    dead, silent = dead_and_silent(now)
    lost = Q(status=RunStatus.RUNNING) & (
        Q(lease_expires_at__lte=now) | Q(lease_expires_at=None) | Q(lease_owner__in=dead)
    )
    any_lost = Run.objects.filter(lost).exists()
    # Asked once, before any other write, which would wait for the same lock.
    prompt = (any_lost or bool(silent)) and database_is_responsive()
    return _Found(dead=dead, silent=silent, lost=lost, any_lost=any_lost, prompt=prompt)


def _change(found: _Found, now: datetime) -> Swept:
    lost, dead = found.lost, found.dead
    recovered = failed = 0
    silent_workers.end(found.silent if found.prompt else [])
    # First: a run that is to be cancelled is not put back.
    late = Q(cancel_requested_at__lte=now - timedelta(seconds=conf().cancel_seconds))
    cancelled = cancellation.overdue(late | lost, now)
    if found.prompt and found.any_lost:
        failed = sum(_fail(run, lost, now) for run in _hopeless(lost))
        recovered = _put_back(lost, now)
    due = Run.objects.filter(status__in=WAITING, wake_at__lte=now)
    woken = _wake(due, now) if due.exists() else 0
    refresh_idle_heartbeats(now)
    availability.report_missing(workflows.registered())
    # After their runs: a row that is gone no longer says whose lease it was.
    workers = Worker.objects.filter(pk__in=dead).delete()[0] if dead else 0
    swept = Swept(
        recovered=recovered,
        failed=failed,
        woken=woken,
        cancelled=cancelled,
        workers=workers,
        rang=_ring_if_needed(),
    )
    if recovered or failed:
        logger.warning(_told(recovered, failed))
    return swept


def _told(recovered: int, failed: int) -> str:
    parts = [f"{_runs(recovered)} of a worker that ended go{'es' * (recovered == 1)} on."]
    if failed:
        parts.append(f"{_runs(failed)} crashed too often and ended as failed.")
    return " ".join(parts[not recovered :])


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _hopeless(lost: Q) -> QuerySet[Run]:
    """The lost runs that have crashed as often as a run may, this crash included."""
    given_up = Q(crashes__gte=conf().max_attempts - 1, cancel_requested_at=None)
    return Run.objects.filter(lost, given_up)


def _put_back(lost: Q, now: datetime) -> int:
    left = Q(crashes__lt=conf().max_attempts - 1, cancel_requested_at=None)
    with transaction.atomic():
        free = locking.lock_available(Run.objects.filter(lost, left))
        return apply_to_all(free, transitions.LOSE, now=now, crashes=F("crashes") + 1)


def _wake(due: QuerySet[Run], now: datetime) -> int:
    with transaction.atomic():
        return apply_to_all(locking.lock_available(due), transitions.WAKE, now=now)


def _fail(run: Run, lost: Q, now: datetime) -> bool:
    """End `run` with its last event, in one transaction; False when somebody was faster."""
    crashes = run.crashes + 1
    error = {"type": CRASHED, "message": _explanation(run, crashes), "node": None}
    event = Event(name=events.FAILED, ts=now, data=orjson.dumps(error))
    still = lost & Q(crashes=run.crashes)
    with transaction.atomic():
        if not locking.lock_available(Run.objects.filter(pk=run.pk)):
            return False
        return transitions.apply(
            run, transitions.FAIL, now=now, event=event, guard=still, crashes=crashes, error=error
        )


def _explanation(run: Run, crashes: int) -> str:
    recorded, again = "a step", f"again: manage.py replay_run {run.pk}"
    if run.checkpoint_id is not None:
        recorded = f"another step (the last recorded one is {run.step})"
        again = f"again from its last step: manage.py replay_run {run.pk} --from-step {run.step}"
    return (
        f"{crashes} times in a row the worker that executed this run ended, or was silent for too "
        f"long, before it had recorded {recorded}. Look in the server's log for what ended the "
        "worker: it may have run out of memory, or a node may have crashed or stopped the process. "
        f"Then start the run {again}"
    )


def _ring_if_needed() -> bool:
    """Make up for a wake-up that got lost, and wake who executes suspects: nobody else does. A host
    without any worker that is known gets one, too: it registers, and people see that it is there.
    """
    known = workflows.registered()
    if claimable.any_pending(apart=True, known=known):
        notification.wake_worker(isolated=True)
    # Not for what waits its turn, is paused, or is of a workflow that this host lacks: that would
    # keep a worker awake for nothing.
    needed = claimable.any_pending(known=known) or not host_has_worker()
    if not needed or wakeup.queued():
        return False
    notification.wake_worker()
    return True
