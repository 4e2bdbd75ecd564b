"""`/api/runs/{id}/events?wait=` and `/api/runs/{id}/wait`: answered when there is something."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from runs.models import Run
from runs.queries.event_frames import read
from runs.queries.summaries import detail
from streaming.hub import hub
from tests.site.requests import Exchange
from tests.streaming.http import exchange, get, streams
from tests.streaming.journal_rows import append, append_elsewhere, committed, create_run
from tests.streaming.sockets import until


def answered(client: Exchange) -> dict[str, Any]:
    assert client.status == 200, client.body
    assert client.headers[b"content-type"] == b"application/json"
    return dict(json.loads(client.body))


def waiting(address: str) -> asyncio.Task[Exchange]:
    return asyncio.create_task(exchange(address).run(streams))


def waited_for() -> int:
    """Runs that somebody waits for, for events or for the end."""
    return hub.current().watching + hub.current().completions.waited_for


@pytest.mark.processes
async def test_it_waits_for_the_next_event() -> None:
    run_id = await committed(create_run, "started")
    polling = waiting(f"/api/runs/{run_id}/events?after=2&wait=20")
    await until(waited_for, "it waits")
    await append_elsewhere(run_id, "custom")
    page = answered(await polling)
    assert [frame["seq"] for frame in page["results"]] == [3]
    assert (page["after"], page["more"]) == (3, False)
    assert not waited_for()


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_what_is_there_is_answered_at_once_and_in_pages(limit: int) -> None:
    run_id = await committed(create_run, "started", *["custom"] * 4, "completed")
    after, seqs, more = 0, [], True
    while more:
        address = f"/api/runs/{run_id}/events/?after={after}&limit={limit}&wait=20"
        page = answered(await get(address))
        seqs += [frame["seq"] for frame in page["results"]]
        after, more = page["after"], page["more"]
    assert seqs == [1, 2, 3, 4, 5, 6, 7]


async def test_its_results_are_the_bytes_of_the_log() -> None:
    run_id = await committed(create_run, "started")
    client = await get(f"/api/runs/{run_id}/events?wait=1")
    for frame in await committed(read, {run_id: 0}, limit=10):
        assert frame.body in client.body


@pytest.mark.parametrize("after", [3, 1000])
async def test_a_finished_run_has_nothing_to_wait_for(after: int) -> None:
    run_id = await committed(create_run, "started", "completed")
    page = answered(await get(f"/api/runs/{run_id}/events?after={after}&wait=60"))
    assert page == {"results": [], "after": after, "more": False}


@pytest.mark.parametrize("wait", [0, 1])
async def test_time_runs_out(wait: int) -> None:
    run_id = await committed(create_run)
    page = answered(await get(f"/api/runs/{run_id}/events?after=1&wait={wait}"))
    assert page == {"results": [], "after": 1, "more": False}
    assert not waited_for()


async def test_events_without_wait_are_answered_elsewhere() -> None:
    assert (await get(f"/api/runs/{uuid4()}/events?after=1")).status == 299
    assert (await get(f"/api/runs/{uuid4()}/events?await=1")).status == 299
    assert (await get(f"/api/runs/{uuid4()}/events?wait=1", "HEAD")).status == 299


@pytest.mark.parametrize("query", ["wait=61", "wait=x", "wait=1&after=x", "wait=1&limit=0"])
async def test_bad_parameters(query: str) -> None:
    client = await get(f"/api/runs/{uuid4()}/events?{query}")
    assert (client.status, client.code) == (400, "bad_parameter")


async def ended(run_id: UUID) -> dict[str, Any]:
    found = await committed(lambda: detail(Run.objects.get(id=run_id)))
    return dict(json.loads(json.dumps(found)))


async def test_waiting_for_the_end_answers_the_run() -> None:
    run_id = await committed(create_run, "started")
    polling = waiting(f"/api/runs/{run_id}/wait")
    await until(waited_for, "it waits")
    await committed(append, run_id, *["custom"] * 300)
    await committed(append, run_id, "completed")
    run = answered(await polling)
    assert run == await ended(run_id)
    assert run["status"] == "completed"
    assert answered(await get(f"/api/runs/{run_id}/wait/?timeout=0")) == run


async def test_waiting_for_the_end_answers_where_the_run_is_when_time_is_over() -> None:
    run_id = await committed(create_run, "started")
    run = answered(await get(f"/api/runs/{run_id}/wait?timeout=0"))
    assert (run["run_id"], run["status"], run["seq"]) == (str(run_id), "running", 2)


@pytest.mark.parametrize("end", ["wait", "events?wait=1"])
async def test_an_unknown_run_is_a_404_problem(end: str) -> None:
    client = await get(f"/api/runs/{uuid4()}/{end}")
    assert (client.status, client.code) == (404, "unknown_run")


@pytest.mark.parametrize("end", ["wait", "events?after=9&wait=60"])
async def test_a_client_that_leaves_frees_everything(end: str) -> None:
    run_id = await committed(create_run)
    client = exchange(f"/api/runs/{run_id}/{end}")
    polling = asyncio.create_task(client.run(streams))
    await until(waited_for, "it waits")
    client.leave()
    assert (await polling).status == 0
    assert not waited_for()


@pytest.mark.parametrize("end", ["wait", "events?after=9&wait=60"])
async def test_a_server_that_stops_answers_at_once(end: str) -> None:
    run_id = await committed(create_run)
    polling = waiting(f"/api/runs/{run_id}/{end}")
    await until(waited_for, "it waits")
    hub.disconnect_all()
    assert answered(await polling)
