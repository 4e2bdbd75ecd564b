"""Events as clients see them. A frame is made from its row alone, so that it is the same bytes
however often and wherever it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

import orjson
from django.db import connection

from runs import rows
from runs.columns import column, form, table
from runs.models import Event

#: The events that end a run's stream; one of them is always the last.
TERMINAL_EVENTS = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One event of one run; `body` is its JSON object, encoded."""

    run_id: UUID
    seq: int
    event: str
    body: bytes

    @property
    def terminal(self) -> bool:
        return self.event in TERMINAL_EVENTS


_COLUMNS = ("run_id", "seq", "name", "ts", "node", "step", "namespace", "data")


def read(after: Mapping[UUID, int], *, limit: int) -> list[Frame]:
    """The next frames of each run in `after` (run id → last seq that is known already), in one
    query: at most `limit` in all, ordered by run and seq. Fewer than `limit` means that there was
    no more at the time of the read."""
    if not after:
        return []
    as_id = form(connection.vendor).id
    runs = {as_id(str(run_id)): (run_id, str(run_id)) for run_id in after}
    # What the driver gives, past the ORM: this is asked at every step of a run that is watched.
    given = [value for key, (run_id, _) in runs.items() for value in (key, after[run_id])]
    found = rows.ask(connection, _query(len(runs)), [*given, limit])
    return [_frame(*runs[str(row[0])], *row[1:]) for row in found]


@cache
def _query(runs: int) -> str:
    key, seq = column(Event, "run_id"), column(Event, "seq")
    names = ", ".join(column(Event, name) for name in _COLUMNS)
    where = " OR ".join([f"({key} = %s AND {seq} > %s)"] * runs)
    return f"SELECT {names} FROM {table(Event)} WHERE {where} ORDER BY {key}, {seq} LIMIT %s"  # noqa: S608


def _frame(
    run_id: UUID,
    id_text: str,
    seq: int,
    name: str,
    ts: datetime | str,
    node: str,
    step: int | None,
    namespace: str,
    data: str,
) -> Frame:
    head: dict[str, object] = {"event": name, "seq": seq, "run_id": id_text, "ts": _stamp(ts)}
    if node:
        head["node"] = node
    if step is not None:
        head["step"] = step
    if namespace:
        head["namespace"] = namespace
    body = orjson.dumps(head)
    if data:  # already JSON: spliced in as it was written
        body = body[:-1] + b',"data":' + data.encode() + b"}"
    return Frame(run_id=run_id, seq=seq, event=name, body=body)


def _stamp(ts: datetime | str) -> str:
    """The moment as ISO 8601 in UTC, always with microseconds. SQLite has it as text, in UTC."""
    if isinstance(ts, str):
        if len(ts) == 26:
            return f"{ts[:10]}T{ts[11:]}Z"
        ts = datetime.fromisoformat(ts).replace(tzinfo=UTC)
    return ts.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
