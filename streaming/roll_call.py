"""Which of many runs have moved, have ended, or are no longer there: one query, however many."""

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
_CALL = f"""
    SELECT watched.id, run.{_ID} FROM {{}} AS watched
    LEFT JOIN {table(Run)} AS run ON run.{_ID} = watched.id
    WHERE run.{_ID} IS NULL OR {{}}
"""  # noqa: S608
_MOVED = f"run.{_SEQ} > watched.head"
_ENDED = f"run.{_STATUS} IN ({', '.join(repr(str(status)) for status in sorted(TERMINAL))})"


def call(heads: Mapping[UUID, int]) -> tuple[set[UUID], set[UUID]]:
    """Of runs and the seqs that are known of them: those that have later events, and those that
    were deleted."""
    return _which(_MOVED, heads)


def ended(run_ids: Iterable[UUID]) -> tuple[set[UUID], set[UUID]]:
    """Of runs: those that have ended, and those that there are not, or no longer."""
    return _which(_ENDED, dict.fromkeys(run_ids, 0))


def _which(true: str, heads: Mapping[UUID, int]) -> tuple[set[UUID], set[UUID]]:
    connection = connections[DEFAULT_DB_ALIAS]
    known = dialect(connection)
    statement = _CALL.format(known.pairs_table(), true)
    rows = fetch(connection, statement, known.pairs(heads))
    found = [(UUID(str(run_id)), there) for run_id, there in rows]
    gone = {run_id for run_id, there in found if there is None}
    return {run_id for run_id, _ in found} - gone, gone
