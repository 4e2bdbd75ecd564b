"""What the journal wrote: checkpoints, values, pending writes, events, and who executes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from runs.admin.base import ReadOnlyAdmin
from runs.admin.display import list_link, row_link, short, stored_text
from runs.engine import events
from runs.models import Checkpoint, DeletedRun, Event, Payload, PendingWrite, State, Worker
from runs.scheduling import availability


class EventNameFilter(admin.SimpleListFilter):
    """By name, within one run: over all runs it would have to read every event."""

    title = "event"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in events.NAMES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(name=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("seq", "name", "node", "step", "ts", "run_link")
    ordering = ("-id",)
    id_fields = ("run__id", "task_id")
    search_help_text = "The beginning of a run's or a task's id"
    large_fields = ("data",)
    fields = ("run_link", "seq", "name", "ts", "node", "step", "namespace", "task_id", "value")
    readonly_fields = fields

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [EventNameFilter] if "run__id__exact" in request.GET else []

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-seq",) if "run__id__exact" in request.GET else ("-id",)

    @admin.display(description="run")
    def run_link(self, event: Event) -> SafeString | str:
        return row_link("runs_run", event.run_id)

    @admin.display(description="data")
    def value(self, event: Event) -> SafeString:
        return stored_text(event, "data")


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ("id", "step", "source", "namespace", "created_at", "run_link")
    id_fields = ("id", "run__id", "thread__id")
    search_help_text = "The beginning of a checkpoint's, a run's or a thread's id"
    large_fields = ("versions", "frontier")
    fields = (
        "id", "run_link", "thread_link", "parent", "step", "source", "namespace", "created_at",
        "state", "writes", "next", "channels",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="run")
    def run_link(self, checkpoint: Checkpoint) -> SafeString | str:
        return row_link("runs_run", checkpoint.run_id)

    @admin.display(description="thread")
    def thread_link(self, checkpoint: Checkpoint) -> SafeString | str:
        return row_link("runs_thread", checkpoint.thread_id)

    @admin.display(description="parent")
    def parent(self, checkpoint: Checkpoint) -> SafeString | str:
        return row_link("runs_checkpoint", checkpoint.parent_id)

    @admin.display(description="state")
    def state(self, checkpoint: Checkpoint) -> SafeString:
        return list_link("runs_state", "Values written here", version=checkpoint.pk)

    @admin.display(description="pending writes")
    def writes(self, checkpoint: Checkpoint) -> SafeString:
        where = {"thread__id__exact": checkpoint.thread_id, "checkpoint_id": checkpoint.pk}
        return list_link("runs_pendingwrite", "Writes after this checkpoint", **where)

    @admin.display(description="runs next")
    def next(self, checkpoint: Checkpoint) -> SafeString:
        return stored_text(checkpoint, "frontier")

    @admin.display(description="versions")
    def channels(self, checkpoint: Checkpoint) -> SafeString:
        return stored_text(checkpoint, "versions")


@admin.register(State)
class StateAdmin(ReadOnlyAdmin):
    list_display = ("channel", "kind", "size", "namespace", "written_at", "thread_link")
    ordering = ("-id",)
    id_fields = ("version", "thread__id")
    search_help_text = "The beginning of a checkpoint's or a thread's id"
    large_fields = ("value",)
    fields = (
        "channel", "namespace", "thread_link", "written_at", "kind", "follows", "size", "content",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="stored as")
    def kind(self, state: State) -> str:
        return "delta" if state.is_delta else "full value"

    @admin.display(description="written at")
    def written_at(self, state: State) -> SafeString | str:
        return row_link("runs_checkpoint", state.version, short(state.version))

    @admin.display(description="follows")
    def follows(self, state: State) -> SafeString | str:
        return row_link("runs_checkpoint", state.previous)

    @admin.display(description="thread")
    def thread_link(self, state: State) -> SafeString | str:
        return row_link("runs_thread", state.thread_id)

    @admin.display(description="value")
    def content(self, state: State) -> SafeString | str:
        if state.given:
            return "What the run was given for this key: see its payload."
        return stored_text(state, "value")


@admin.register(Payload)
class PayloadAdmin(ReadOnlyAdmin):
    list_display = ("run_link",)
    ordering = ("-pk",)
    id_fields = ("run__id",)
    search_help_text = "The beginning of a run's id"
    large_fields = ("value",)
    fields = ("run_link", "content")
    readonly_fields = fields

    @admin.display(description="run")
    def run_link(self, payload: Payload) -> SafeString | str:
        return row_link("runs_run", payload.run_id)

    @admin.display(description="value")
    def content(self, payload: Payload) -> SafeString:
        return stored_text(payload, "value")


@admin.register(PendingWrite)
class PendingWriteAdmin(ReadOnlyAdmin):
    list_display = ("node", "kind", "idx", "after", "thread_link")
    ordering = ("-id",)
    id_fields = ("thread__id", "task_id")
    search_help_text = "The beginning of a thread's or a task's id"
    large_fields = ("value",)
    fields = ("node", "kind", "idx", "task_id", "namespace", "after", "thread_link", "content")
    readonly_fields = fields

    @admin.display(description="after checkpoint")
    def after(self, write: PendingWrite) -> SafeString | str:
        return row_link("runs_checkpoint", write.checkpoint_id, short(write.checkpoint_id))

    @admin.display(description="thread")
    def thread_link(self, write: PendingWrite) -> SafeString | str:
        return row_link("runs_thread", write.thread_id)

    @admin.display(description="value")
    def content(self, write: PendingWrite) -> SafeString:
        return stored_text(write, "value")


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("id", "host", "pid", "alive", "awake", "capacity", "heartbeat_at")
    text_fields = ("host",)
    search_help_text = "The beginning of a worker's id or of its host's name"
    fields = (*list_display, "started_at", "process_started", "has_workflows", "claimed")
    readonly_fields = fields

    @admin.display(boolean=True)
    def alive(self, worker: Worker) -> bool:
        return worker.heartbeat_at > availability.oldest_live_heartbeat(timezone.now())

    @admin.display(description="workflows")
    def has_workflows(self, worker: Worker) -> str:
        return "not known" if worker.workflows is None else ", ".join(worker.workflows) or "none"

    @admin.display(description="claimed runs")
    def claimed(self, worker: Worker) -> SafeString:
        return list_link("runs_run", "Runs", lease_owner=worker.pk, status__exact="running")


@admin.register(DeletedRun)
class DeletedRunAdmin(ReadOnlyAdmin):
    list_display = ("id", "workflow", "thread_id", "deleted_at")
    ordering = ("-deleted_at",)
    id_fields = ("id", "thread_id")
    search_help_text = "The beginning of a run's or a thread's id"
    fields = list_display
    readonly_fields = fields
