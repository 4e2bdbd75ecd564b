"""Quoted names of tables and columns, from the models: a renamed field cannot leave a statement
behind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import models

Row = Sequence[Any]


def fields(model: type[models.Model]) -> Sequence[models.Field[Any, Any]]:
    """The fields that are columns."""
    return model._meta.concrete_fields


@cache
def table(model: type[models.Model]) -> str:
    """The quoted name of its table."""
    return f'"{model._meta.db_table}"'


@cache
def column(model: type[models.Model], name: str) -> str:
    """The quoted column of an attribute."""
    columns = {field.attname: field.column for field in fields(model)}
    return f'"{columns[name]}"'


def text_literal(text: str) -> str:
    """A text as a part of a statement that is executed with parameters: its `%` are doubled."""
    if "\\" in text or "\0" in text:
        raise ValueError(f"{text!r} is to be a parameter.")
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"
