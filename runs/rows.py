"""The journal's rows, written past the ORM: on this path object work is the cost, not the disk.

Every function takes the rows of a whole batch and sends one statement for them. Table and column
names come from the models, so that a renamed field cannot leave a statement behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

Row = Sequence[Any]


def insert(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[Row],
    *,
    or_ignore: bool = False,
) -> None:
    """Insert `rows` of `columns` (attribute names). With `or_ignore`, rows that are there already
    stay as they are."""
    if not rows:
        return
    names = ", ".join(_column(model, column) for column in columns)
    places = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {_table(model)} ({names}) VALUES ({places})"  # noqa: S608
    if or_ignore:
        statement += " ON CONFLICT DO NOTHING"
    _many(connection, statement, rows)


def create(
    connection: BaseDatabaseWrapper, model: type[models.Model], objects: Sequence[models.Model]
) -> None:
    """Insert `objects`, whose keys and defaults are set already: `bulk_create` for a tenth of the
    cost, without signals."""
    if not objects:
        return
    fields = model._meta.concrete_fields
    columns = ", ".join(_column(model, field.attname) for field in fields if not _made(field))
    kept = [field for field in fields if not _made(field)]
    places = ", ".join(["%s"] * len(kept))
    statement = f"INSERT INTO {_table(model)} ({columns}) VALUES ({places})"  # noqa: S608
    rows = [
        [field.get_db_prep_save(getattr(one, field.attname), connection) for field in kept]
        for one in objects
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _made(field: models.Field[Any, Any]) -> bool:
    return isinstance(field, models.AutoField)


def update(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[Row],
) -> None:
    """Set `columns` by primary key; each row is the new values and then the key."""
    if not rows:
        return
    assignments = ", ".join(f"{_column(model, column)} = %s" for column in columns)
    key = _column(model, "id")
    statement = f"UPDATE {_table(model)} SET {assignments} WHERE {key} = %s"  # noqa: S608
    _many(connection, statement, rows)


def delete(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: Sequence[str],
    keys: Sequence[Row],
) -> None:
    """Delete the rows whose `columns` are one of `keys`."""
    if not keys:
        return
    where = " AND ".join(f"{_column(model, column)} = %s" for column in columns)
    _many(connection, f"DELETE FROM {_table(model)} WHERE {where}", keys)  # noqa: S608


EVENT = ("run_id", "seq", "name", "ts", "node", "step", "namespace", "task_id", "data")
STATE = ("thread_id", "namespace", "channel", "version", "base", "previous", "value", "size")
CHECKPOINT = (
    "id",
    "thread_id",
    "run_id",
    "namespace",
    "parent_id",
    "step",
    "source",
    "versions",
    "frontier",
    "created_at",
)
PENDING = (
    "thread_id",
    "run_id",
    "namespace",
    "checkpoint_id",
    "task_id",
    "node",
    "kind",
    "idx",
    "value",
)
RUN_PROGRESS = ("seq", "entries", "step", "checkpoint_id", "crashes", "updated_at")
RUN_SEQ = ("seq", "entries", "updated_at")
RUN_END = (
    "status",
    "seq",
    "error",
    "finished_at",
    "lease_owner",
    "lease_expires_at",
    "wake_at",
    "updated_at",
)
THREAD_HEAD = ("checkpoint_id", "updated_at")


def _many(connection: BaseDatabaseWrapper, statement: str, rows: Sequence[Row]) -> None:
    adapted = [[_adapted(connection, value) for value in row] for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(statement, adapted)


def _adapted(connection: BaseDatabaseWrapper, value: Any) -> Any:
    adapt = _ADAPT.get(type(value))
    return value if adapt is None else adapt(connection, value)


def _uuid(connection: BaseDatabaseWrapper, value: UUID) -> Any:
    return value if connection.features.has_native_uuid_field else value.hex


def _datetime(connection: BaseDatabaseWrapper, value: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(value)


_ADAPT: dict[type, Callable[[BaseDatabaseWrapper, Any], Any]] = {
    UUID: _uuid,
    datetime: _datetime,
    bytes: lambda connection, value: value.decode(),
}


@cache
def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'


@cache
def _column(model: type[models.Model], name: str) -> str:
    fields = {field.attname: field.column for field in model._meta.concrete_fields}
    return f'"{fields[name]}"'
