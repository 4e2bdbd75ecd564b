"""`/api/runs/{id}/events` is answered alike with and without `wait`: by the stream handler and by
Django."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connections

from fastgraph_site.web.stream_routes import Streams
from fastgraph_site.web.wsgi_pool import WsgiPool
from runs.models import Event, Run, RunStatus, Thread
from streaming.hub import hub
from tests.site.requests import LOCAL, Exchange

pytestmark = pytest.mark.django_db(transaction=True)

#: Data of the events of one run: plain, not ASCII, tagged, beyond 64 bits, too long for a frame.
DATA = (
    "",
    '{"a": 1}',
    '{"text":"ü \\u2028"}',
    '{"$type":"set","value":[1]}',
    '{"big":99999999999999999999,"float":1e23}',
    '{"long":"' + "x" * 1_100_000 + '"}',
)


@pytest.fixture
async def doors() -> AsyncIterator[tuple[Any, Any]]:
    """Django, and the stream handlers in front of it."""
    pool = WsgiPool(get_wsgi_application(), 1)
    yield pool, Streams(pool)
    await hub.close()
    await pool.close()


def create_run() -> Run:
    try:
        now = datetime.now(UTC)
        run = Run.objects.create(
            thread=Thread.objects.create(),
            workflow="steps",
            seq=len(DATA),
            status=RunStatus.COMPLETED,
        )
        for seq, data in enumerate(DATA, start=1):
            name = "completed" if seq == len(DATA) else "custom"
            Event.objects.create(run=run, seq=seq, name=name, ts=now, data=data)
        return run
    finally:
        connections.close_all()


async def ask(door: Any, path: str, query: str) -> Exchange:
    return await Exchange("GET", path, [LOCAL], query=query.encode()).run(door)


@pytest.mark.parametrize(
    "query", ["", "limit=1", "after=2", "after=1&limit=3", "after=6", "after=900"]
)
async def test_events_with_and_without_wait_are_the_same_bytes(
    doors: tuple[Any, Any], query: str
) -> None:
    run = await asyncio.to_thread(create_run)
    path = f"/api/runs/{run.id}/events"
    django, streams = doors
    plain = await ask(django, path, query)
    waiting = await ask(streams, path, f"{query}&wait=0".lstrip("&"))
    assert (plain.status, waiting.status) == (200, 200)
    assert plain.body == waiting.body
    assert plain.headers[b"content-type"] == waiting.headers[b"content-type"]


@pytest.mark.parametrize("run_id", ["019abcde-0000-7000-8000-000000000000", "x"])
@pytest.mark.parametrize("query", ["", "limit=0", "after=-1", "after=1&after=2"])
async def test_refusals_with_and_without_wait_are_the_same_bytes(
    doors: tuple[Any, Any], run_id: str, query: str
) -> None:
    path = f"/api/runs/{run_id}/events"
    django, streams = doors
    plain = await ask(django, path, query)
    waiting = await ask(streams, path, f"{query}&wait=0".lstrip("&"))
    assert plain.status in (400, 404)
    assert (plain.status, json.loads(plain.body)) == (waiting.status, json.loads(waiting.body))
