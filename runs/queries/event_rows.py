"""Rows of the event log, a page at a time.

Small events are one query. The data of large ones are read in a second query, for as many as the
page has room for: however much the next events weigh together, no more than a page is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from uuid import UUID

from django.db import connection

from runs.db import statements
from runs.db.columns import Row, column, table
from runs.db.dialect import Dialect, dialect
from runs.models import Event, Run

#: The columns of a row before its data.
COLUMNS = ("run_id", "id", "seq", "name", "ts", "node", "step", "namespace", "task_id")
SMALL = 8 * 1024  # bytes of data that are read with the row
LONGEST = 2**20  # characters of data that are read; one more says that there are others

_ID = 1 + COLUMNS.index("id")  # in a row, which begins with the bytes of its data


def of_runs(after: Mapping[UUID, int], *, limit: int, size: int) -> tuple[Sequence[Row], bool]:
    """The next rows of each run in `after` (run id → last seq that is known already), ordered by
    run and seq, and whether there are more. They are at most `limit`, and their data weigh at most
    `size` bytes together, unless it is one row alone. A row is how many bytes its data have, the
    `COLUMNS`, and the data; None for data that are too long."""
    known = dialect(connection)
    given = [value for run_id, seq in after.items() for value in (known.id(str(run_id)), seq)]
    found = statements.fetch(connection, _query(known, len(after)), [*given, limit + 1])
    return _page(found, limit, size)


def of_thread(
    thread_id: UUID, beyond: int, newest: int, *, limit: int, size: int
) -> tuple[Sequence[Row], bool]:
    """The same for all runs of a thread: those with ids above `beyond`, up to `newest`, ordered by
    id."""
    known = dialect(connection)
    given = [beyond, newest, known.id(str(thread_id)), limit + 1]
    return _page(statements.fetch(connection, _query_of_thread(known), given), limit, size)


def newest_id() -> int:
    """The id of the newest event of all runs; 0 when there is none."""
    ((newest,),) = statements.fetch(connection, f"SELECT MAX(id) FROM {table(Event)}", [])  # noqa: S608
    return newest or 0


def _page(found: Sequence[Row], limit: int, size: int) -> tuple[Sequence[Row], bool]:
    page = found[: _fitting(found[:limit], size)]
    large = [row[_ID] for row in page if row[-1] is None and _may_fit(row)]
    if large:
        page = _completed(page, _texts(large))
    return page, len(page) < len(found)


def _fitting(found: Sequence[Row], size: int) -> int:
    """How many of the rows have room in a page."""
    weight = 0
    for count, row in enumerate(found):
        weight += row[0] if _may_fit(row) else 0
        if count and weight > size:
            return count
    return len(found)


def _may_fit(row: Row) -> bool:
    """Whether its data may have as few as `LONGEST` characters."""
    return bool(row[0] <= 4 * LONGEST)


def _completed(page: Sequence[Row], texts: Mapping[int, str]) -> Sequence[Row]:
    """The rows with the data that were read by themselves, up to one that was deleted meanwhile."""
    completed: list[Row] = []
    for row in page:
        if row[-1] is None and _may_fit(row):
            if row[_ID] not in texts:
                break
            row = (*row[:-1], texts[row[_ID]])
        completed.append(row)
    return completed


def _texts(ids: Sequence[int]) -> dict[int, str]:
    """The data of large events by id, for as many as there still are."""
    places = ", ".join(["%s"] * len(ids))
    asked = (
        f"SELECT id, SUBSTR({column(Event, 'data')}, 1, {LONGEST + 1}) "  # noqa: S608
        f"FROM {table(Event)} WHERE id IN ({places})"
    )
    return dict(statements.fetch(connection, asked, ids))  # type: ignore[arg-type]


@cache
def _query(known: Dialect, runs: int) -> str:
    key, seq = column(Event, "run_id"), column(Event, "seq")
    where = " OR ".join([f"({key} = %s AND {seq} > %s)"] * runs)
    return (
        f"SELECT {_selected(known)} FROM {table(Event)} WHERE {where} "  # noqa: S608
        f"ORDER BY {key}, {seq} LIMIT %s"
    )


@cache
def _query_of_thread(known: Dialect) -> str:
    run = column(Event, "run_id")
    # By the ids of events, of which few are new, not by all events of the runs.
    own = known.unindexed(run)
    runs = f"SELECT {column(Run, 'id')} FROM {table(Run)} WHERE {column(Run, 'thread_id')} = %s"  # noqa: S608
    return (
        f"SELECT {_selected(known)} FROM {table(Event)} WHERE id > %s AND id <= %s "  # noqa: S608
        f"AND {own} IN ({runs}) ORDER BY id LIMIT %s"
    )


def _selected(known: Dialect) -> str:
    names = ", ".join(column(Event, name) for name in COLUMNS)
    data = column(Event, "data")
    octets = known.byte_length(data)
    return f"{octets}, {names}, CASE WHEN {octets} <= {SMALL} THEN {data} END"
