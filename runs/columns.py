"""How the journal names columns and gives values to the driver, past the ORM: from the models, so
that a renamed field cannot leave a statement behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

Row = Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Form:
    """How one kind of database is given ids (from their text) and times. Text and numbers it takes
    as they are."""

    id: Callable[[str], str]
    time: Callable[[datetime], Any]


def _hex(text: str) -> str:
    if len(text) != 36:  # Postgres would refuse it, SQLite keep it
        raise ValueError(f"{text!r} is no id.")
    return text.replace("-", "")


def _naive(value: datetime) -> str:
    if value.tzinfo is UTC:  # as nearly all of them are
        return value.isoformat(" ")[:-6]
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def _same(value: Any) -> Any:
    return value


_FORMS = {"sqlite": Form(id=_hex, time=_naive)}
_PLAIN = Form(id=_same, time=_same)


def form(vendor: str) -> Form:
    """The form of a kind of database."""
    return _FORMS.get(vendor, _PLAIN)


def adapted(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> list[list[Any]]:
    """Rows of Python's own values as the driver takes them."""
    adapt = _adapters(connection.vendor)
    return [
        [adapt[kind](value) if (kind := type(value)) in adapt else value for value in row]
        for row in rows
    ]


@cache
def _adapters(vendor: str) -> Mapping[type, Callable[[Any], Any]]:
    if vendor == "sqlite":
        return {UUID: lambda value: f"{value.int:032x}", datetime: _naive, bytes: bytes.decode}
    return {bytes: bytes.decode}


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
