"""Cancelling as the database sees it: requested, acknowledged, stopped.

A request is three columns of the run. Nobody who holds the run can miss it: the next commit that it
waits for ends the run instead (`batch`). A worker acknowledges, and stops the run's nodes; a
request that nobody heeds is carried out by the sweep. Each change is conditional: who comes second
changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Q

from runs.db import locking, statements
from runs.db.columns import column, table
from runs.db.dialect import dialect
from runs.engine import events
from runs.engine.events import Event
from runs.lifecycle import notification, transitions
from runs.models import Run, RunStatus

_REQUESTED = Q(cancel_requested_at__isnull=False)


def requested(run_id: UUID) -> bool:
    """Whether the run is to be cancelled, or was."""
    return Run.objects.filter(_REQUESTED, pk=run_id).exists()


def cancelled_event(by: str, reason: str, now: datetime) -> Event:
    """The last event of a cancelled run."""
    return Event(name=events.CANCELLED, ts=now, data=orjson.dumps({"reason": reason, "by": by}))


def request(run: Run, by: str, reason: str, now: datetime) -> None:
    """Record a request to cancel `run`, which the caller has locked and which has not ended. A run
    that no worker executes ends at once; the worker of a running one is notified."""
    run.cancel_requested_at = now
    run.cancel_by, run.cancel_reason = by, reason
    columns = ("cancel_requested_at", "cancel_by", "cancel_reason", "rolled_back")
    transitions.record(run, *columns, now=now)
    if run.status != RunStatus.RUNNING:
        end(run, Q(), now)
    notification.notify_workers()


def end(run: Run, still: Q, now: datetime) -> bool:
    """End `run`, whose request is on record. False when it is no longer as it was read, or no
    longer as `still` says."""
    event = cancelled_event(run.cancel_by, run.cancel_reason, now)
    return transitions.apply(run, transitions.CANCEL, now=now, event=event, guard=still)


def acknowledge(worker_id: UUID, now: datetime) -> list[str]:
    """The ids of the runs that the worker holds and is to stop, of which it is on record now that
    it knows. One that somebody else has locked is left for the next time."""
    owner = dialect(connection).id(str(worker_id))
    # Past the ORM: it is asked all the time.
    found = statements.fetch(connection, _to_stop(), [owner])
    known = [UUID(str(run_id)) for run_id, acknowledged in found if acknowledged is not None]
    if len(known) < len(found):
        mine = Q(lease_owner=worker_id, status=RunStatus.RUNNING, cancel_acknowledged_at=None)
        with transaction.atomic():
            free = locking.lock_available(Run.objects.filter(_REQUESTED & mine))
            Run.objects.filter(pk__in=free).update(cancel_acknowledged_at=now)
        known += free
    return list(map(str, known))


@cache
def _to_stop() -> str:
    key, known, asked = (
        column(Run, name) for name in ("id", "cancel_acknowledged_at", "cancel_requested_at")
    )
    held = f"{column(Run, 'lease_owner')} = %s AND {column(Run, 'status')} = '{RunStatus.RUNNING}'"
    return f"SELECT {key}, {known} FROM {table(Run)} WHERE {held} AND {asked} IS NOT NULL"  # noqa: S608


def overdue(stop: Q, now: datetime) -> int:
    """End the running runs that are to be cancelled and of which `stop` is true, but for those that
    somebody else has locked; their number."""
    still = _REQUESTED & Q(status=RunStatus.RUNNING) & stop
    return sum(_end_if_free(run, still, now) for run in Run.objects.filter(still))


def _end_if_free(run: Run, still: Q, now: datetime) -> bool:
    with transaction.atomic():
        return bool(locking.lock_available(Run.objects.filter(pk=run.pk))) and end(run, still, now)
