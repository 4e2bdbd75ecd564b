"""Rows to be written to one table, before it is decided how they are sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runs.db.columns import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """Rows of one table."""

    #: The statement for one row, with `%s`.
    statement: str
    rows: Sequence[Row]
    #: Writes all rows in one statement, where the database has a way to.
    in_bulk: Callable[[], None] | None = None
