"""`/api/runs/{id}/stream`: the events of a run as server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
from uuid import uuid4

import pytest

from streaming.http import run_events
from streaming.hub import hub
from tests.site.requests import Exchange
from tests.streaming.http import elsewhere, event_arrives, exchange, following, get, parse, seqs
from tests.streaming.http import streams as application
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import PATIENCE, connected, until

WHOLE = (
    "started",
    "node_started",
    "custom",
    "custom:messages",
    "node_update",
    "artifact",
    "checkpoint",
    "completed",
)
OF_THE_RUN = ["created", "started", "completed"]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_it_sends_past_events_then_live_ones_then_ends(slash: str) -> None:
    run_id = await committed(create_run, "started")
    async with following(f"/api/runs/{run_id}/stream{slash}") as client:
        await event_arrives(client, "started")
        await committed(append, run_id, "custom", "completed")
        await until(lambda: client.complete, "it has ended")
    assert client.status == 200
    messages, last = parse(client.body)
    assert [(m.id, m.event) for m in messages] == [
        ("1", "created"),
        ("2", "started"),
        ("3", "custom"),
        ("4", "completed"),
    ]
    assert last == "4"
    assert not hub.current().subscribers


async def test_its_data_are_the_bytes_of_the_socket() -> None:
    run_id = await committed(create_run, *WHOLE)
    async with connected(f"/api/ws/{run_id}") as socket:
        texts = await socket.drain()
    client = await get(f"/api/runs/{run_id}/stream")
    assert [message.data for message in parse(client.body)[0]] == texts


async def test_it_may_be_neither_kept_nor_buffered_nor_changed_on_its_way() -> None:
    run_id = await committed(create_run, "completed")
    client = await get(f"/api/runs/{run_id}/stream", accept_encoding="gzip")
    assert client.headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert client.headers[b"cache-control"] == b"no-cache, no-transform"
    assert client.headers[b"x-accel-buffering"] == b"no"
    assert b"content-encoding" not in client.headers
    assert b"content-length" not in client.headers


@pytest.mark.parametrize("after", [0, 3, 8])
async def test_the_cursor_is_in_the_address_or_in_the_header(after: int) -> None:
    run_id = await committed(create_run, *WHOLE)
    expected = list(range(after + 1, 10))
    in_address = await get(f"/api/runs/{run_id}/stream?after={after}")
    assert seqs(in_address.body) == expected
    # A client that comes back repeats its address; where it is now is in the header.
    in_both = await get(f"/api/runs/{run_id}/stream?after=2", last_event_id=str(after))
    assert seqs(in_both.body) == expected


@pytest.mark.parametrize("after", ["9", "10", str(2**63 - 1)])
async def test_client_that_returns_after_the_end_gets_204(after: str) -> None:
    run_id = await committed(create_run, *WHOLE)
    client = await get(f"/api/runs/{run_id}/stream", last_event_id=after)
    assert (client.status, client.body) == (204, b"")


@pytest.mark.parametrize(
    ("modes", "passing"),
    [
        ("values", ["checkpoint"]),
        ("updates", ["node_update"]),
        ("messages", ["custom:messages"]),
        ("custom", ["custom"]),
        ("tasks", ["node_started", "node_update"]),
        ("checkpoints", ["checkpoint"]),
        ("artifacts", ["artifact"]),
        ("custom,updates", ["custom", "node_update"]),
        ("debug", list(WHOLE[1:-1])),
        ("", list(WHOLE[1:-1])),
    ],
)
async def test_modes_choose_events(modes: str, passing: list[str]) -> None:
    run_id = await committed(create_run, *WHOLE)
    client = await get(f"/api/runs/{run_id}/stream?modes={modes}")
    messages, last = parse(client.body)
    assert [m.event for m in messages if m.event not in OF_THE_RUN] == passing
    assert [m.event for m in messages if m.event in OF_THE_RUN] == OF_THE_RUN
    assert last == "9"


async def test_modes_leave_the_cursor_where_the_log_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_events, "BEAT", 0.02)
    run_id = await committed(create_run, "started", *["custom"] * 50)
    async with following(f"/api/runs/{run_id}/stream?modes=updates") as client:
        await until(lambda: parse(client.body)[1] == "52", "the comment tells the cursor")
        assert seqs(client.body) == [1, 2]


async def test_a_silent_stream_sends_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_events, "BEAT", 0.02)
    run_id = await committed(create_run)
    async with following(f"/api/runs/{run_id}/stream") as client:
        await until(lambda: client.body.count(b": still here") >= 3, "comments arrive")
        await committed(append, run_id, "completed")
        await until(lambda: client.complete, "it has ended")
    assert seqs(client.body) == [1, 2]


async def test_comments_come_also_while_everything_is_filtered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_events, "BEAT", 0.001)
    run_id = await committed(create_run, "started", *["custom"] * 400)
    async with following(f"/api/runs/{run_id}/stream?modes=updates") as client:
        await until(lambda: b": still here" in client.body, "a comment arrives")


@pytest.mark.parametrize("run_id", ["not-a-run", "1", "%00", "x" * 300])
async def test_an_id_that_is_none_is_nobodys(run_id: str) -> None:
    client = await get(f"/api/runs/{run_id}/stream")
    assert (client.status, client.code) == (404, "unknown_run")


async def test_an_unknown_run_is_a_404_problem() -> None:
    path = f"/api/runs/{uuid4()}/stream"
    client = await get(path)
    assert (client.status, client.code) == (404, "unknown_run")
    assert json.loads(client.body)["instance"] == path


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=1&after=2", "modes=all", "afte=1"])
async def test_parameters_that_make_no_sense_are_a_400_problem(query: str) -> None:
    run_id = await committed(create_run, "completed")
    client = await get(f"/api/runs/{run_id}/stream?{query}")
    assert (client.status, client.code) == (400, "bad_parameter")


async def test_thousands_of_parameters_are_a_400_problem() -> None:
    query = "&".join(f"a{n}=1" for n in range(1500))
    client = await get(f"/api/runs/{uuid4()}/stream?{query}")
    assert (client.status, client.code) == (400, "bad_parameter")


@pytest.mark.parametrize("value", ["x", "-1", "1.5", str(2**63)])
async def test_a_bad_last_event_id_is_a_400_problem(value: str) -> None:
    run_id = await committed(create_run, "completed")
    client = await get(f"/api/runs/{run_id}/stream", last_event_id=value)
    assert (client.status, client.code) == (400, "bad_header")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("end", ["stream", "wait/"])
async def test_other_methods_are_a_405_problem(method: str, end: str) -> None:
    run_id = await committed(create_run, "completed")
    client = await get(f"/api/runs/{run_id}/{end}", method)
    assert client.status == 405
    assert client.headers[b"allow"] == b"GET"
    assert method == "HEAD" or client.code == "method_not_allowed"


@pytest.mark.parametrize("path", ["/api/runs/1", "/api/runs/1/stream/more", "/runs/1/stream"])
async def test_other_paths_are_answered_elsewhere(path: str) -> None:
    assert (await get(path)).status == 299


async def test_a_client_that_leaves_frees_everything() -> None:
    run_id = await committed(create_run)
    async with following(f"/api/runs/{run_id}/stream") as client:
        await event_arrives(client, "created")
        await until(lambda: hub.current().watching, "the run is watched")
    assert hub.current().watching == 0
    assert not hub.current().subscribers
    await until(lambda: len(asyncio.all_tasks()) == 1, "every task but the test has ended")


async def test_a_stuck_client_that_leaves_is_let_go() -> None:
    run_id = await committed(create_run, "started")

    class Stuck(Exchange):
        stuck = asyncio.Event()

        async def send(self, message: object) -> None:
            self.stuck.set()
            await asyncio.Event().wait()

    client = exchange(f"/api/runs/{run_id}/stream")
    client.send = Stuck.send.__get__(client)  # type: ignore[method-assign]
    client.stuck = asyncio.Event()  # type: ignore[attr-defined]
    task = asyncio.create_task(client.run(application))
    async with asyncio.timeout(PATIENCE):
        await client.stuck.wait()  # type: ignore[attr-defined]
        client.leave()
        await task
    assert not hub.current().subscribers


async def test_many_streams_take_no_threads() -> None:
    run_id = await committed(create_run)
    tasks = [
        asyncio.create_task(exchange(f"/api/runs/{run_id}/stream").run(application))
        for _ in range(100)
    ]
    await until(lambda: hub.current().live == 100, "all are live")
    assert threading.active_count() < 20
    await committed(append, run_id, "completed")
    for client in await asyncio.gather(*tasks):
        assert seqs(client.body) == [1, 2]


async def test_a_server_that_stops_ends_the_stream() -> None:
    run_id = await committed(create_run)
    async with following(f"/api/runs/{run_id}/stream") as client:
        await event_arrives(client, "created")
        hub.disconnect_all()
        await until(lambda: client.complete, "it has ended")
    assert seqs(client.body) == [1]
    refused = await get(f"/api/runs/{run_id}/stream")
    assert (refused.status, refused.code) == (503, "database_unavailable")


async def test_what_is_no_request_is_handed_on() -> None:
    assert (await Exchange(path="/").run(elsewhere)).status == 299
