"""The django-q2 broker: its ORM broker with a change listener, in order, and with a sweep in its
idle moments."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import timedelta

from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from runs import workflows
from runs.cluster import jobs
from runs.conf import conf
from runs.db.errors import TRANSIENT
from runs.db.retry import Outage, close
from runs.lifecycle import wakeup
from runs.notify.changes import WORKERS, ChangeListener, listen, notify_workers
from runs.process import slots
from runs.scheduling import availability, claimable, recovery, stalls, worker_health

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.2  # for a notification; the pusher looks whether it should stop in between
_LOOK_SECONDS = 1.0  # without a notification: for locks that lapse
_SLOT_SECONDS = 0.05  # between two looks while no slot is free, whatever is notified


class NotifiedBroker(ORM):
    """Jobs in the database, first in, first out, at least once; wake-ups before the others, and at
    most once: who takes a wake-up deletes it, so that it is not handed out again while a worker
    that it woke is still at work. A wake-up that gets lost is made again by the sweep."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._changes: ChangeListener | None = None
        self._outage = Outage("the queue")
        self._look_at = 0.0
        self._muted_until = 0.0
        self._sweep_at = 0.0

    def dequeue(self) -> list[tuple[int, str]] | None:
        """The next jobs; None when there were none for a moment. A database that is away is waited
        for: to raise would end the pusher."""
        try:
            self._sweep_when_due()
            jobs = self._next_jobs()
        except TRANSIENT as error:
            pause = self._outage.failed(error)
            self._close_connections()
            time.sleep(pause)
            return None
        self._outage.answered()
        return jobs

    def _close_connections(self) -> None:
        """The connections may be dead: the next call has new ones."""
        changes, self._changes = self._changes, None
        if changes is not None:
            changes.close()
        close(Conf.ORM)

    def enqueue(self, task: str) -> int:
        """Queue any job and notify the brokers with the commit. A job without a notification is
        found by the next look."""
        job: int = super().enqueue(task)
        with suppress(*TRANSIENT):
            notify_workers()
        return job

    def release(self, ack_id: int) -> None:
        """Hand a job back that was taken and not begun."""
        self.get_connection().filter(pk=ack_id).update(lock=timezone.now())

    def _next_jobs(self) -> list[tuple[int, str]] | None:
        if self._changes is None:
            # Before the first look: a job that is queued after it must be notified.
            self._changes = listen(Conf.ORM, WORKERS, prompt=False)
        else:
            now = time.monotonic()
            time.sleep(max(0.0, self._muted_until - now))
            left = self._look_at - now
            if left > 0 and not self._changes.wait(min(left, _WAIT_SECONDS)):
                return None
        self._look_at = time.monotonic() + _LOOK_SECONDS
        taken = self._take_wakeup() or self._take()
        if taken:
            self._look_at = 0.0  # there may be more
        sound = [(job_id, package) for job_id, package in taken if self._is_sound(job_id, package)]
        return sound or None

    def _is_sound(self, job_id: int, package: str) -> bool:
        """Whether the pusher may read the package; one that it may not is deleted."""
        try:
            jobs.unpacked(package)
        except jobs.RefusedError as error:
            logger.error("Job %s of the queue is refused and deleted. %s", job_id, error)
            self.fail(job_id)
            return False
        return True

    def _take_wakeup(self) -> list[tuple[int, str]]:
        # Others stay queued, so that nobody queues another: the workers that could follow them are
        # awake, and cause most notifications. None is sent when a worker goes to sleep.
        keys = [wakeup.key(apart=apart) for apart in (False, True) if slots.free(apart=apart)]
        if wakeup.key() not in keys and stalls.of_host() and slots.spare_free():
            keys.append(wakeup.key())
        if wakeup.key() not in keys:
            self._look_at = self._muted_until = time.monotonic() + _SLOT_SECONDS
        rows = self.get_connection().filter(key__in=keys)
        waiting = list(rows.order_by("id").values_list("id", "payload", "key"))
        useless = {kind for kind in {key for *_, key in waiting} if not _is_of_use(kind)}
        waiting = [row for row in waiting if row[2] not in useless]
        if not waiting:
            return []
        # One delivery stands for all of its kind, and whoever deletes them has it.
        first, payload, kind = waiting[0]
        same = [pk for pk, _, key in waiting if key == kind]
        deleted, _ = rows.filter(pk__in=same).delete()
        return [(first, payload)] if deleted else []

    def _take(self) -> list[tuple[int, str]]:
        now = timezone.now()
        rows = self.get_connection().filter(key=self.list_key, lock__lt=now).order_by("id")
        until = now + timedelta(seconds=Conf.RETRY)
        return [
            (row.pk, row.payload)
            for row in rows[: Conf.BULK]
            # Only if the lock is what was read: another cluster may have been faster.
            if self.get_connection().filter(pk=row.pk, lock=row.lock).update(lock=until)
        ]

    def _sweep_when_due(self) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + conf().sweep_seconds
        try:
            recovery.sweep(timezone.now())
        except TRANSIENT:
            raise
        except Exception:  # the queue must go on
            logger.exception("The sweep failed")


def _is_of_use(kind: str) -> bool:
    """Whether a worker of this host is to have the wake-up. Not where runs wait that only another
    host can execute: it would be taken from the pusher there."""
    apart = kind == wakeup.key(apart=True)
    if claimable.any_pending(apart=apart, known=workflows.registered()):
        return True
    return not availability.others_wait() or not worker_health.host_has_worker()
