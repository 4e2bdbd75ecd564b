"""Pauses of workflows: what was paused, by whom and why; and pausing one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from runs import workflows
from runs.admin.base import RecordAdmin
from runs.errors import Problem
from runs.models import WorkflowPause
from runs.operations import pause
from runs.scheduling import availability

if TYPE_CHECKING:  # generic for the type checker only
    _ModelForm = forms.ModelForm[WorkflowPause]
else:
    _ModelForm = forms.ModelForm


def _names() -> list[str]:
    """The workflows of this process, and those of which runs wait for another one."""
    return sorted({*workflows.names(), *availability.pending_workflows()})


class PauseForm(_ModelForm):
    """Which workflow to pause, and why."""

    workflow = forms.ChoiceField(choices=lambda: [(name, name) for name in _names()])

    class Meta:
        model = WorkflowPause
        fields = ("workflow", "reason")


@admin.register(WorkflowPause)
class WorkflowPauseAdmin(RecordAdmin):
    form = PauseForm
    list_display = ("workflow", "paused_at", "paused_by", "reason", "ended_at", "ended_by")
    list_display_links = ("workflow",)
    id_fields = ()
    text_fields = ("workflow",)
    search_help_text = "The beginning of a workflow's name"
    actions = ("unpause",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("workflow", "reason") if obj is None else self.list_display

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else self.list_display

    def save_model(self, request: HttpRequest, obj: WorkflowPause, form: Any, change: bool) -> None:
        if not change:
            by = request.user.get_username()
            obj.pk = pause.pause_workflow(obj.workflow, by=by, reason=obj.reason).pk

    @admin.action(description="Unpause the workflows of the selected pauses")
    def unpause(self, request: HttpRequest, queryset: QuerySet[WorkflowPause]) -> None:
        by = request.user.get_username()
        done = 0
        for name in sorted(set(queryset.filter(ended_at=None).values_list("workflow", flat=True))):
            try:
                pause.unpause_workflow(name, by=by)
                done += 1
            except Problem as problem:  # somebody was faster
                self.message_user(request, problem.detail, messages.WARNING)
        self.message_user(request, f"{done} unpaused.", messages.SUCCESS)
