"""Events as clients see them. A frame is made from its row alone, so that it is the same bytes
however often and wherever it is read; and it is never longer than MAX_FRAME_BYTES.

What a row holds of Python's own types and of objects is plain JSON here, as in a run's state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from runs.db.columns import Row
from runs.engine import events, serde
from runs.fields import read_name
from runs.models import Checkpoint, Event
from runs.queries import event_rows

#: What the WebSocket clients of common libraries take as one message unless they are told
#: otherwise. An event that is longer comes with the address of the whole instead of its data.
MAX_FRAME_BYTES = event_rows.LONGEST
#: What the frames of one answer over HTTP weigh together, unless it is one alone.
MAX_PAGE_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One event of one run; `body` is its JSON object, encoded. `id` counts the events of all runs,
    in the order in which they were recorded."""

    run_id: UUID
    seq: int
    event: str
    body: bytes
    id: int = 0

    @property
    def terminal(self) -> bool:
        return self.event in events.TERMINAL


class Page(list[Frame]):
    """Frames in the order of the log. `more`: others came after them when they were read."""

    def __init__(self, frames: Iterable[Frame] = (), *, more: bool = False) -> None:
        super().__init__(frames)
        self.more = more


#: What the engine notes in place of an update that is too long for the log (`events.cut_note`).
#: Whole, for earlier versions stored a mapping of the user's with such a key as it was.
_NOTE = re.compile(r'\{"\$cut":[0-9]+,"head":"(?:[^"\\]|\\.)*"\}')
_CUT = events.CUT.decode()
_CAN_BE_CUT = frozenset({events.NODE_UPDATE, events.RETRY})


def read(after: Mapping[UUID, int], *, limit: int, size: int = MAX_PAGE_BYTES) -> Page:
    """The next frames of each run in `after` (run id → last seq that is known already), ordered by
    run and seq: at most `limit` in all, which weigh at most `size` bytes together."""
    if not after:
        return Page()
    # What the driver gives, past the ORM: this is asked at every step of a run that is watched.
    return _page(*event_rows.of_runs(after, limit=limit, size=size), size)


def read_thread(
    thread_id: UUID, seen: int, *, limit: int, size: int = MAX_PAGE_BYTES
) -> tuple[Page, int]:
    """The next frames of all runs of a thread whose ids are above `seen`, in the order of their
    ids, as many as `read` gives; and up to which id they are all. An event that is committed after
    one with a higher id may be missed; it is where its run's seq has a gap."""
    newest = event_rows.newest_id()
    if newest <= seen:
        return Page(), seen
    found, more = event_rows.of_thread(thread_id, seen, newest, limit=limit, size=size)
    page = _page(found, more, size)
    return page, (page[-1].id if page else seen) if page.more else newest


def _page(found: Sequence[Row], more: bool, size: int) -> Page:
    """Frames of the rows, as many as weigh no more than `size`, but at least one."""
    page, weight = Page(more=more), 0
    for _, key, *about in found:
        frame = _frame(*_run_id(key), *about)
        weight += len(frame.body)
        if page and weight > size:
            page.more = True
            break
        page.append(frame)
    return page


@lru_cache(maxsize=1024)
def _run_id(key: UUID | str) -> tuple[UUID, str]:
    """The id as the driver gives it, as clients know it."""
    run_id = UUID(str(key))
    return run_id, str(run_id)


def read_whole(run_id: UUID, seq: int) -> bytes | None:
    """The frame of one event with all of its data, however long; None when there is none."""
    row = (
        Event.objects.filter(run_id=run_id, seq=seq)
        .values_list(*event_rows.COLUMNS[2:], "data")
        .first()
    )
    if row is None:
        return None
    *about, data = row
    head = _head(str(run_id), *about)
    if _is_cut(head["event"], data) and (state := _state_after(run_id, head)):
        head["state_url"] = state
    return _body(head, _plain(data) if data else b"")


def _state_after(run_id: UUID, head: Mapping[str, Any]) -> str | None:
    """Where the state is that an update of the graph's own nodes led to."""
    if "step" not in head or "namespace" in head:
        return None
    kept = Checkpoint.objects.filter(run_id=run_id, namespace="", step=head["step"])
    found = kept.order_by("-id").values_list("id", flat=True).first()
    return f"/api/runs/{run_id}/state?checkpoint={found}" if found else None


def events_page(page: Page, after: int, limit: int) -> dict[str, Any]:
    """The body of every answer of `/events`, as JSON values: at most `limit` frames of `page`,
    which begins beyond `after`."""
    frames = page[:limit]
    return {
        "results": [orjson.Fragment(frame.body) for frame in frames],
        "after": frames[-1].seq if frames else after,
        "more": page.more or len(page) > len(frames),
    }


def _frame(
    run_id: UUID,
    id_text: str,
    event_id: int,
    seq: int,
    name: str,
    ts: datetime | str,
    node: str,
    step: int | None,
    namespace: str,
    task_id: UUID | str | None,
    data: str | None,
) -> Frame:
    head = _head(id_text, seq, name, ts, node, step, namespace, task_id)
    if data is None or len(data) > MAX_FRAME_BYTES:
        body = _without_data(head)
    elif not data:
        body = orjson.dumps(head)
    else:
        if _is_cut(name, data):
            head["data_url"] = _address(head)
        body = _body(head, _plain(data))
        if len(body) > MAX_FRAME_BYTES:
            body = _without_data(head)
    return Frame(run_id=run_id, seq=seq, event=name, body=body, id=event_id)


def _head(
    id_text: str,
    seq: int,
    name: str,
    ts: datetime | str,
    node: str,
    step: int | None,
    namespace: str,
    task_id: UUID | str | None,
) -> dict[str, Any]:
    head: dict[str, Any] = {"event": name, "seq": seq, "run_id": id_text, "ts": _stamp(ts)}
    if node:
        head["node"] = read_name(node)
    if step is not None:
        head["step"] = step
    if namespace:
        head["namespace"] = read_name(namespace)
    if task_id:
        head["task_id"] = _id_text(task_id)
    return head


def _is_cut(name: object, data: str) -> bool:
    return name in _CAN_BE_CUT and data.startswith(_CUT) and _NOTE.fullmatch(data) is not None


def _plain(data: str) -> bytes:
    """What a row holds, as plain JSON. Most of it is so already, and stays as it was written."""
    encoded = data.encode()
    return serde.plain_json(serde.show(encoded)) if serde.is_tagged(encoded) else encoded


def _body(head: Mapping[str, object], data: bytes) -> bytes:
    body = orjson.dumps(head)
    return body[:-1] + b',"data":' + data + b"}" if data else body


def _without_data(head: Mapping[str, object]) -> bytes:
    return orjson.dumps({**head, "data_url": _address(head)})


def _address(head: Mapping[str, object]) -> str:
    return f"/api/runs/{head['run_id']}/events/{head['seq']}"


def _id_text(stored: UUID | str) -> str:
    """The id as clients know it. SQLite has it as 32 digits."""
    if isinstance(stored, UUID):
        return str(stored)
    digits = stored
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _stamp(ts: datetime | str) -> str:
    """The moment as ISO 8601 in UTC, always with microseconds. SQLite has it as text, in UTC."""
    if isinstance(ts, str):
        if len(ts) == 26:
            return f"{ts[:10]}T{ts[11:]}Z"
        ts = datetime.fromisoformat(ts).replace(tzinfo=UTC)
    return ts.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
