"""Threads and runs: looked at, labelled, and deleted when nothing needs them any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from runs.admin.display import badge, list_link, pretty, row_link
from runs.admin.run_forms import GuardedDeletion, RunForm, WorkflowFilter
from runs.errors import Problem
from runs.models import Run, RunStatus, Thread
from runs.operations import delete
from runs.operations import pause as operations_pause
from runs.operations.cancel import cancel_run
from runs.queries import why

if TYPE_CHECKING:  # generic for the type checker only
    _ModelForm = forms.ModelForm[Run]
else:
    _ModelForm = forms.ModelForm


@admin.register(Thread)
class ThreadAdmin(GuardedDeletion):
    list_display = ("id", "created_at", "updated_at")
    fields = ("id", "created_at", "updated_at", "checkpoint", "runs", "states", "meta")
    readonly_fields = fields
    large_fields = ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def why_not(self, row: Thread) -> str:
        return delete.why_thread_stays(row)

    def delete_model(self, request: HttpRequest, obj: Thread) -> None:
        delete.delete_thread(obj.pk)

    @admin.display(description="newest checkpoint")
    def checkpoint(self, thread: Thread) -> SafeString | str:
        return row_link("runs_checkpoint", thread.checkpoint_id)

    @admin.display(description="runs")
    def runs(self, thread: Thread) -> SafeString:
        return list_link("runs_run", "Runs of this thread", thread__id__exact=thread.pk)

    @admin.display(description="state")
    def states(self, thread: Thread) -> SafeString:
        return list_link("runs_state", "Values of this thread", thread__id__exact=thread.pk)

    @admin.display(description="metadata")
    def meta(self, thread: Thread) -> SafeString:
        return pretty(thread.metadata)


@admin.register(Run)
class RunAdmin(GuardedDeletion):
    form = RunForm
    list_display = ("id", "name", "workflow", "state", "step", "created_at", "took")
    list_filter = ("status", WorkflowFilter, "created_at")
    id_fields = ("id", "thread__id")
    text_fields = ("name", "workflow")
    search_help_text = "The beginning of a run's id, its thread's id, its name or its workflow"
    fieldsets = (
        (None, {"fields": ("name", "tags", "metadata")}),
        (
            "Run",
            {
                "fields": ("id", "workflow", "workflow_version", "state", "why", "thread_link",
                           "links"),
            },
        ),
        ("Input and error", {"fields": ("input", "failure")}),
        ("Times", {"fields": ("created_at", "started_at", "finished_at", "took", "updated_at")}),
        (
            "Execution",
            {
                "fields": ("attempt", "crashes", "priority", "durability", "concurrency_key",
                           "concurrency_limit", "seq", "step", "checkpoint", "source",
                           "pending_reason", "lease_owner", "lease_expires_at", "wake_at"),
            },
        ),
        (
            "Cancellation",
            {
                "fields": ("cancel_requested_at", "cancel_acknowledged_at", "cancel_by",
                           "cancel_reason", "rolled_back"),
                "classes": ("collapse",),
            },
        ),
        ("Pause", {"fields": ("paused_at", "pause_by", "pause_reason"), "classes": ("collapse",)}),
    )  # fmt: skip
    readonly_fields = (
        "id", "workflow", "workflow_version", "state", "why", "thread_link", "links", "input",
        "failure",
        "created_at", "started_at", "finished_at", "took", "updated_at", "attempt", "crashes",
        "priority", "durability", "seq", "step", "checkpoint", "source", "lease_owner",
        "lease_expires_at", "wake_at", "pending_reason", "cancel_requested_at",
        "cancel_acknowledged_at", "cancel_by",
        "cancel_reason", "rolled_back", "paused_at", "pause_by", "pause_reason", "concurrency_key",
        "concurrency_limit",
    )  # fmt: skip
    actions = ("cancel", "pause", "unpause")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        queryset = super().get_queryset(request)
        # The list shows none of these, and a payload may be megabytes.
        match = request.resolver_match
        if match is not None and (match.url_name or "").endswith("_changelist"):
            queryset = queryset.defer("payload", "metadata", "error")
        return queryset

    def why_not(self, row: Run) -> str:
        return delete.why_run_stays(row)

    def delete_model(self, request: HttpRequest, obj: Run) -> None:
        delete.delete_run(obj.pk)

    def save_model(self, request: HttpRequest, obj: Run, form: Any, change: bool) -> None:
        # Only what was changed: a full save would write back the status of a minute ago.
        if form.changed_data:
            obj.updated_at = timezone.now()
            obj.save(update_fields=[*form.changed_data, "updated_at"])

    @admin.action(description="Cancel the selected runs", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        by = request.user.get_username()
        self._each(
            request,
            queryset,
            lambda run_id: cancel_run(run_id, by=by, reason="from the admin"),
            "cancelled, or about to be",
        )

    @admin.action(description="Pause the selected runs", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        by = request.user.get_username()
        self._each(
            request,
            queryset,
            lambda run_id: operations_pause.pause_run(run_id, by=by, reason="from the admin"),
            "paused",
        )

    @admin.action(description="Unpause the selected runs", permissions=["change"])
    def unpause(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        by = request.user.get_username()
        self._each(
            request,
            queryset,
            lambda run_id: operations_pause.unpause_run(run_id, by=by),
            "unpaused",
        )

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Run], act: Callable[[UUID], Run], done: str
    ) -> None:
        """Do it with each; say with how many, and why not with the others."""
        count = 0
        for run_id in queryset.values_list("pk", flat=True):
            try:
                act(run_id)
                count += 1
            except Problem as problem:
                self.message_user(request, problem.detail, messages.WARNING)
        if count:
            self.message_user(request, f"{count} {done}.", messages.SUCCESS)

    @admin.display(description="status")
    def state(self, run: Run) -> SafeString:
        return badge(str(RunStatus(run.status)))

    @admin.display(description="why it is so")
    def why(self, run: Run) -> SafeString:
        lines = ((cause.detail,) for cause in why.causes(run, timezone.now()))
        return format_html_join(mark_safe("<br>"), "{}", lines)

    @admin.display(description="duration")
    def took(self, run: Run) -> str:
        return "-" if run.duration is None else f"{run.duration.total_seconds():,.2f} s"

    @admin.display(description="thread")
    def thread_link(self, run: Run) -> SafeString | str:
        return row_link("runs_thread", run.thread_id)

    @admin.display(description="record")
    def links(self, run: Run) -> SafeString:
        where = {"run__id__exact": run.pk}
        shown = [
            list_link("runs_event", f"{run.seq:,} events", **where),
            list_link("runs_checkpoint", "checkpoints", **where),
            list_link("artifacts_artifact", "artifacts", **where),
            list_link("runs_run", "replays", source_run__id__exact=run.pk),
        ]
        return format_html_join(" · ", "{}", ((link,) for link in shown))

    @admin.display(description="payload")
    def input(self, run: Run) -> SafeString:
        return pretty(run.given)

    @admin.display(description="error")
    def failure(self, run: Run) -> SafeString:
        return pretty(run.error)

    @admin.display(description="checkpoint")
    def checkpoint(self, run: Run) -> SafeString | str:
        return row_link("runs_checkpoint", run.checkpoint_id)

    @admin.display(description="replay of")
    def source(self, run: Run) -> SafeString | str:
        return row_link("runs_run", run.source_run_id)
