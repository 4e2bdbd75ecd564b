"""A column for JSON that comes back as it was given."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.db import models


class JsonTextField(models.TextField):  # type: ignore[type-arg]
    """A JSON value, kept as text. Not Django's JSONField, which is `jsonb` on Postgres: that gives
    1e23 back as a whole number of 24 digits, and reorders keys. Cannot be searched inside."""

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj)

    def formfield(self, **options: Any) -> Any:
        return models.Field.formfield(self, form_class=forms.JSONField, **options)
