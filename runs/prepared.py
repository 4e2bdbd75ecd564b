"""Queries that are asked again and again, compiled once: where a question is small, to put it into
SQL costs ten times what the database does for the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from django.db import connection, transaction
from django.db.models import Model, QuerySet
from psycopg import sql

from runs import rows
from runs.columns import fields
from runs.rows import Ask

M = TypeVar("M", bound=Model)


class Prepared:
    """`build()`, a queryset of `values_list`, as one text per kind of database. What it filters by
    must be the same every time; how many rows are wanted is said with each question."""

    def __init__(self, build: Callable[[], QuerySet[Any, Any]]) -> None:
        self._build = build
        self._compiled: dict[str, tuple[Any, str, Sequence[Any], Any]] = {}

    def rows(self, limit: int, ask: Ask | None = None) -> list[Sequence[Any]]:
        """The first `limit` rows, their values as the model's fields have them. Asks on this
        thread's connection, or the transaction that is open there."""
        compiler, statement, given, converters = self.compiled()._compiled[connection.vendor]
        found = (ask or partial(rows.ask, connection))(statement, [*given, limit])
        return list(compiler.apply_converters(found, converters)) if converters else found

    def compiled(self) -> Prepared:
        """Itself, ready for this thread's kind of database. To be called before a transaction that
        Django does not know of."""
        if connection.vendor not in self._compiled:
            with transaction.atomic(savepoint=False):  # or Django would not lock rows
                self._compiled[connection.vendor] = self._compile()
        return self

    def _compile(self) -> tuple[Any, str, Sequence[Any], Any]:
        compiler = self._build().query.get_compiler(connection=connection)
        statement, given = compiler.as_sql()
        converters = compiler.get_converters([column for column, _, _ in compiler.select])
        if connection.vendor == "postgresql":
            # What it filters by is part of the text: a plan for any status fits no partial index.
            statement, given = statement % tuple(map(_literal, given)), ()
        # Behind FOR UPDATE, where there is one: Postgres takes the two in either order.
        return compiler, f"{statement} LIMIT %s", given, converters


class One(Generic[M]):
    """The row of `model` with a primary key, as the ORM gives it, at a fraction of the cost: the
    columns with the attribute names `names`, or all."""

    def __init__(self, model: type[M], *names: str) -> None:
        self._model = model
        self._names = names or tuple(one.attname for one in fields(model))
        self._compiled: dict[str, tuple[Any, str, Any]] = {}

    def values(self, key: object) -> Sequence[Any] | None:
        """The columns; None when there is no such row."""
        if connection.vendor not in self._compiled:
            self._compiled[connection.vendor] = self._compile(key)
        compiler, statement, converters = self._compiled[connection.vendor]
        field = self._model._meta.pk
        assert field is not None
        found = rows.ask(connection, statement, [field.get_db_prep_value(key, connection)])
        if converters:
            found = list(compiler.apply_converters(found, converters))
        return found[0] if found else None

    def get(self, key: object) -> M | None:
        """The object; None when there is none."""
        found = self.values(key)
        return None if found is None else self._model.from_db(connection.alias, self._names, found)

    def _compile(self, key: object) -> tuple[Any, str, Any]:
        chosen = self._model._default_manager.filter(pk=key).order_by().values_list(*self._names)
        compiler = chosen.query.get_compiler(connection=connection)
        statement, _ = compiler.as_sql()
        return compiler, statement, compiler.get_converters([col for col, _, _ in compiler.select])


def _literal(value: Any) -> str:
    text = sql.Literal(str(value) if isinstance(value, str) else value).as_string()
    return text.replace("%", "%%")  # the text is run with a parameter: the limit
