"""The shapes of the API, for its schema and documentation. Answers are built as plain values
(`runs.queries.summaries` and the views); a test holds them against these."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers as s

from runs.http.schemas import ObjectField, Shape
from runs.models import Durability, RunStatus


class RunPauseSerializer(Shape):
    """That a run is paused."""

    paused_at = s.DateTimeField()
    by = s.CharField()
    reason = s.CharField()


class WorkflowPauseSerializer(RunPauseSerializer):
    """That a workflow is paused, or was."""

    workflow = s.CharField()
    ended_at = s.DateTimeField(allow_null=True, help_text="Null while it is paused")
    ended_by = s.CharField()


class CancellationSerializer(Shape):
    """That a run is to end, or has ended, as cancelled."""

    requested_at = s.DateTimeField()
    acknowledged_at = s.DateTimeField(
        allow_null=True, help_text="When its worker began to stop it; null if it did not need to"
    )
    by = s.CharField()
    reason = s.CharField()


class RunErrorSerializer(Shape):
    type = s.CharField()
    message = s.CharField()
    node = s.CharField(allow_null=True)
    namespace = s.CharField(
        allow_blank=True, help_text="Where the node is, as in frames; empty for the outermost graph"
    )


class FullRunErrorSerializer(RunErrorSerializer):
    traceback = s.CharField(allow_null=True)


class RunSummarySerializer(Shape):
    """A run as lists and the feed show it."""

    id = s.UUIDField()
    run_id = s.UUIDField(help_text="The same as `id`")
    thread = s.UUIDField()
    workflow = s.CharField()
    workflow_version = s.CharField()
    name = s.CharField()
    status = s.ChoiceField(RunStatus.choices)
    paused = s.BooleanField(
        help_text="The run itself; that its workflow is paused stands with the workflow"
    )
    tags = s.ListField(child=s.CharField())
    error = RunErrorSerializer(allow_null=True)
    created_at = s.DateTimeField()
    updated_at = s.DateTimeField()
    started_at = s.DateTimeField(allow_null=True)
    finished_at = s.DateTimeField(allow_null=True)
    duration_seconds = s.FloatField(allow_null=True)
    attempt = s.IntegerField(help_text="How often a worker has claimed it")
    seq = s.IntegerField(help_text="Number of its newest event")
    step = s.IntegerField(help_text="Number of its newest superstep")
    checkpoint_id = s.UUIDField(allow_null=True)
    source_run = s.UUIDField(allow_null=True, help_text="The run that this one replays")


class BatchSerializer(Shape):
    results = RunSummarySerializer(many=True)


class RunSerializer(RunSummarySerializer):
    payload = s.JSONField()
    metadata = ObjectField()
    durability = s.ChoiceField(Durability.values)
    error = FullRunErrorSerializer(allow_null=True)
    cancel = CancellationSerializer(allow_null=True)
    pause = RunPauseSerializer(
        allow_null=True, help_text="The run's own; that of its workflow stands with the workflow"
    )
    concurrency_key = s.CharField(allow_null=True)
    concurrency_limit = s.IntegerField(allow_null=True)


class CauseSerializer(Shape):
    code = s.CharField(help_text="Stable, for programs")
    detail = s.CharField(help_text="One sentence for people")
    until = s.DateTimeField(allow_null=True, help_text="When it is over at the latest, if known")


class WhySerializer(Shape):
    run_id = s.UUIDField()
    status = s.ChoiceField(RunStatus.choices)
    causes = CauseSerializer(many=True)


class StateSerializer(Shape):
    run_id = s.UUIDField()
    checkpoint_id = s.UUIDField(allow_null=True, help_text="Null before the first checkpoint")
    step = s.IntegerField(allow_null=True)
    values = ObjectField(help_text="State by channel")
    next = s.ListField(child=s.CharField(), help_text="Nodes of the next superstep")


class CheckpointSerializer(Shape):
    id = s.UUIDField()
    step = s.IntegerField()
    source: Any = s.CharField()
    parent_id = s.UUIDField(allow_null=True)
    namespace = s.CharField(allow_blank=True)
    next = s.ListField(child=s.CharField())
    created_at = s.DateTimeField()


class FrameSerializer(Shape):
    """One event, as every stream sends it."""

    event = s.CharField(help_text="See `EventName`")
    seq = s.IntegerField()
    run_id = s.UUIDField()
    ts = s.DateTimeField()
    node = s.CharField(required=False)
    step = s.IntegerField(required=False)
    namespace = s.CharField(
        required=False, help_text="Of a subgraph: `node:task_id`, those inside it behind a `|`"
    )
    task_id = s.UUIDField(
        required=False, help_text="Which execution of the node, or which call of a task"
    )
    data_url = s.CharField(
        required=False, help_text="Where the whole event is: `data` is too long, or cut to a note"
    )
    data: Any = s.JSONField(required=False)


class WholeFrameSerializer(FrameSerializer):
    """One event with all of its data."""

    state_url = s.CharField(
        required=False, help_text="The state after an update that was cut to a note"
    )


class EventsSerializer(Shape):
    results = FrameSerializer(many=True)
    after = s.IntegerField(help_text="The last `seq` given: ask again with it")
    more = s.BooleanField(help_text="Whether there was more at the time of the answer")


class WorkflowSerializer(Shape):
    name = s.CharField()
    version = s.CharField()
    description = s.CharField(allow_blank=True)
    input_schema = ObjectField(help_text="JSON Schema (2020-12) of the payload")
    concurrency_limit = s.IntegerField(
        allow_null=True, help_text="How many of its runs run at once; null: any number"
    )
    pause = RunPauseSerializer(allow_null=True)


@extend_schema_serializer(many=False)
class WorkflowsSerializer(Shape):
    results = WorkflowSerializer(many=True)


class GraphNodeSerializer(Shape):
    id = s.CharField()
    label: Any = s.CharField()
    kind = s.CharField(help_text="`start`, `node` or `end`")


class GraphEdgeSerializer(Shape):
    source: Any = s.CharField()
    target = s.CharField()
    conditional = s.BooleanField()
    label: Any = s.CharField(allow_null=True, required=False)


class GraphSerializer(Shape):
    nodes = GraphNodeSerializer(many=True)
    edges = GraphEdgeSerializer(many=True)


class WorkflowDetailSerializer(WorkflowSerializer):
    graph = GraphSerializer()
    mermaid = s.CharField(help_text="The graph as a Mermaid flowchart")


class WorkerSerializer(Shape):
    id = s.UUIDField()
    host = s.CharField()
    pid = s.IntegerField()
    started_at = s.DateTimeField()
    heartbeat_at = s.DateTimeField()
    awake = s.BooleanField(help_text="Whether it looks for work, rather than wait to be woken")
    in_flight = s.IntegerField(help_text="Runs that it executes now")
    capacity = s.IntegerField()
    workflows = s.ListField(
        child=s.CharField(),
        allow_null=True,
        help_text="Names of those that it can execute; null: it is of a version that does not say",
    )
    alive = s.BooleanField(help_text="Whether its heartbeat is younger than the lease")


@extend_schema_serializer(many=False)
class WorkersSerializer(Shape):
    results = WorkerSerializer(many=True)


class DatabaseCheckSerializer(Shape):
    ok = s.BooleanField()
    detail = s.CharField()


class WorkersCheckSerializer(DatabaseCheckSerializer):
    alive = s.IntegerField(allow_null=True)


class ChecksSerializer(Shape):
    database = DatabaseCheckSerializer()
    workers = WorkersCheckSerializer()


class LiveRunsSerializer(Shape):
    pending = s.IntegerField()
    running = s.IntegerField()


@extend_schema_serializer(many=False)
class HealthSerializer(Shape):
    status = s.ChoiceField(["ok", "degraded", "down"])
    version = s.CharField()
    checks = ChecksSerializer()
    runs = LiveRunsSerializer(allow_null=True)
