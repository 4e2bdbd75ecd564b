"""The journal's rows, written past the ORM: on this path object work is the cost, not the disk.

Every function takes the rows of a whole batch, in the form of the driver (`columns.Form`,
`columns.adapted`), and sends one statement for them. Table and column names come from the models,
so that a renamed field cannot leave a statement behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import psycopg
from django.db import models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import TransactionStatus

from runs import bulk, database_file
from runs.columns import Row, column, table
from runs.notify import changes, pipes

#: Up to so many rows in all are quickest one by one, in a pipeline; more of them with one COPY or
#: `unnest` a table (docs/performance.md has the figures).
FEW = 40

#: Asks a statement (with `%s`) for the rows that it gives, as the driver has them.
Ask = Callable[[str, Sequence[Any]], list[Row]]


@dataclass(kw_only=True)
class Written:
    """A transaction that is open. `expect` is to be told about how many rows will be written,
    behind the last question and before most of them are."""

    ask: Ask
    expect: Callable[[int], None] = lambda rows: None
    ended: bool = True

    def announce(self, *, ended: bool) -> None:
        """Ring with the commit, and say whether a run may have `ended` with it."""
        self.ended = ended
        changes.notify_changes(ended=ended)


@contextmanager
def written(connection: BaseDatabaseWrapper, *, ordinary: bool = False) -> Iterator[Written]:
    """A transaction, in as few round trips as can be: on Postgres one for each question, BEGIN with
    the first, and one for all that is written, with COMMIT. The first error of these is raised at
    the end. Within another transaction, while queries are logged, or when asked for, an `ordinary`
    one, in which Django knows that it is in a transaction."""
    asking = partial(ask, connection)
    if ordinary or not _direct(connection) or connection.in_atomic_block:
        with transaction.atomic():
            yield Written(ask=asking)
        return
    _connect(connection)
    raw = connection.connection
    if connection.vendor == "sqlite":
        with _on_sqlite(connection) as opened:
            yield opened
        return
    with connection.wrap_database_errors:
        try:
            with ExitStack() as stack:
                yield from _in_pipeline(connection, stack)
        finally:
            if raw.info.transaction_status in _OPEN:
                raw.rollback()


_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR)


def _in_pipeline(connection: BaseDatabaseWrapper, stack: ExitStack) -> Iterator[Written]:
    pipeline = stack.enter_context(connection.connection.pipeline())

    def ask(statement: str, given: Sequence[Any]) -> list[Row]:
        cursor = _cursor(connection)
        cursor.execute(statement, given)
        # Not only read: what stands still from here on is idle in a transaction (`idle`).
        pipeline.sync()
        return list(cursor.fetchall())

    def expect(rows: int) -> None:
        if rows > FEW:  # COPY has no pipeline
            stack.close()

    _cursor(connection).execute("BEGIN")
    yield Written(ask=ask, expect=expect)
    _cursor(connection).execute("COMMIT")


@contextmanager
def _on_sqlite(connection: BaseDatabaseWrapper) -> Iterator[Written]:
    raw = connection.connection
    with connection.wrap_database_errors:
        raw.execute("BEGIN IMMEDIATE")
        try:
            opened = Written(ask=partial(ask, connection))
            yield opened
            database_file.check_before_commit(connection)
            raw.execute("COMMIT")
            database_file.check_after_commit(connection)
            pipes.notify(ended=opened.ended)
        finally:
            if raw.in_transaction:
                raw.execute("ROLLBACK")


def _connect(connection: BaseDatabaseWrapper) -> None:
    """Be connected, as before each cursor of Django's: anew, where `close_old_connections` was
    called before and the server has ended the connection meanwhile."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    database_file.check(connection)


def _direct(connection: BaseDatabaseWrapper) -> bool:
    """Whether statements may go past Django's cursor, which costs as much again as they do."""
    return not connection.queries_logged


def _cursor(connection: BaseDatabaseWrapper) -> Any:
    """A cursor of the driver: on Postgres one whose statements are planned once a connection."""
    raw = connection.connection
    return raw.cursor() if connection.vendor == "sqlite" else psycopg.Cursor(raw)


def ask(connection: BaseDatabaseWrapper, statement: str, given: Sequence[Any]) -> list[Row]:
    """The rows that `statement` (with `%s`) gives, as the driver has them."""
    _connect(connection)
    if not _direct(connection):
        with connection.cursor() as cursor:
            cursor.execute(statement, given)
            return list(cursor.fetchall())
    with connection.wrap_database_errors:
        cursor = _cursor(connection)
        cursor.execute(_places(connection, statement), given)
        return list(cursor.fetchall())


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
    if not rows:
        return
    if bulk.fits(connection, rows):
        return bulk.insert(connection, model, columns, rows, or_ignore=or_ignore)
    many(connection, _insertion(model, columns, or_ignore), rows)


@cache
def _insertion(model: type[models.Model], columns: tuple[str, ...], or_ignore: bool) -> str:
    names = ", ".join(column(model, one) for one in columns)
    places = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {table(model)} ({names}) VALUES ({places})"  # noqa: S608
    return f"{statement} ON CONFLICT DO NOTHING" if or_ignore else statement


def create(
    connection: BaseDatabaseWrapper, model: type[models.Model], objects: Sequence[models.Model]
) -> None:
    """Insert `objects`, whose keys and defaults are set already: `bulk_create` for a tenth of the
    cost, without signals."""
    if not objects:
        return
    fields, columns = _creation(model)
    rows = [
        [field.get_db_prep_save(getattr(one, field.attname), connection) for field in fields]
        for one in objects
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
    """Insert a row of `columns`, the first of which is the primary key; one that is there already
    gets the new values, except of `created_at`."""
    names = [column(model, one) for one in columns]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:] if name != '"created_at"')
    statement = _insertion(model, columns, False)
    many(connection, f"{statement} ON CONFLICT ({names[0]}) DO UPDATE SET {changes}", [row])


def update(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
) -> None:
    """Set `columns` by primary key; each row is the new values and then the key. Of several rows
    with one key the last counts."""
    if not rows:
        return
    if bulk.fits(connection, rows):
        return bulk.update(connection, model, columns, rows)
    many(connection, _change(model, columns), rows)


@cache
def _change(model: type[models.Model], columns: tuple[str, ...]) -> str:
    assignments = ", ".join(f"{column(model, one)} = %s" for one in columns)
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
    if not keys:
        return
    if bulk.fits(connection, keys):
        return bulk.delete(connection, model, columns, keys, but=but)
    many(connection, _deletion(model, columns, but), keys)


@cache
def _deletion(model: type[models.Model], columns: tuple[str, ...], but: tuple[str, str]) -> str:
    where = " AND ".join(f"{column(model, one)} = %s" for one in columns)
    where += f" AND {column(model, but[0])} <> '{but[1]}'"
    return f"DELETE FROM {table(model)} WHERE {where}"  # noqa: S608


def many(connection: BaseDatabaseWrapper, statement: str, rows: Sequence[Row]) -> None:
    """`statement` (with `%s`) for each of `rows`."""
    connection.ensure_connection()
    if not _direct(connection):
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)
        return
    with connection.wrap_database_errors:
        _cursor(connection).executemany(_places(connection, statement), rows)


def _places(connection: BaseDatabaseWrapper, statement: str) -> str:
    return statement.replace("%s", "?") if connection.vendor == "sqlite" else statement
