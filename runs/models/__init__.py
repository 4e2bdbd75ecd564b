"""The durable record: what is stored of threads, runs and everything they did.

The journal (`journal.py`) owns the rows of State, Checkpoint, PendingWrite and Event, and writes
them past the ORM; the operations own Thread and Run until a worker claims the run. Columns with
values of the engine are text (its own JSON, written once and read back byte for byte), not
database JSON, which would reorder keys and refuse some strings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import orjson
from django.db import models
from django.db.models import Q
from django.utils import timezone

from runs.engine import events, serde
from runs.engine.ids import uuid7
from runs.engine.names import MAX_NAME
from runs.fields import JsonTextField, NameField

#: From so many bytes on, what a run was given has a row of its own, and is not stored once more
#: with the state.
LARGE = 8_192


class RunStatus(models.TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    SLEEPING = "sleeping"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PendingReason(models.TextChoices):
    """Why a run is pending; it decides which event its next claim appends (`runs.lifecycle`)."""

    #: It is new: `started`.
    CREATED = "created"
    #: Its questions were answered: `resumed`.
    ANSWERED = "answered"
    #: The time that it waited for has come: `resumed`.
    WOKEN = "woken"
    #: It stopped at the end of a superstep for a pause: `resumed`.
    PAUSED = "paused"
    #: It was isolated as a suspect and made progress: `resumed`.
    PROVEN = "proven"
    #: Its worker stopped or gave it up: `recovered`.
    STOPPED = "stopped"
    #: Its worker was lost: `recovered`.
    LOST = "lost"


class Durability(models.TextChoices):
    """`runs.engine.journal.durability` says what they promise."""

    SYNC = "sync"
    ASYNC = "async"
    EXIT = "exit"


WAITING = (RunStatus.SLEEPING, RunStatus.INTERRUPTED)
TERMINAL = tuple(status for status in RunStatus if status in events.TERMINAL_STATUSES)


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


class Checkpoint(models.Model):
    """The state of a thread at a superstep boundary: which version of which channel, and what is
    to run next. Its parent is the checkpoint before it; a thread's checkpoints form a tree."""

    id = models.UUIDField(primary_key=True, editable=False)
    thread = models.ForeignKey(  # no index of its own: `checkpoint_newest` begins with it
        Thread, on_delete=models.CASCADE, related_name="checkpoints", db_index=False
    )
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="checkpoints")
    namespace = NameField(
        blank=True, default="", help_text="its digest (`fields.indexed`) where it is long"
    )
    full_namespace = NameField(
        null=True, blank=True, help_text="the namespace itself, where `namespace` is its digest"
    )
    parent_id = models.UUIDField(null=True, blank=True)
    step = models.BigIntegerField()
    source = models.CharField(max_length=10)
    versions = models.TextField(help_text="channel → the checkpoint that wrote its value")
    frontier = models.TextField(help_text="what runs next")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["thread", "namespace", "-id"], name="checkpoint_newest")]

    def __str__(self) -> str:
        return f"step {self.step} of {self.run_id}"

    @property
    def path(self) -> str:
        """The namespace itself."""
        return str(self.namespace if self.full_namespace is None else self.full_namespace)

    @property
    def next_nodes(self) -> list[str]:
        """The nodes that run in the next superstep; empty when the graph is done."""
        frontier = json.loads(self.frontier)
        return [*frontier.get("nodes", []), *(send[0] for send in frontier.get("sends", []))]


class State(models.Model):
    """The value of one channel as one checkpoint (`version`) wrote it: in full, or as a delta that
    follows `previous` and is counted from the full value at `base`."""

    thread = models.ForeignKey(  # no index of its own: others begin with it
        Thread, on_delete=models.CASCADE, related_name="states", db_index=False
    )
    namespace = NameField(blank=True, default="")
    channel = NameField()
    version = models.UUIDField()
    base = models.UUIDField()
    previous = models.UUIDField(null=True, blank=True)
    value = models.TextField()
    size = models.BigIntegerField()
    given = models.BooleanField(
        default=False, help_text="the value is what the run was given for this key, and kept there"
    )

    class Meta:
        constraints = [
            # A version is a checkpoint, and so of one namespace.
            models.UniqueConstraint(fields=["thread", "version", "channel"], name="state_version")
        ]
        indexes = [models.Index(fields=["thread", "channel", "base"], name="state_chain")]

    def __str__(self) -> str:
        return f"{self.channel} at {self.version}"

    @property
    def is_delta(self) -> bool:
        return self.base != self.version


class PendingWrite(models.Model):
    """What a run recorded of a superstep before its end: what finished tasks wrote, what waiting
    ones asked and were answered, results of durable steps. A superstep's rows go with the
    checkpoint that ends it. Two runs may go on from one checkpoint; each has rows of its own."""

    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="pending_writes")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="pending_writes")
    namespace = NameField(blank=True, default="")
    checkpoint_id = models.UUIDField(help_text="the checkpoint that the superstep started from")
    task_id = models.UUIDField()
    node = NameField()
    kind = models.CharField(max_length=20)
    idx = models.IntegerField(default=0)
    value = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["checkpoint_id", "task_id", "kind", "idx"], name="write_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.node}"


class Event(models.Model):
    """A numbered fact about a run. `seq` is gap-free per run, from 1; rows never change."""

    run = models.ForeignKey(  # no index of its own: that of (run, seq) begins with it
        Run, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    seq = models.BigIntegerField()
    name = models.CharField(max_length=40)
    ts = models.DateTimeField()
    node = NameField(blank=True, default="")
    step = models.BigIntegerField(null=True, blank=True)
    namespace = NameField(blank=True, default="")
    task_id = models.UUIDField(null=True, blank=True)
    data = models.TextField(blank=True, default="", help_text="JSON, or empty for none")

    class Meta:
        ordering = ["run", "seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="event_seq")]

    def __str__(self) -> str:
        return f"{self.seq} {self.name}"

    @property
    def decoded(self) -> Any:
        """Its data, as clients see them."""
        return serde.plain(serde.show(self.data)) if self.data else None


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
