"""Former names of `runs.db.columns` and `runs.db.dialect`."""

from __future__ import annotations

from runs.db.columns import Row, column, fields, table
from runs.db.dialect import DIALECTS
from runs.db.dialect import Dialect as Form
from runs.db.statements import adapted

__all__ = ["Form", "Row", "adapted", "column", "fields", "form", "table"]


def form(vendor: str) -> Form:
    """`dialect` of a connection."""
    return DIALECTS[vendor]
