"""Many rows of one table in one statement, on Postgres: COPY, or arrays and `unnest`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import psycopg
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import PipelineStatus

from runs.db.columns import Row, column, fields, table, text_literal

#: Fewer rows are quicker one by one.
COPY_MIN_ROWS = 5


def should_use(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> bool:
    """Whether one statement for all rows is worth it, and possible (COPY has no pipeline)."""
    return (
        len(rows) >= COPY_MIN_ROWS
        and not connection.queries_logged
        and connection.connection.pgconn.pipeline_status == PipelineStatus.OFF
    )


def insert(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
    *,
    or_ignore: bool,
) -> None:
    """`statements.insert`, in one statement."""
    if not or_ignore:
        return _copy(connection, model, columns, rows)
    _columnwise(connection, _insertion(model, columns, _types(connection, model, columns)), rows)


def delete(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: tuple[str, ...],
    keys: Sequence[Row],
    *,
    but: tuple[str, str],
) -> None:
    """`statements.delete`, in one statement."""
    types = _types(connection, model, columns)
    _columnwise(connection, _deletion(model, columns, types, but), keys)


def update(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
) -> None:
    """`statements.update`, in one statement."""
    types = _types(connection, model, (*columns, "id"))
    last = {row[-1]: row for row in rows}
    _columnwise(connection, _change(model, columns, types), list(last.values()))


@cache
def _insertion(model: type[models.Model], columns: tuple[str, ...], types: tuple[str, ...]) -> str:
    names = ", ".join(column(model, one) for one in columns)
    # In the order of the rows: pending writes are read by their numbers.
    found = f"SELECT * FROM {_unnest(types)}"  # noqa: S608
    return f"INSERT INTO {table(model)} ({names}) {found} ON CONFLICT DO NOTHING"


@cache
def _deletion(
    model: type[models.Model],
    columns: tuple[str, ...],
    types: tuple[str, ...],
    but: tuple[str, str],
) -> str:
    names = ", ".join(column(model, one) for one in columns)
    where = f"({names}) IN (SELECT * FROM {_unnest(types)})"  # noqa: S608
    where += f" AND {column(model, but[0])} <> {text_literal(but[1])}"
    return f"DELETE FROM {table(model)} WHERE {where}"  # noqa: S608


@cache
def _change(model: type[models.Model], columns: tuple[str, ...], types: tuple[str, ...]) -> str:
    names = [column(model, one) for one in columns]
    assignments = ", ".join(f"{name} = new.{name}" for name in names)
    given = f"{_unnest(types)} AS new({', '.join(names)}, id)"
    key = column(model, "id")
    return f"UPDATE {table(model)} AS old SET {assignments} FROM {given} WHERE old.{key} = new.id"  # noqa: S608


def _copy(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
) -> None:
    """Insert by COPY, which takes no conflict."""
    names = ", ".join(column(model, one) for one in columns)
    statement = f"COPY {table(model)} ({names}) FROM STDIN"
    with (
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as cursor,
        cursor.copy(statement) as sink,
    ):
        for row in rows:
            sink.write_row(row)


def _columnwise(connection: BaseDatabaseWrapper, statement: str, rows: Sequence[Row]) -> None:
    columns = [list(values) for values in zip(*rows, strict=True)]
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, columns)


def _types(
    connection: BaseDatabaseWrapper, model: type[models.Model], columns: tuple[str, ...]
) -> tuple[str, ...]:
    # Text for `varchar(n)`: an array of the column's own type would cut what is too long without
    # a word.
    types = {field.attname: field.db_type(connection) or "" for field in fields(model)}
    return tuple("text" if types[c].startswith("varchar") else types[c] for c in columns)


def _unnest(types: tuple[str, ...]) -> str:
    """`unnest(…)` of one array a column."""
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in types)})"
