"""Cancelling runs."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from runs.errors import Problem
from runs.lifecycle import cancellation
from runs.models import Run, RunStatus
from runs.operations.new_run import raise_if_invalid, text_faults

MAX_REASON = 500


def cancel_run(run_id: UUID, *, by: str = "", reason: str = "") -> Run:
    """The run, which ends as cancelled: at once when nobody executes it; otherwise it is on record
    who wants that and why, and it ends with its next superstep, or when its worker has stopped it.
    To ask again changes nothing. Problem 404 for an unknown run, 409 for one that has ended
    otherwise, 422 for a reason that does not fit."""
    raise_if_invalid(text_faults(reason, "/reason", MAX_REASON))
    with transaction.atomic():
        # Locked: whoever claims, commits or ends it now comes before or after.
        run = Run.objects.select_for_update(no_key=True).filter(pk=run_id).first()
        if run is None:
            raise Problem(404, "unknown_run", f"There is no run {run_id}.")
        if run.finished and run.status != RunStatus.CANCELLED:
            raise Problem(
                409, "already_ended", f"Run {run_id} is {run.status}: there is nothing to cancel."
            )
        if run.status != RunStatus.CANCELLED and run.cancel_requested_at is None:
            cancellation.request(run, by, reason, timezone.now())
    return run
