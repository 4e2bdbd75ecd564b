"""The worker processes of this host, and what is done to them. Only a process that a Worker row
describes by pid and start time is ever signalled: a later process with the same pid is safe."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q

from runs.models import Run, RunStatus, Worker
from runs.process import processes


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A worker process of this host, and the runs that it held a moment ago."""

    worker_id: UUID
    pid: int
    started: str
    busy: bool = False

    def send(self, number: signal.Signals) -> bool:
        """Signal it; False when it has ended."""
        if processes.process_started(self.pid) != self.started:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    def held(self) -> list[UUID]:
        """The runs that it holds now."""
        running = Run.objects.filter(lease_owner=self.worker_id, status=RunStatus.RUNNING)
        return list(running.values_list("id", flat=True))

    def owner(self) -> int | None:
        """The user whose process it is; None when it has ended."""
        told = subprocess.run(
            ["ps", "-o", "uid=", "-p", str(self.pid)], capture_output=True, text=True, check=False
        )
        return int(told.stdout) if told.stdout.strip() else None


def find() -> list[Victim]:
    """The living ones, oldest first; those with runs come before those without."""
    held = dict(
        Run.objects.filter(status=RunStatus.RUNNING, lease_owner__isnull=False)
        .order_by()
        .values_list("lease_owner")
        .annotate(Count("id"))
    )
    found = [
        Victim(
            worker_id=row.id, pid=row.pid, started=row.process_started, busy=bool(held.get(row.id))
        )
        for row in Worker.objects.filter(host=processes.host()).order_by("started_at", "id")
        if processes.process_started(row.pid) == row.process_started
    ]
    return sorted(found, key=lambda victim: not victim.busy)


def unfinished_runs() -> int:
    """How many runs somebody still waits for."""
    live = (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.SLEEPING)
    return Run.objects.filter(Q(status__in=live)).count()
