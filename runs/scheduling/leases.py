"""Claiming runs, and keeping what was claimed: conditional updates that decide who executes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from time import monotonic, sleep
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from runs.conf import conf
from runs.db import locking
from runs.db.dialect import dialect
from runs.lifecycle.transitions import STOP, apply_to_all
from runs.models import Run, RunStatus, Worker

#: How long `renew` waits for runs that are locked, and between two looks. Seconds.
_RENEW_SECONDS, _RENEW_PAUSE = 0.25, 0.01


def renew(worker_id: UUID, held: Mapping[str, int]) -> set[str]:
    """Say that the worker is alive, and prolong the leases of the runs it executes (`held`: run id
    → attempt). Answers which of them are still its own: a lease that the sweep took back stays
    taken, and one that nobody executes is left to lapse. A run that somebody else has locked for
    long is left out, and costs the others nothing."""
    now = timezone.now()
    Worker.objects.filter(id=worker_id).update(heartbeat_at=now)
    if not held:
        return set()
    own = Run.objects.filter(id__in=held, lease_owner=worker_id, status=RunStatus.RUNNING)
    until = now + timedelta(seconds=conf().lease_seconds)
    give_up_at = monotonic() + _RENEW_SECONDS
    # Most that is locked is being written by this very process, and free in a moment.
    while _prolong(own, until) and monotonic() < give_up_at:
        sleep(_RENEW_PAUSE)
    found = own.values_list("id", "attempt")
    return {str(run_id) for run_id, attempt in found if held[str(run_id)] == attempt}


def _prolong(own: QuerySet[Run], until: datetime) -> bool:
    """Renew those of `own` that are not renewed yet and that nobody has locked. Whether some are
    left."""
    left = own.filter(Q(lease_expires_at__lt=until) | Q(lease_expires_at=None))
    with transaction.atomic():
        Run.objects.filter(pk__in=locking.lock_available(left)).update(lease_expires_at=until)
    return not dialect(connection).locks_whole_database and left.exists()


def give_back(worker_id: UUID, only: Collection[str] | None = None) -> int:
    """Put back what the worker still holds (or `only` these runs), at its last superstep, but for
    what somebody else has locked; their number. Whatever it writes of these runs afterwards is
    fenced off."""
    held = Run.objects.filter(lease_owner=worker_id, status=RunStatus.RUNNING)
    if only is not None:
        held = held.filter(id__in=only, cancel_requested_at=None)
    with transaction.atomic():
        return apply_to_all(locking.lock_available(held), STOP, now=timezone.now())


def in_flight() -> dict[UUID, int]:
    """How many runs each worker holds now, counted from the leases themselves."""
    held = Run.objects.filter(status=RunStatus.RUNNING).values_list("lease_owner")
    return {owner: count for owner, count in held.annotate(Count("id")) if owner is not None}
