"""Pauses as the database sees them: what is on record, and what it does to a run.

A paused run, and every run of a paused workflow, is not claimed. One that is being executed goes
back to the queue with its next superstep (`batch`), which is kept. There is no status of its own:
such a run is `pending`, with a pause on record. Its event `paused` comes when it has stopped, for
whatever reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import orjson
from django.db.models import F
from django.utils import timezone

from runs.engine import events
from runs.engine.events import Event as Told
from runs.models import Event, Run, WorkflowPause

#: For the columns of a query on runs: whether the run's workflow is paused now.
OF_WORKFLOW = (
    f'EXISTS (SELECT 1 FROM "{WorkflowPause._meta.db_table}" p'  # noqa: S608
    f' WHERE p."ended_at" IS NULL AND p."workflow" = "{Run._meta.db_table}"."workflow")'
)


def told(by: str, reason: str, now: datetime, workflow: str = "") -> Told:
    """The event of a run that was paused; `workflow` when all of its runs were."""
    of = {"workflow": workflow} if workflow else {}
    data = {"reason": reason, "by": by, **of}
    return Told(name=events.PAUSED, ts=now, data=orjson.dumps(data))


def unpaused(by: str) -> Told:
    """The event of a run that somebody unpaused."""
    return Told(name=events.UNPAUSED, ts=timezone.now(), data=orjson.dumps({"by": by}))


def tell(run_ids: Collection[UUID]) -> None:
    """Say of those of these runs that are paused that they are, in their next event. The caller
    has locked them, and takes them from a worker that had not come to say it."""
    paused = Run.objects.filter(pk__in=run_ids, paused_at__isnull=False)
    now = timezone.now()
    said = []
    for run in paused:
        event = told(run.pause_by, run.pause_reason, now)
        data = event.data.decode()
        said.append(Event(run_id=run.pk, seq=run.seq + 1, name=event.name, ts=now, data=data))
    if said:
        Event.objects.bulk_create(said)
        paused.update(seq=F("seq") + 1)


def of_workflow(name: str) -> WorkflowPause | None:
    """The pause of a workflow that is paused now; None for one that is not."""
    return WorkflowPause.objects.filter(workflow=name, ended_at=None).first()


def of_workflows() -> Mapping[str, WorkflowPause]:
    """The workflows that are paused now, by name, each with its pause."""
    return {pause.workflow: pause for pause in WorkflowPause.objects.filter(ended_at=None)}
