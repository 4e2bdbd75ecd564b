"""Which workers live: by their process on this host, by their heartbeat elsewhere."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

from django.db import transaction

from runs.conf import conf
from runs.models import Worker
from runs.process import processes

#: Longer than this for the write lock, and the database was not there for others either.
_PROMPT_SECONDS = 0.5


#: A worker that was silent for so many leases is gone, if it is of another host, or to be ended.
_SILENT_LEASES = 6


class DatabaseHealth:
    #: The last sweep of this process found the database away or locked before it could write.
    disturbed = False


def dead_and_silent(now: datetime) -> tuple[list[UUID], list[Worker]]:
    """The workers whose process has ended: of this host by looking, of others by their silence. And
    those of this host that live and are silent."""
    host = processes.host()
    silent = now - timedelta(seconds=_SILENT_LEASES * conf().lease_seconds)
    dead, silent_here = [], []
    for worker in Worker.objects.all():
        is_silent = worker.heartbeat_at < silent
        if worker.host != host:
            gone = is_silent
        elif processes.process_started(worker.pid) == worker.process_started:
            gone = False
            if worker.awake and is_silent and worker.pid != os.getpid():
                silent_here.append(worker)
        else:
            gone = is_silent or processes.known_dead(worker.pid, worker.process_started)
        if gone:
            dead.append(worker.id)
    return dead, silent_here


def refresh_idle_heartbeats(now: datetime) -> None:
    """A worker without work sends no heartbeat of its own: it waits inside django-q2. That its
    process lives is all there is to know."""
    stale = now - timedelta(seconds=conf().lease_seconds / 2)
    asleep = Worker.objects.filter(host=processes.host(), awake=False, heartbeat_at__lt=stale)
    alive = [
        worker.id
        for worker in asleep
        if processes.process_started(worker.pid) == worker.process_started
    ]
    if alive:
        Worker.objects.filter(id__in=alive, awake=False).update(heartbeat_at=now)


def database_is_responsive() -> bool:
    """Whether the database can be written at once, and could at the last sweep. Where it could not
    for a while (SQLite locked by another process, Postgres restarted), nobody could renew a lease
    either: those who live get until the next sweep to do so."""
    began = monotonic()
    with transaction.atomic():
        return monotonic() - began < _PROMPT_SECONDS and not DatabaseHealth.disturbed


def host_has_worker() -> bool:
    """Whether a worker of this host is known."""
    return Worker.objects.filter(host=processes.host()).exists()
