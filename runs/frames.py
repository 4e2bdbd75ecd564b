"""Events as clients see them. A frame is made from its row alone, so that it is the same bytes
however often and wherever it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import orjson
from django.db.models import Q

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
    condition = Q()
    for run_id, seq in after.items():
        condition |= Q(run_id=run_id, seq__gt=seq)
    rows = Event.objects.filter(condition).order_by("run_id", "seq").values_list(*_COLUMNS)
    return [_frame(*row) for row in rows[:limit]]


def _frame(
    run_id: UUID,
    seq: int,
    name: str,
    ts: datetime,
    node: str,
    step: int | None,
    namespace: str,
    data: str,
) -> Frame:
    head: dict[str, object] = {
        "event": name,
        "seq": seq,
        "run_id": str(run_id),
        "ts": ts.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
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
