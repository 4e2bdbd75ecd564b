"""Former names of `runs.db.statements` and `runs.db.transaction`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from runs import doorbell
from runs.db.columns import Row
from runs.db.statements import create, delete, insert, update, upsert
from runs.db.statements import fetch as ask
from runs.db.transaction import fast_transaction

__all__ = ["Ask", "Written", "ask", "create", "delete", "insert", "update", "upsert", "written"]

Ask = Callable[[str, Sequence[Any]], list[Row]]


@dataclass(kw_only=True)
class Written:
    """A transaction that is open."""

    ask: Ask
    ended: bool = True

    def expect(self, rows: int) -> None: ...

    def announce(self, *, ended: bool) -> None:
        doorbell.announce(ended=ended)


@contextmanager
def written(connection: BaseDatabaseWrapper, *, ordinary: bool = False) -> Iterator[Written]:
    """`fast_transaction`."""
    with fast_transaction(connection):
        yield Written(ask=partial(ask, connection))
