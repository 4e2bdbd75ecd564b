"""Rows written and read past the ORM: on these paths object work is the cost, not the disk.

Every function takes the rows of a whole batch and sends one statement for them. It works inside a
transaction, whoever opened it, and without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from runs.db import postgres_bulk
from runs.db.columns import Row, column, table, text_literal
from runs.db.dialect import dialect
from runs.db.sqlite3 import database_file
from runs.db.writes import Write


def adapted(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> list[list[Any]]:
    """Rows of Python's own values as the driver takes them."""
    adapt = dialect(connection).adapters
    return [
        [adapt[kind](value) if (kind := type(value)) in adapt else value for value in row]
        for row in rows
    ]


def fetch(connection: BaseDatabaseWrapper, statement: str, params: Sequence[Any]) -> list[Row]:
    """The rows that `statement` (with `%s`) gives, as the driver has them."""
    connect(connection)
    if is_logged(connection):
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
            return list(cursor.fetchall())
    return dialect(connection).fetch(connection, statement, params)


def insert(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
    *,
    or_ignore: bool = False,
) -> None:
    """Insert `rows` of `columns` (attribute names). With `or_ignore`, rows that are there already
    stay as they are."""
    in_bulk = partial(postgres_bulk.insert, connection, model, columns, rows, or_ignore=or_ignore)
    _write(connection, _insertion(model, columns, or_ignore), rows, in_bulk)


@cache
def _insertion(model: type[models.Model], columns: tuple[str, ...], or_ignore: bool) -> str:
    names = ", ".join(column(model, name) for name in columns)
    places = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {table(model)} ({names}) VALUES ({places})"  # noqa: S608
    return f"{statement} ON CONFLICT DO NOTHING" if or_ignore else statement


def create(
    connection: BaseDatabaseWrapper, model: type[models.Model], objects: Sequence[models.Model]
) -> None:
    """Insert `objects`, whose keys and defaults are set already: `bulk_create` for a tenth of the
    cost, without signals."""
    fields, columns = _creation(model)
    rows = [
        [field.get_db_prep_save(getattr(each, field.attname), connection) for field in fields]
        for each in objects
    ]
    insert(connection, model, columns, rows)


@cache
def _creation(
    model: type[models.Model],
) -> tuple[list[models.Field[Any, Any]], tuple[str, ...]]:
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    return fields, tuple(field.attname for field in fields)


def upsert(
    connection: BaseDatabaseWrapper, model: type[models.Model], columns: tuple[str, ...], row: Row
) -> None:
    """Insert a row of `columns`, the first of which is the primary key. A row that is there already
    gets the new values, except of `created_at`."""
    names = [column(model, name) for name in columns]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:] if name != '"created_at"')
    statement = _insertion(model, columns, False)
    _write(connection, f"{statement} ON CONFLICT ({names[0]}) DO UPDATE SET {changes}", [row])


def update(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
) -> None:
    """Set `columns` by primary key; each row is the new values and then the key. Of several rows
    with one key the last counts."""
    in_bulk = partial(postgres_bulk.update, connection, model, columns, rows)
    _write(connection, _change(model, columns), rows, in_bulk)


@cache
def _change(model: type[models.Model], columns: tuple[str, ...]) -> str:
    assignments = ", ".join(f"{column(model, name)} = %s" for name in columns)
    return f"UPDATE {table(model)} SET {assignments} WHERE {column(model, 'id')} = %s"  # noqa: S608


def delete(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: tuple[str, ...],
    keys: Sequence[Row],
    *,
    but: tuple[str, str],
) -> None:
    """Delete the rows whose `columns` are one of `keys`, `but` for those with that column at that
    value."""
    in_bulk = partial(postgres_bulk.delete, connection, model, columns, keys, but=but)
    _write(connection, _deletion(model, columns, but), keys, in_bulk)


@cache
def _deletion(model: type[models.Model], columns: tuple[str, ...], but: tuple[str, str]) -> str:
    where = " AND ".join(f"{column(model, name)} = %s" for name in columns)
    where += f" AND {column(model, but[0])} <> {text_literal(but[1])}"
    return f"DELETE FROM {table(model)} WHERE {where}"  # noqa: S608


def _write(
    connection: BaseDatabaseWrapper,
    statement: str,
    rows: Sequence[Row],
    in_bulk: partial[None] | None = None,
) -> None:
    if not rows:
        return
    connection.ensure_connection()
    if is_logged(connection):
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)
        return
    write = Write(statement=statement, rows=rows, in_bulk=in_bulk)
    dialect(connection).write(connection, write)


def connect(connection: BaseDatabaseWrapper) -> None:
    """Be connected, as before each cursor of Django's: anew, where `close_old_connections` was
    called before and the server has ended the connection meanwhile."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    database_file.check(connection)


def is_logged(connection: BaseDatabaseWrapper) -> bool:
    """Whether statements must pass through Django's cursor, which logs them. It costs as much again
    as they do."""
    return connection.queries_logged
