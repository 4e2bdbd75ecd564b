"""Columns whose values come back as they were given, from every database."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from django import forms
from django.db import models

#: So many characters of a namespace fit into an index of Postgres, whatever they are.
INDEXED = 500

_ESCAPE, _NUL, _ITSELF = "\x01", "\x01\x02", "\x01\x03"


def stored_name(name: str) -> str:
    """`name` as a `NameField` has it: Postgres keeps no NUL, so it is escaped. Any two names are
    stored otherwise."""
    if "\x00" not in name and name[:1] != _ESCAPE:
        return name
    return _ESCAPE + name.replace(_ESCAPE, _ITSELF).replace("\x00", _NUL)


def read_name(stored: str) -> str:
    """The name that `stored_name` was given."""
    if stored[:1] != _ESCAPE:
        return stored
    return stored[1:].replace(_NUL, "\x00").replace(_ITSELF, _ESCAPE)


def indexed(namespace: str) -> str:
    """What stands for `namespace` in an index: itself, or a digest of one that is too long."""
    if len(namespace) <= INDEXED:
        return namespace
    # No namespace begins with a colon.
    return ":" + blake2b(namespace.encode(), digest_size=32).hexdigest()


class NameField(models.TextField):  # type: ignore[type-arg]
    """A name of whatever length and characters that are well-formed Unicode."""

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else read_name(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else stored_name(str(value))


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
