"""However much the next events weigh together, what is read of them at once has a limit."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.test import Client as Browser
from django.utils import timezone

from runs.db import statements
from runs.models import Event, Run
from runs.queries import event_frames, event_rows
from runs.queries.event_frames import MAX_PAGE_BYTES
from runs.queries.why import causes
from streaming.http import thread_events, thread_log
from streaming.hub import hub
from streaming.hub.frame_batch import PAGE_BYTES
from tests.streaming.http import following, get
from tests.streaming.http import seqs as sent_seqs
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import connected, until

LARGE, MANY = 260_000, 40
LAST = MANY + 3
NEXT = LARGE + 1000  # an event that a page has no room for may be read with it


class Reads:
    """What the database answered, in bytes of text, in the order of the questions."""

    def __init__(self, ask: Callable[..., list[Any]]) -> None:
        self._ask = ask
        self.sizes: list[int] = []

    def __call__(self, *asked: Any) -> list[Any]:
        found = self._ask(*asked)
        texts = [value for row in found for value in row if isinstance(value, str)]
        self.sizes.append(sum(map(len, texts)))
        return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    counting = Reads(statements.fetch)
    monkeypatch.setattr(statements, "fetch", counting)
    return counting


async def large_run() -> UUID:
    """A run with large events, of which the last has the seq LAST."""
    run_id = await committed(create_run, "started")
    await committed(append, run_id, *["custom"] * MANY, size=LARGE)
    await committed(append, run_id, "completed")
    return run_id


def thread_of(run_id: UUID) -> UUID:
    return Run.objects.get(id=run_id).thread_id


async def polled(run_id: UUID, read: Callable[[str], Any]) -> list[int]:
    """The seqs of the run by its pages, the size of each of which is looked at."""
    seqs: list[int] = []
    more = True
    while more:
        body = await read(f"/api/runs/{run_id}/events?after={len(seqs)}&limit=1000&wait=9")
        assert len(body) < MAX_PAGE_BYTES + 1000
        page = json.loads(body)
        seqs += [frame["seq"] for frame in page["results"]]
        more = page["more"]
    return seqs


async def test_pages_over_http(reads: Reads) -> None:
    run_id = await large_run()

    async def over_rest(address: str) -> bytes:
        address = address.removesuffix("&wait=9")
        return await committed(lambda: bytes(Browser().get(address).content))

    async def over_poll(address: str) -> bytes:
        return (await get(address)).body

    for read in (over_rest, over_poll):
        assert await polled(run_id, read) == list(range(1, LAST + 1))
    assert MAX_PAGE_BYTES / 2 < max(reads.sizes) <= MAX_PAGE_BYTES + NEXT


async def test_pages_of_followers(reads: Reads) -> None:
    run_id = await large_run()
    thread = await committed(thread_of, run_id)
    expected = list(range(1, LAST + 1))
    async with connected(f"/api/ws/{run_id}") as socket:
        await socket.drain()
    assert socket.seqs == expected
    assert sent_seqs((await get(f"/api/runs/{run_id}/stream")).body) == expected
    async with following(f"/api/threads/{thread}/stream") as client:
        await until(lambda: client.body.count(b"event: c") == LAST - 1, "all is sent")
    assert max(reads.sizes) <= PAGE_BYTES + NEXT


@pytest.mark.parametrize("of", ["run", "thread"])
async def test_a_stream_that_waits_keeps_no_page(of: str) -> None:
    run_id = await committed(create_run, "started")
    await committed(append, run_id, "custom", "custom", size=LARGE)
    thread = await committed(thread_of, run_id)
    run = f"/api/runs/{run_id}/stream?after=2"  # its first page is a large event
    address = run if of == "run" else f"/api/threads/{thread}/stream"
    async with following(address) as client:
        await until(lambda: client.body.count(b"event: custom") == 2, "the past is sent")
        await until(lambda: not kept(run_id), "the pages are let go")


def kept(run_id: UUID) -> list[int]:
    """The large frames of a run that are in memory."""
    gc.collect()
    found = [one for one in gc.get_objects() if type(one) is event_frames.Frame]
    return [one.seq for one in found if one.run_id == run_id and len(one.body) >= LARGE]


async def test_what_is_new_of_a_thread(reads: Reads) -> None:
    run_id = await committed(create_run, "started")
    thread = await committed(thread_of, run_id)
    async with following(f"/api/threads/{thread}/stream") as client:
        await until(lambda: hub.current().live, "it is live")
        reads.sizes.clear()
        await committed(append, run_id, *["custom"] * MANY, size=LARGE)
        await until(lambda: client.body.count(b"event: custom") == MANY, "all is sent")
    assert sent_seqs(client.body) == list(range(1, LAST))
    assert max(reads.sizes) <= hub.LOOK_BYTES + NEXT
    page, _ = await committed(
        event_frames.read_thread, thread, 0, limit=1000, size=thread_events.LOOK_BYTES
    )
    assert sum(len(frame.body) for frame in page) <= thread_events.LOOK_BYTES


async def test_runs_of_a_thread_that_went_on_in_turns(
    monkeypatch: pytest.MonkeyPatch, reads: Reads
) -> None:
    monkeypatch.setattr(thread_log, "KEPT", 3 * 20_000)
    first = await committed(create_run)
    thread = await committed(thread_of, first)
    more = [Run(thread_id=thread, workflow="steps") for _ in range(9)]
    await committed(Run.objects.bulk_create, more)
    runs = [first, *(run.id for run in more)]
    for _ in range(4):
        for run_id in runs:
            await committed(append, run_id, "custom", size=20_000)
    places = dict.fromkeys(runs, 0)
    events, _ = await committed(event_frames.read_thread, thread, 0, limit=1000)
    fence = events[-1].id
    found = [frame async for piece in thread_log.in_order(places, fence) for frame in piece]
    assert found == events


def test_follow(transactional_db: None, reads: Reads, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = create_run()
    append(run_id, *["custom"] * MANY, size=LARGE)
    append(run_id, "started", "completed")
    with pytest.raises(SystemExit):
        call_command("follow", str(run_id), "--json")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, LAST + 1))
    assert max(reads.sizes) <= MAX_PAGE_BYTES + NEXT


def peak_of(read: Callable[[], object]) -> int:
    """Bytes of Python's own that reading takes at once."""
    read()  # what is made once, as the connection
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_page_takes_a_few_times_its_size(transactional_db: None) -> None:
    run_id = create_run()
    append(run_id, *["custom"] * MANY, size=LARGE)
    size = 2**20
    thread = thread_of(run_id)
    ways: Sequence[Callable[[], object]] = (
        lambda: event_frames.read({run_id: 0}, limit=1000, size=size),
        lambda: event_frames.read({run_id: 0, UUID(int=1): 0}, limit=1000, size=size),
        lambda: event_frames.read_thread(thread, 0, limit=1000, size=size),
    )
    for way in ways:
        assert size < peak_of(way) < 4 * size


def test_why_reads_no_update(transactional_db: None) -> None:
    run_id = create_run()
    append(run_id, *["node_started"] * MANY)
    append(run_id, "started", *["node_update"] * MANY, size=LARGE)
    for seq in range(2, MANY + 2):
        of_task = Event.objects.filter(run_id=run_id, seq__in=[seq, seq + MANY + 1])
        of_task.update(task_id=UUID(int=seq))
    append(run_id, "node_started")
    Event.objects.filter(run_id=run_id, seq=2 * MANY + 3).update(task_id=UUID(int=1), node="left")
    now = timezone.now()
    run = Run(id=run_id, status="running", lease_expires_at=now + timedelta(hours=1))
    assert [cause.code for cause in causes(run, now)] == ["node_running"]
    assert peak_of(lambda: causes(run, now)) < LARGE


def test_an_event_that_is_too_long_takes_no_room(transactional_db: None) -> None:
    run_id = create_run()
    append(run_id, *["custom"] * 3, size=5 * 2**20)
    page = event_frames.read({run_id: 0}, limit=10, size=1000)
    assert (len(page), page.more) == (4, False)
    assert peak_of(lambda: event_frames.read({run_id: 0}, limit=10)) < 2**20


@pytest.mark.parametrize("size", [100, event_rows.SMALL - 100])
def test_small_events_are_one_question(transactional_db: None, reads: Reads, size: int) -> None:
    run_id = create_run()
    append(run_id, *["custom"] * 99, size=size)
    reads.sizes.clear()
    page = event_frames.read({run_id: 0}, limit=1000)
    assert (len(page), page.more, len(reads.sizes)) == (100, False, 1)
