"""Pauses as the database sees them: what is on record, and what it does to a run.

A paused run, and every run of a paused workflow, is not claimed. One that is being executed goes
back to the queue with its next superstep (`batch`), which is kept. There is no status of its own:
such a run is `pending`, with a pause on record. Its event `paused` comes when it has stopped, for
whatever reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import orjson
from django.utils import timezone

from runs.engine import events
from runs.engine.events import Event
from runs.models import Run, WorkflowPause

#: For the columns of a query on runs: whether the run's workflow is paused now.
OF_WORKFLOW = (
    f'EXISTS (SELECT 1 FROM "{WorkflowPause._meta.db_table}" p'  # noqa: S608
    f' WHERE p."ended_at" IS NULL AND p."workflow" = "{Run._meta.db_table}"."workflow")'
)


def paused_event(by: str, reason: str, now: datetime, workflow: str = "") -> Event:
    """The event of a paused run. `workflow`: its name if all of its runs are paused."""
    of = {"workflow": workflow} if workflow else {}
    data = {"reason": reason, "by": by, **of}
    return Event(name=events.PAUSED, ts=now, data=orjson.dumps(data))


def paused_event_of(run: Run) -> Event:
    """The event of `run`, which is paused itself and stops now."""
    return paused_event(run.pause_by, run.pause_reason, timezone.now())


def unpaused_event(by: str, now: datetime) -> Event:
    """The event of a run that somebody unpaused."""
    return Event(name=events.UNPAUSED, ts=now, data=orjson.dumps({"by": by}))


def of_workflow(name: str) -> WorkflowPause | None:
    """The pause of a workflow that is paused now; None for one that is not."""
    return WorkflowPause.objects.filter(workflow=name, ended_at=None).first()


def of_workflows() -> Mapping[str, WorkflowPause]:
    """The workflows that are paused now, by name, each with its pause."""
    return {pause.workflow: pause for pause in WorkflowPause.objects.filter(ended_at=None)}
