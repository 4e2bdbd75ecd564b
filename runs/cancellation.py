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

from runs import doorbell
from runs.db import locking, statements
from runs.db.columns import column, table
from runs.db.dialect import dialect
from runs.engine import events
from runs.engine.events import Event as Told
from runs.models import Event, Run, RunStatus

_REQUESTED = Q(cancel_requested_at__isnull=False)


def requested(run_id: UUID) -> bool:
    """Whether the run is to be cancelled, or was."""
    return Run.objects.filter(_REQUESTED, pk=run_id).exists()


def told(by: str, reason: str, now: datetime) -> Told:
    """The last event of a run that was cancelled."""
    return Told(name=events.CANCELLED, ts=now, data=orjson.dumps({"reason": reason, "by": by}))


def request(run: Run, by: str, reason: str, now: datetime) -> None:
    """Put it on record that `run`, which the caller has locked and which has not ended, is to be
    cancelled; end it at once when nobody executes it."""
    run.cancel_requested_at = run.updated_at = now
    run.cancel_by, run.cancel_reason = by, reason
    run.save(
        update_fields=[
            "cancel_requested_at", "cancel_by", "cancel_reason", "rolled_back", "updated_at",
        ]
    )  # fmt: skip
    if run.status != RunStatus.RUNNING:
        end(run, Q(), now)
        run.refresh_from_db()
    doorbell.announce()
    doorbell.announce(doorbell.CHANNEL)  # the worker that holds it


def end(run: Run, still: Q, now: datetime) -> bool:
    """End `run`, whose request is on record, with its last event in one transaction. False when it
    is no longer as it was read, or no longer as `still` says."""
    event = told(run.cancel_by, run.cancel_reason, now)
    with transaction.atomic():
        # With the seq that was read: the event must get the next number, whoever wrote since.
        ours = Run.objects.filter(still, pk=run.pk, seq=run.seq, attempt=run.attempt).update(
            status=RunStatus.CANCELLED,
            seq=run.seq + 1,
            lease_owner=None,
            lease_expires_at=None,
            wake_at=None,
            finished_at=now,
            updated_at=now,
        )
        if ours:
            Event.objects.create(
                run_id=run.pk, seq=run.seq + 1, name=event.name, ts=now, data=event.data.decode()
            )
            doorbell.announce()
    return bool(ours)


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
