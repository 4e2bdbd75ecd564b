"""Each event is the same at every door, in plain JSON, and short enough for any client."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.test import Client as Browser
from django.utils import timezone

from runs.engine import events, serde
from runs.management.following import follow
from runs.models import Event, Run, RunStatus
from runs.queries import event_frames
from tests.streaming.http import following, get, parse
from tests.streaming.journal_rows import committed, create_run
from tests.streaming.sockets import connected, until

#: The events that a log holds between its first and its last.
BETWEEN = [name for name in events.NAMES if name not in {events.CREATED, *events.TERMINAL}]
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
VALUES: dict[str, tuple[Any, Any]] = {
    "tagged": ({"at": MOMENT, "n": (1, {2})}, {"at": "2026-01-02T00:00:00+00:00", "n": [1, [2]]}),
    "as a tag": ({"$type": "set", "value": [1]}, {"$type": "set", "value": [1]}),
    "long": ("é" * 600_000, None),
    "long when escaped": ("\x01" * 200_000, None),
}


def ended_run(ending: str, data: str) -> Run:
    """A run that has ended so, whose log has an event of each kind with those data."""
    run_id = create_run()
    now = timezone.now()
    names = [*BETWEEN, "custom:mine", ending]
    Event.objects.bulk_create(
        Event(run_id=run_id, seq=seq, name=name, ts=now, node="n", step=1, data=data)
        for seq, name in enumerate(names, start=2)
    )
    ended = {"status": RunStatus(ending), "finished_at": now, "seq": len(names) + 1}
    Run.objects.filter(id=run_id).update(**ended)
    return Run.objects.get(id=run_id)


async def every_door(run: Run) -> dict[str, list[str]]:
    """The frames of the run, as text, by the way they came."""
    run_id = run.id
    log = await committed(event_frames.read, {run_id: 0}, limit=100, size=2**30)
    found = {"log": [frame.body.decode() for frame in log]}
    async with connected(f"/api/ws/{run_id}") as client:
        found["socket"] = await client.drain()
    found["subscription"] = await subscribed(run_id)
    sent = parse((await get(f"/api/runs/{run_id}/stream")).body)[0]
    found["sse"] = [message.data for message in sent]
    found["thread"] = await over_thread(run.thread_id, len(log))
    found["follow"] = await committed(followed, run)
    for door, wait in {"poll": "&wait=1", "rest": ""}.items():
        results: list[Any] = []
        more = True
        while more:
            page = await page_of(f"/api/runs/{run_id}/events?after={len(results)}{wait}")
            results += page["results"]
            more = page["more"]
        found[door] = list(map(compact, results))
    return found


async def subscribed(run_id: UUID) -> list[str]:
    """The frames of the run among those of a socket for many."""
    async with connected("/api/ws/?feed=off") as client:
        await client.socket.send_to(text_data=compact({"type": "subscribe", "run_id": str(run_id)}))
        await client.receive_event("subscribed")
        before = len(client.texts)
        await client.receive_event("end")
        return client.texts[before:-1]


async def over_thread(thread_id: UUID, count: int) -> list[str]:
    """So many frames of a thread's stream, which has no end."""
    async with following(f"/api/threads/{thread_id}/stream") as client:
        await until(lambda: len(parse(client.body)[0]) >= count, "they arrive")
        return [message.data for message in parse(client.body)[0]]


def followed(run: Run) -> list[str]:
    """What `manage.py follow --json` prints."""
    lines: list[str] = []
    follow(run, after=0, raw=True, say=lines.append, warn=lines.append)
    return lines


async def page_of(address: str) -> Any:
    """A page of events, over either door."""
    if "wait" in address:
        return json.loads((await get(address)).body)
    return await committed(lambda: Browser().get(address).json())


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("ending", sorted(events.TERMINAL))
@pytest.mark.parametrize(("value", "plain"), VALUES.values(), ids=VALUES)
async def test_every_kind_of_event_at_every_door(value: Any, plain: Any, ending: str) -> None:
    run = await committed(ended_run, ending, serde.dumps(value).decode())
    doors = await every_door(run)
    first = [compact(json.loads(text)) for text in doors["log"]]
    for door, texts in doors.items():
        assert [compact(json.loads(text)) for text in texts] == first, door
        assert max(len(text.encode()) for text in texts) <= event_frames.MAX_FRAME_BYTES, door
    for door in ("socket", "subscription", "sse", "thread", "follow"):
        assert doors[door] == doors["log"], door
    assert {json.loads(text)["event"] for text in doors["log"]} >= {*BETWEEN, "created", ending}
    for seq, text in enumerate(first[1:], start=2):
        frame = json.loads(text)
        if plain is not None:
            assert frame["data"] == plain
            continue
        assert "data" not in frame
        assert frame["data_url"] == f"/api/runs/{run.id}/events/{seq}"
    whole = await committed(lambda: Browser().get(f"/api/runs/{run.id}/events/2").json())
    assert whole["data"] == (value if plain is None else plain)
