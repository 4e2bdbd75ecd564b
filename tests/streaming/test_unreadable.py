"""Streams and polls while runs can be read and their events cannot: 503 before anything was sent,
comments after that, and no turn is taken from others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from django.db import OperationalError, connection

from runs.models import Run
from runs.queries import event_frames
from runs.queries.event_frames import Page
from streaming.http import endpoint, run_events
from streaming.hub import hub
from streaming.hub.log_pages import PAGE_READS
from tests.streaming.http import exchange, following, get, parse, seqs, streams
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import until


def rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


@asynccontextmanager
async def unreadable() -> AsyncIterator[None]:
    """A block in which the table of the events is not there."""
    await committed(rename, "runs_event", "runs_event_away")
    try:
        yield
    finally:
        await committed(rename, "runs_event_away", "runs_event")


def thread_of(run_id: UUID) -> UUID:
    return Run.objects.get(id=run_id).thread_id


@pytest.mark.parametrize("query", ["events?wait=1", "events?after=1&wait=60", "stream"])
async def test_what_cannot_begin_is_a_503_problem(
    monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    run_id = await committed(create_run, "started")
    monkeypatch.setattr(endpoint, "OPENING", 0.3)
    async with unreadable():
        client = await get(f"/api/runs/{run_id}/{query}")
        assert (client.status, client.code) == (503, "database_unavailable")


@pytest.mark.parametrize("cursor", ["", "?after={}"])
async def test_the_stream_of_a_thread_too(monkeypatch: pytest.MonkeyPatch, cursor: str) -> None:
    run_id = await committed(create_run, "started")
    thread = await committed(thread_of, run_id)
    address = f"/api/threads/{thread}/stream"
    async with following(address) as client:
        await until(lambda: seqs(client.body) == [1, 2], "the past")
    monkeypatch.setattr(endpoint, "OPENING", 0.3)
    async with unreadable():
        again = await get(address + cursor.format(parse(client.body)[1]))
        assert (again.status, again.code) == (503, "database_unavailable")
    assert not hub.current().subscribers


async def test_a_page_that_cannot_be_read_takes_nobodys_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damaged = {await committed(create_run, "started", "completed") for _ in range(PAGE_READS)}
    good = await committed(create_run, "started", "completed")
    tried: set[UUID] = set()
    read = event_frames.read

    def read_undamaged(after: dict[UUID, int], **room: int) -> Page:
        if damaged & set(after):
            tried.update(after)
            raise OperationalError("database disk image is malformed")
        return read(after, **room)

    monkeypatch.setattr(event_frames, "read", read_undamaged)
    clients = [exchange(f"/api/runs/{run_id}/stream") for run_id in damaged]
    asking = [asyncio.create_task(client.run(streams)) for client in clients]
    await until(lambda: tried == damaged, "their pages are asked for")
    assert seqs((await get(f"/api/runs/{good}/stream")).body) == [1, 2, 3]
    for client in clients:
        client.leave()
    await asyncio.wait(asking)
    await until(lambda: len(asyncio.all_tasks()) == 1, "nobody tries any more")


@pytest.mark.parametrize("of_thread", [False, True])
async def test_started_stream_sends_comments_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, of_thread: bool
) -> None:
    monkeypatch.setattr(run_events, "BEAT", 0.02)
    monkeypatch.setattr(run_events, "MOMENT", 0.02)
    run_id = await committed(create_run, "started")
    address = f"/api/runs/{run_id}/stream"
    if of_thread:
        address = f"/api/threads/{await committed(thread_of, run_id)}/stream"
    async with following(address) as client:
        await until(lambda: seqs(client.body) == [1, 2] and hub.current().live, "it is live")
        (subscriber,) = hub.current().subscribers
        async with unreadable():
            subscriber._drop_queue()  # as who is too slow: it reads the log
            before = client.body.count(b": still here")
            await until(lambda: client.body.count(b": still here") > before + 3, "comments")
        await committed(append, run_id, "custom", "completed")
        await until(lambda: seqs(client.body) == [1, 2, 3, 4], "it goes on")
