"""Pausing runs and workflows, and letting them go on. Each function is one transaction.

Pauses of a run and of its workflow are independent: the run goes on when neither is left.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from runs import workflows
from runs.errors import Problem
from runs.lifecycle import notification, pauses, transitions
from runs.models import Run, RunStatus, WorkflowPause
from runs.scheduling import availability
from runs.validation import value_faults

MAX_REASON = 500

_COLUMNS = ("paused_at", "pause_by", "pause_reason")


def pause_run(run_id: UUID, *, by: str = "", reason: str = "") -> Run:
    """The run, which nobody claims from now on; one that is being executed goes back to the queue
    with its next superstep. It may be asked and answered, and its sleep may end, meanwhile. To ask
    again changes nothing. Problem 404 for an unknown run, 409 for one that has ended or is to be
    cancelled, 422 for a reason that does not fit."""
    _check(reason)
    with transaction.atomic():
        run = _locked(run_id)
        if run.finished or run.cancel_requested_at is not None:
            state = run.status if run.finished else "about to be cancelled"
            raise Problem(
                409, "already_ended", f"Run {run_id} is {state}: there is nothing to pause."
            )
        if run.paused_at is None:
            run.paused_at = now = timezone.now()
            run.pause_by, run.pause_reason = by, reason
            # A running one appends the event when it stops.
            stopped = run.status != RunStatus.RUNNING
            event = [pauses.paused_event(by, reason, now)] if stopped else []
            transitions.record(run, *_COLUMNS, now=now, appended=event)
    return run


def unpause_run(run_id: UUID, *, by: str = "") -> Run:
    """The run, which may go on from where it was. Problem 404 for an unknown run, 409 for one that
    is not paused or has ended."""
    with transaction.atomic():
        run = _locked(run_id)
        if run.paused_at is None or run.finished:
            raise Problem(409, "not_paused", _not_paused(run))
        run.paused_at, now = None, timezone.now()
        run.pause_by = run.pause_reason = ""
        stopped = run.status != RunStatus.RUNNING
        event = [pauses.unpaused_event(by, now)] if stopped else []
        transitions.record(run, *_COLUMNS, now=now, appended=event, makes_work=True)
    return run


def pause_workflow(name: str, *, by: str = "", reason: str = "") -> WorkflowPause:
    """The pause: no run of the workflow is claimed from now on, and those that are being executed
    go back to the queue with their next superstep. New runs are accepted, and wait. To ask again
    changes nothing. Problem 404 for an unknown workflow, 422 for a reason that does not fit."""
    _check(reason)
    _require(name)
    with transaction.atomic():
        # Two at the same time: the index lets one in, and both answer that one.
        WorkflowPause.objects.bulk_create(
            [WorkflowPause(workflow=name, paused_by=by, reason=reason)], ignore_conflicts=True
        )
        notification.notify_watchers()
        return WorkflowPause.objects.filter(workflow=name).latest("paused_at", "id")


def unpause_workflow(name: str, *, by: str = "") -> WorkflowPause:
    """The pause that is over now; its runs may go on. Problem 404 for a workflow that is neither
    known nor paused, 409 for one that is not paused."""
    _check_name(name)
    with transaction.atomic():
        pause = WorkflowPause.objects.select_for_update().filter(workflow=name, ended_at=None)
        found = pause.first()
        if found is None:
            workflows.get(name)
            raise Problem(409, "not_paused", f"Workflow {name!r} is not paused.")
        found.ended_at, found.ended_by = timezone.now(), by
        found.save(update_fields=["ended_at", "ended_by"])
        notification.wake_worker()
        notification.notify_watchers()
        return found


def _require(name: str) -> None:
    """Problem 404 for a workflow that nobody knows: this process may lack one that a worker has, or
    that runs wait for."""
    _check_name(name)
    if not availability.known_anywhere(name):
        workflows.get(name)


def _check_name(name: str) -> None:
    """Problem 404 for a name that no database can even be asked for."""
    if value_faults(name):
        workflows.get(name)


def _locked(run_id: UUID) -> Run:
    # Whoever claims, commits or ends it now comes before or after.
    run = Run.objects.select_for_update(no_key=True).filter(pk=run_id).first()
    if run is None:
        raise Problem(404, "unknown_run", f"There is no run {run_id}.")
    return run


def _not_paused(run: Run) -> str:
    told = f"Run {run.pk} is {run.status}, and not paused."
    if run.finished:
        return told
    if pauses.of_workflow(run.workflow) is not None:
        return f"{told} Its workflow {run.workflow!r} is: unpause that."
    if run.status == RunStatus.INTERRUPTED:
        return f"{told} It waits for an answer: give it with `resume`."
    return told


def _check(reason: object) -> None:
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        detail = f"This must be text of at most {MAX_REASON} characters."
        faults = [{"at": "/reason", "detail": detail}]
    else:
        faults = value_faults(reason, "/reason")
    if faults:
        raise Problem(
            422, "invalid", f"The request is not valid: at /reason: {faults[0]['detail']}", faults
        )
