"""Which of many runs have new events, have ended or were deleted: one query for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections

from runs.db.columns import column, table
from runs.db.dialect import dialect
from runs.db.statements import fetch
from runs.models import TERMINAL, Run

# The heads go as a fixed number of parameters: a condition of thousands of terms is refused by
# SQLite, and slow to parse everywhere.
_ID, _SEQ, _STATUS = (column(Run, name) for name in ("id", "seq", "status"))
_QUERY = f"""
    SELECT watched.id, run.{_ID} FROM {{}} AS watched
    LEFT JOIN {table(Run)} AS run ON run.{_ID} = watched.id
    WHERE run.{_ID} IS NULL OR {{}}
"""  # noqa: S608
_MOVED = f"run.{_SEQ} > watched.head"
_ENDED = f"run.{_STATUS} IN ({', '.join(repr(str(status)) for status in sorted(TERMINAL))})"


def moved_since(heads: Mapping[UUID, int]) -> tuple[set[UUID], set[UUID]]:
    """Of the runs in `heads` (run id → seq that is known): those with later events, and those that
    were deleted."""
    return _matching(_MOVED, heads)


def ended(run_ids: Iterable[UUID]) -> tuple[set[UUID], set[UUID]]:
    """Of these runs: those that have ended, and those that do not exist (any more)."""
    return _matching(_ENDED, dict.fromkeys(run_ids, 0))


def _matching(condition: str, heads: Mapping[UUID, int]) -> tuple[set[UUID], set[UUID]]:
    connection = connections[DEFAULT_DB_ALIAS]
    known = dialect(connection)
    statement = _QUERY.format(known.pairs_table(), condition)
    rows = fetch(connection, statement, known.pairs(heads))
    matches = [(UUID(str(run_id)), row_id) for run_id, row_id in rows]
    gone = {run_id for run_id, row_id in matches if row_id is None}
    return {run_id for run_id, _ in matches} - gone, gone
