"""Pauses of workflows, tombstones of deleted runs, and the processes that execute."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from runs.engine.ids import uuid7
from runs.engine.names import MAX_NAME
from runs.fields import JsonTextField


class WorkflowPause(models.Model):
    """That a workflow was paused, by whom and why; none of its runs goes on until somebody
    unpauses it. At most one of a workflow is open; the others are its history."""

    workflow = models.CharField(max_length=MAX_NAME)
    paused_at = models.DateTimeField(default=timezone.now)
    paused_by = models.CharField(max_length=150, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        ordering = ["-paused_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["workflow"], condition=Q(ended_at__isnull=True), name="workflow_pause_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.workflow} since {self.paused_at:%Y-%m-%d %H:%M:%S}"


class DeletedRun(models.Model):
    """That there was a run, for those who still show it. Forgotten after a while."""

    id = models.UUIDField(primary_key=True, editable=False)
    thread_id = models.UUIDField()
    workflow = models.CharField(max_length=MAX_NAME)
    deleted_at = models.DateTimeField()

    class Meta:
        ordering = ["deleted_at"]
        indexes = [models.Index(fields=["deleted_at"], name="deleted_run_at")]

    def __str__(self) -> str:
        return f"{self.workflow} {self.id}"


class Worker(models.Model):
    """One process that executes runs, as it last reported. One that is not `awake` has no work; a
    wake-up finds it, and its host's sweep vouches for it meanwhile."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    process_started = models.CharField(
        max_length=40, help_text="tells this process from a later one with the same pid"
    )
    started_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now)
    awake = models.BooleanField(default=True)
    capacity = models.IntegerField(default=0)
    workflows = JsonTextField(
        null=True,
        blank=True,
        help_text="the names of the workflows that it has; empty: it does not say (an old version)",
    )

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "pid", "process_started"], name="worker_process"
            )
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
