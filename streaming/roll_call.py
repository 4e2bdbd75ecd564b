"""Which of many runs have moved, or are no longer there: one query, however many they are."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import orjson
from django.db import connection

# The heads go as one parameter: a condition of thousands of terms is refused by SQLite, and slow
# to parse everywhere.
_SQLITE = """
    SELECT watched.key, run.seq FROM json_each(%s) AS watched
    LEFT JOIN runs_run AS run ON run.id = watched.key
    WHERE run.id IS NULL OR run.seq > watched.value
"""
_POSTGRES = """
    SELECT watched.id, run.seq FROM unnest(%s::uuid[], %s::bigint[]) AS watched (id, head)
    LEFT JOIN runs_run AS run ON run.id = watched.id
    WHERE run.id IS NULL OR run.seq > watched.head
"""


def call(heads: Mapping[UUID, int]) -> tuple[set[UUID], set[UUID]]:
    """Of runs and the seqs that are known of them: those that have later events, and those that
    were deleted."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRES, [list(heads), list(heads.values())])
        else:
            by_hex = {run_id.hex: head for run_id, head in heads.items()}
            cursor.execute(_SQLITE, [orjson.dumps(by_hex).decode()])
        rows = [(UUID(str(run_id)), seq) for run_id, seq in cursor.fetchall()]
    gone = {run_id for run_id, seq in rows if seq is None}
    return {run_id for run_id, _ in rows} - gone, gone
