"""Queries that are executed again and again, compiled once: to put a small question into SQL costs
ten times what the database does for the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db import connection, transaction
from django.db.models import Model, QuerySet

from runs.db.columns import fields
from runs.db.dialect import dialect
from runs.db.statements import fetch

M = TypeVar("M", bound=Model)


class CompiledQuery:
    """`build()`, a queryset of `values_list`, as one text per kind of database. What it filters by
    must be the same every time; how many rows are fetched is given with each call."""

    def __init__(self, build: Callable[[], QuerySet[Any, Any]]) -> None:
        self._build = build
        self._compiled: dict[str, tuple[Any, str, Sequence[Any], Any]] = {}

    def rows(self, limit: int) -> list[Sequence[Any]]:
        """The first `limit` rows, their values as the model's fields have them, on this thread's
        connection."""
        if connection.vendor not in self._compiled:
            with transaction.atomic(savepoint=False):  # or Django would not lock rows
                self._compiled[connection.vendor] = self._compile()
        compiler, statement, params, converters = self._compiled[connection.vendor]
        rows = fetch(connection, statement, [*params, limit])
        return list(compiler.apply_converters(rows, converters)) if converters else rows

    def _compile(self) -> tuple[Any, str, Sequence[Any], Any]:
        compiler = self._build().query.get_compiler(connection=connection)
        statement, params = dialect(connection).bind(*compiler.as_sql())
        converters = compiler.get_converters([column for column, _, _ in compiler.select])
        # Behind FOR UPDATE, where there is one: Postgres takes the two in either order.
        return compiler, f"{statement} LIMIT %s", params, converters


class CompiledLookup(Generic[M]):
    """The row of `model` with a primary key, as the ORM gives it, at a fraction of the cost: the
    columns with the attribute names `names`, or all."""

    def __init__(self, model: type[M], *names: str) -> None:
        self._model = model
        self._names = names or tuple(field.attname for field in fields(model))
        self._compiled: dict[str, tuple[Any, str, Any]] = {}

    def values(self, key: object) -> Sequence[Any] | None:
        """The columns; None when there is no such row."""
        if connection.vendor not in self._compiled:
            self._compiled[connection.vendor] = self._compile(key)
        compiler, statement, converters = self._compiled[connection.vendor]
        field = self._model._meta.pk
        assert field is not None
        rows = fetch(connection, statement, [field.get_db_prep_value(key, connection)])
        if converters:
            rows = list(compiler.apply_converters(rows, converters))
        return rows[0] if rows else None

    def get(self, key: object) -> M | None:
        """The object; None when there is none."""
        values = self.values(key)
        if values is None:
            return None
        return self._model.from_db(connection.alias, self._names, values)

    def _compile(self, key: object) -> tuple[Any, str, Any]:
        chosen = self._model._default_manager.filter(pk=key).order_by().values_list(*self._names)
        compiler = chosen.query.get_compiler(connection=connection)
        statement, _ = compiler.as_sql()
        return compiler, statement, compiler.get_converters([col for col, _, _ in compiler.select])
