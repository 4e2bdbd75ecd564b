"""Threads and runs: what was asked for, where it stands, and what it came to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import orjson
from django.db import models
from django.db.models import Q
from django.utils import timezone

from runs.engine.ids import uuid7
from runs.engine.names import MAX_NAME
from runs.fields import JsonTextField
from runs.models.status import LARGE, TERMINAL, Durability, PendingReason, RunStatus


class Thread(models.Model):
    """One continuing state. `checkpoint_id` is its newest checkpoint, where the next run begins."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    metadata = JsonTextField(default=dict, blank=True)
    checkpoint_id = models.UUIDField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.id)


class Run(models.Model):
    """One execution request on a thread.

    `attempt` counts claims and is the fencing token: whoever writes must still hold it. `seq` is
    the number of the run's newest event, `step` that of its newest superstep.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="runs")
    workflow = models.CharField(max_length=MAX_NAME)
    workflow_version = models.CharField(max_length=MAX_NAME, default="1")
    name = models.CharField(max_length=200, blank=True, default="")
    status = models.CharField(max_length=12, choices=RunStatus, default=RunStatus.PENDING)
    pending_reason = models.CharField(
        max_length=12,
        choices=PendingReason,
        default=PendingReason.CREATED,
        blank=True,
        help_text="why it is pending; empty in any other status",
    )
    payload = JsonTextField(
        null=True, blank=True, help_text="what it was given; empty when that is large: see Payload"
    )
    metadata = JsonTextField(default=dict, blank=True)
    tags = JsonTextField(default=list, blank=True)
    error = JsonTextField(null=True, blank=True)

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001
    fingerprint = models.CharField(
        max_length=64, blank=True, default="", help_text="of what was asked for under that key"
    )

    priority = models.SmallIntegerField(default=0)
    durability = models.CharField(
        max_length=5, choices=Durability, default=Durability.SYNC, help_text="when steps are kept"
    )
    concurrency_key = models.CharField(  # noqa: DJ001
        max_length=255, null=True, blank=True, help_text="runs of one key share its places"
    )
    concurrency_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="it begins while fewer runs of its key run"
    )
    attempt = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(
        default=0, help_text="claims since the last progress that ended in a lost lease"
    )
    lease_owner = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    wake_at = models.DateTimeField(
        null=True, blank=True, help_text="when the sweep wakes it, while it sleeps or asks"
    )

    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_acknowledged_at = models.DateTimeField(
        null=True, blank=True, help_text="when the worker that held it began to stop it"
    )
    cancel_by = models.CharField(max_length=150, blank=True, default="")
    cancel_reason = models.CharField(max_length=500, blank=True, default="")
    rolled_back = models.BooleanField(
        default=False, help_text="it is cancelled, and what it did to its thread is taken back"
    )

    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="it is not claimed, and stops at its next superstep"
    )
    pause_by = models.CharField(max_length=150, blank=True, default="")
    pause_reason = models.CharField(max_length=500, blank=True, default="")

    entries = models.BigIntegerField(
        default=0, help_text="how many entries of the present attempt the journal has written"
    )
    seq = models.BigIntegerField(default=0)
    step = models.BigIntegerField(default=0)
    checkpoint_id = models.UUIDField(
        null=True, blank=True, help_text="where execution continues; empty: begin with the payload"
    )
    source_run = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replays"
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="run_idempotency_key",
            )
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="run_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="run_status_newest"),
            models.Index(fields=["workflow", "-created_at", "-id"], name="run_workflow_newest"),
            # The claim and the sweep look at live rows only: their cost must not grow with history.
            # With the status in front, or SQLite takes another index and sorts all that wait.
            models.Index(
                fields=["status", "-priority", "created_at", "id"],
                condition=Q(status="pending"),
                name="run_pending",
            ),
            # The claim of a process that lacks some of the workflows that wait, and which wait. The
            # status is second: Postgres leaves it out, as the condition implies it.
            models.Index(
                fields=["workflow", "status", "-priority", "created_at", "id"],
                condition=Q(status="pending"),
                name="run_pending_workflow",
            ),
            models.Index(
                fields=["status", "crashes"],
                condition=Q(status="pending", crashes__gt=0),
                name="run_crashed",
            ),
            models.Index(
                fields=["lease_expires_at"], condition=Q(status="running"), name="run_leases"
            ),
            models.Index(
                fields=["thread"],
                condition=Q(started_at__isnull=False, finished_at__isnull=True),
                name="run_thread_begun",
            ),
            models.Index(
                fields=["status", "concurrency_key"],
                condition=Q(status="running", concurrency_key__isnull=False),
                name="run_key_busy",
            ),
            models.Index(fields=["updated_at"], name="run_updated"),
            models.Index(
                fields=["cancel_requested_at"],
                condition=Q(status="running", cancel_requested_at__isnull=False),
                name="run_cancelling",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.id}"

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL

    @property
    def given(self) -> Any:
        """What the run was asked to begin with, wherever that is stored. A replay from a step has
        the large payload of the run that it replays."""
        run: Run | None = self
        while run is not None:
            if run.payload is not None:
                return run.payload
            if (own := Payload.objects.filter(run=run).first()) is not None:
                return own.value
            run = run.source_run
        return None

    @property
    def duration(self) -> timedelta | None:
        """From first claim to the end, or until now; None before the first claim."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at


class Payload(models.Model):
    """What a run was given, when that is large: a run's row changes with every step, and SQLite
    writes a row anew as a whole when its length changes."""

    run = models.OneToOneField(
        Run, primary_key=True, on_delete=models.CASCADE, related_name="large"
    )
    value = JsonTextField()

    def __str__(self) -> str:
        return f"payload of {self.run_id}"

    @staticmethod
    def apart(runs: Iterable[Run]) -> list[Payload]:
        """Take the payloads that are large out of new runs; the caller stores both."""
        found = []
        for run in runs:
            if run.payload is not None and len(orjson.dumps(run.payload)) > LARGE:
                found.append(Payload(run=run, value=run.payload))
                run.payload = None
        return found
