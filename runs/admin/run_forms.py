"""The forms and filters of threads and runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest

from runs import workflows
from runs.admin.base import RecordAdmin
from runs.errors import Problem
from runs.http.parsers import read_json
from runs.models import Run
from runs.operations.new_run import MAX_TAG, MAX_TAGS
from runs.validation import value_faults

if TYPE_CHECKING:  # generic for the type checker only
    _ModelForm = forms.ModelForm[Run]
else:
    _ModelForm = forms.ModelForm


class WorkflowFilter(admin.SimpleListFilter):
    """By registered name: the choices cost no query."""

    title = "workflow"
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in workflows.names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return queryset.filter(workflow=self.value()) if self.value() else queryset


class JsonField(forms.JSONField):
    """Shows a refused value again even when it holds half of a surrogate pair."""

    def prepare_value(self, value: Any) -> Any:
        return super().prepare_value(value).encode(errors="backslashreplace").decode()

    def to_python(self, value: Any) -> Any:
        if value not in self.empty_values and (why := self._why_not(value)):
            raise forms.ValidationError(why)
        return super().to_python(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        # Django's own parses it again, to show it again.
        return InvalidJSONInput(data) if self._why_not(data) else super().bound_data(data, initial)

    def _why_not(self, value: Any) -> str:
        """As strictly as the API reads a body: what is too large or deep costs nothing more."""
        try:
            if isinstance(value, str):
                read_json(value.encode(errors="surrogatepass"))
        except Problem as problem:
            return problem.detail
        return ""


class RunForm(_ModelForm):
    """What people may change of a run: how it is called, never what it is."""

    metadata = JsonField(required=False, widget=forms.Textarea({"rows": 4, "cols": 80}))
    tags = JsonField(required=False, widget=forms.Textarea({"rows": 1, "cols": 80}))

    class Meta:
        model = Run
        fields = ("name", "metadata", "tags")

    def clean_metadata(self) -> Any:
        value = self.cleaned_data["metadata"]
        value = {} if value is None else value
        if not isinstance(value, dict):
            raise forms.ValidationError('Metadata is a JSON object, like {"customer": "Ann"}.')
        _refuse_faults(value)
        return value

    def clean_tags(self) -> Any:
        value = self.cleaned_data["tags"]
        value = [] if value is None else value
        if not isinstance(value, list) or not all(
            isinstance(tag, str) and 0 < len(tag) <= MAX_TAG for tag in value
        ):
            raise forms.ValidationError(
                f'Tags are a JSON list of texts of at most {MAX_TAG} characters, like ["nightly"].'
            )
        if len(value) > MAX_TAGS:
            raise forms.ValidationError(f"A run has at most {MAX_TAGS} tags.")
        _refuse_faults(value)
        return value


def _refuse_faults(value: Any) -> None:
    for fault in value_faults(value):
        raise forms.ValidationError(fault["detail"])


class GuardedDeletion(RecordAdmin):
    """Deletion that asks the domain first, and lists what goes along by counting, not by loading
    every event of a run."""

    def why_not(self, row: Any) -> str:
        raise NotImplementedError

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or not self.why_not(obj))

    def get_deleted_objects(
        self, objs: Iterable[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        rows = list(objs)
        listed = [
            f"{row._meta.verbose_name.capitalize()} {row} with its events, checkpoints, state "
            "and artifacts"
            for row in rows
        ]
        name = str(self.model._meta.verbose_name_plural)
        refused = [why for row in rows if (why := self.why_not(row))]
        return listed, {name: len(rows)}, set(), refused

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)
