"""What the journal writes: checkpoints, values, pending writes, events."""

from __future__ import annotations

import json
from typing import Any

from django.db import models

from runs.engine import serde
from runs.fields import NameField
from runs.models.run import Run, Thread


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
