"""Noting that a run was deleted, whoever deletes it and whatever takes it along, so that lists of
runs in other processes learn of it. The note is in the transaction of the deletion."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.db.models.signals import post_delete
from django.utils import timezone

from runs.lifecycle import notification
from runs.models import DeletedRun, Run

#: How long a note is kept: longer than any list goes without being read again.
KEPT = timedelta(hours=1)
#: Between two looks for notes that are too old, in one process. Seconds.
FORGET_EVERY = 60.0

_forgot_at = float("-inf")


def connect() -> None:
    """Note every deletion from now on that Django makes."""
    post_delete.connect(_note, sender=Run, dispatch_uid="runs.operations.tombstones")


def _note(instance: Run, using: str, **_: Any) -> None:
    now = timezone.now()
    DeletedRun.objects.using(using).update_or_create(
        id=instance.pk,
        defaults={
            "thread_id": instance.thread_id,
            "workflow": instance.workflow,
            "deleted_at": now,
        },
    )
    _forget(using)
    notification.notify_watchers()


def _forget(using: str) -> None:
    global _forgot_at
    if time.monotonic() >= _forgot_at + FORGET_EVERY:
        _forgot_at = time.monotonic()
        DeletedRun.objects.using(using).filter(deleted_at__lt=timezone.now() - KEPT).delete()
