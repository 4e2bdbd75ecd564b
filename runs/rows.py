"""The journal's rows, written past the ORM: on this path object work is the cost, not the disk.

Every function takes the rows of a whole batch and sends one statement for them. Table and column
names come from the models, so that a renamed field cannot leave a statement behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
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
    fields, statement = _creation(model)
    rows = [
        [field.get_db_prep_save(getattr(one, field.attname), connection) for field in fields]
        for one in objects
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


@cache
def _creation(model: type[models.Model]) -> tuple[list[models.Field[Any, Any]], str]:
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    columns = ", ".join(_column(model, field.attname) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    return fields, f"INSERT INTO {_table(model)} ({columns}) VALUES ({places})"  # noqa: S608


def locked(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: Sequence[str],
    status: str,
    keys: Sequence[UUID],
) -> list[Row]:
    """`columns` of the rows with one of `keys` and that `status`, locked until the end of the
    transaction (on SQLite all of the database is), in the order of their keys. As the driver gives
    them: on SQLite ids and times are text."""
    names = ", ".join(_column(model, column) for column in columns)
    places = ", ".join(["%s"] * len(keys))
    key, state = _column(model, "id"), _column(model, "status")
    # The unary plus (SQLite): by the primary key, not by the index of all that run.
    plus = "+" if connection.vendor == "sqlite" else ""
    statement = (
        f"SELECT {names} FROM {_table(model)} "  # noqa: S608
        f"WHERE {plus}{state} = %s AND {key} IN ({places}) ORDER BY {key}"
    )
    if connection.features.has_select_for_update:
        statement += " FOR UPDATE"
    adapt = _adapters(connection.vendor).get(UUID)
    given = [status, *(map(adapt, keys) if adapt else keys)]
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        return list(cursor.fetchall())


def upsert(
    connection: BaseDatabaseWrapper, model: type[models.Model], columns: Sequence[str], row: Row
) -> None:
    """Insert a row of `columns`, the first of which is the primary key; one that is there already
    gets the new values, except of `created_at`."""
    names = [_column(model, column) for column in columns]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:] if name != '"created_at"')
    places = ", ".join(["%s"] * len(names))
    statement = (
        f"INSERT INTO {_table(model)} ({', '.join(names)}) VALUES ({places})"  # noqa: S608
        f" ON CONFLICT ({names[0]}) DO UPDATE SET {changes}"
    )
    _many(connection, statement, [row])


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
    adapt = _adapters(connection.vendor)
    adapted = [
        [adapt[kind](value) if (kind := type(value)) in adapt else value for value in row]
        for row in rows
    ]
    if connection.vendor == "sqlite" and not connection.queries_logged:
        # Past Django's cursor, which costs as much again as the statement.
        with connection.wrap_database_errors:
            connection.connection.executemany(statement.replace("%s", "?"), adapted)
        return
    with connection.cursor() as cursor:
        cursor.executemany(statement, adapted)


@cache
def _adapters(vendor: str) -> Mapping[type, Callable[[Any], Any]]:
    """How the values of a row are sent, for the types that a driver does not take as they are."""
    if vendor == "sqlite":
        return {UUID: _hex, datetime: _naive, bytes: bytes.decode}
    return {bytes: bytes.decode}


def _hex(value: UUID) -> str:
    return f"{value.int:032x}"


def _naive(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


@cache
def _table(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'


@cache
def _column(model: type[models.Model], name: str) -> str:
    fields = {field.attname: field.column for field in model._meta.concrete_fields}
    return f'"{fields[name]}"'
