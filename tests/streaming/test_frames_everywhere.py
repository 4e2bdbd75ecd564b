"""Each event is the same at every door, in plain JSON, and short enough for any client."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.test import Client as Browser
from django.utils import timezone

from runs import frames
from runs.engine import serde
from runs.models import Event, Run, RunStatus
from tests.streaming.http import get, parse
from tests.streaming.journal_rows import committed, create_run
from tests.streaming.sockets import connected

KINDS = (
    "started", "recovered", "node_started", "node_update", "retry", "custom", "custom:messages",
    "artifact", "checkpoint", "interrupted", "sleeping", "resumed", "paused", "unpaused",
    "completed", "failed", "cancelled",
)  # fmt: skip
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
VALUES: dict[str, tuple[Any, Any]] = {
    "tagged": ({"at": MOMENT, "n": (1, {2})}, {"at": "2026-01-02T00:00:00+00:00", "n": [1, [2]]}),
    "as a tag": ({"$type": "set", "value": [1]}, {"$type": "set", "value": [1]}),
    "long": ("é" * 600_000, None),
    "long when escaped": ("\x01" * 200_000, None),
}


def ended_run(data: str) -> UUID:
    """A run that has ended, whose log has an event of each kind with those data."""
    run_id = create_run()
    now = timezone.now()
    names = [*KINDS[:-3], "completed"]
    Event.objects.bulk_create(
        Event(run_id=run_id, seq=seq, name=name, ts=now, node="n", step=1, data=data)
        for seq, name in enumerate(names, start=2)
    )
    ended = {"status": RunStatus.COMPLETED, "finished_at": now, "seq": len(names) + 1}
    Run.objects.filter(id=run_id).update(**ended)
    return run_id


async def every_door(run_id: UUID) -> dict[str, list[str]]:
    """The frames of the run, as text, by the way they came."""
    log = await committed(frames.read, {run_id: 0}, limit=100, size=2**30)
    found = {"log": [frame.body.decode() for frame in log]}
    async with connected(f"/api/ws/{run_id}") as client:
        found["socket"] = await client.drain()
    sent = parse((await get(f"/api/runs/{run_id}/stream")).body)[0]
    found["sse"] = [message.data for message in sent]
    for door, wait in {"poll": "&wait=1", "rest": ""}.items():
        results: list[Any] = []
        more = True
        while more:
            page = await events(f"/api/runs/{run_id}/events?after={len(results)}{wait}")
            results += page["results"]
            more = page["more"]
        found[door] = list(map(compact, results))
    return found


async def events(address: str) -> Any:
    """A page of events, over either door."""
    if "wait" in address:
        return json.loads((await get(address)).body)
    return await committed(lambda: Browser().get(address).json())


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(("value", "plain"), VALUES.values(), ids=VALUES)
async def test_every_kind_of_event_at_every_door(value: Any, plain: Any) -> None:
    run_id = await committed(ended_run, serde.dumps(value).decode())
    doors = await every_door(run_id)
    first = [compact(json.loads(text)) for text in doors["log"]]
    for door, texts in doors.items():
        assert [compact(json.loads(text)) for text in texts] == first, door
        assert max(len(text.encode()) for text in texts) <= frames.MAX_FRAME_BYTES, door
    assert doors["socket"] == doors["sse"] == doors["log"]
    for seq, text in enumerate(first[1:], start=2):
        frame = json.loads(text)
        if plain is not None:
            assert frame["data"] == plain
            continue
        assert "data" not in frame
        assert frame["data_url"] == f"/api/runs/{run_id}/events/{seq}"
    whole = await committed(lambda: Browser().get(f"/api/runs/{run_id}/events/2").json())
    assert whole["data"] == (value if plain is None else plain)
