"""Workers of this host that live and say nothing are ended: their runs are long back in the queue,
but they hold their slots, and what they have locked stays locked as long as they live."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

from runs.conf import conf
from runs.models import Worker
from runs.process import processes

logger = logging.getLogger("runs.scheduling.recovery")

#: A worker that a signal has stopped for so many leases is ended. Not after one: whoever stopped it
#: may let it go on.
_FROZEN_LEASES = 2


class _Process:
    #: The last heartbeat of each silent worker, and since when this process sees no other, in
    #: seconds of the monotonic clock.
    seen: dict[UUID, tuple[datetime, float]] = {}


def end_frozen(now: datetime) -> None:
    """End those that were stopped by a signal for so long that their leases are over, from reads
    alone: one of them may have locked the database."""
    silent = now - timedelta(seconds=_FROZEN_LEASES * conf().lease_seconds)
    for worker in Worker.objects.filter(host=processes.host(), awake=True, heartbeat_at__lt=silent):
        started = processes.process_started(worker.pid)
        if started == worker.process_started and processes.stopped(worker.pid):
            _kill(worker, "is frozen, its leases are over, and it")


def end(silent: Collection[Worker]) -> None:
    """Call with all that are silent at each sweep that finds the database writable: end those that
    stay silent for a lease of such sweeps. The heartbeat alone does not show it: while the database
    was locked or away nobody could send one."""
    now, before = monotonic(), _Process.seen
    _Process.seen = {}
    for worker in silent:
        heartbeat, since = before.get(worker.id, (worker.heartbeat_at, now))
        if heartbeat != worker.heartbeat_at:
            since = now
        _Process.seen[worker.id] = (worker.heartbeat_at, since)
        if now - since >= conf().lease_seconds:
            _kill(worker, "was silent for too long and")


def forget() -> None:
    """What was seen of silence does not count: the database was not there."""
    _Process.seen = {}


def _kill(worker: Worker, why: str) -> None:
    logger.error("Worker %s %s is killed", worker.pid, why)
    with suppress(ProcessLookupError, PermissionError):
        os.kill(worker.pid, signal.SIGKILL)
