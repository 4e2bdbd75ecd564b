"""`/api/ws/{run_id}`: every event of a run, once, in order, from any cursor."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from channels.testing import WebsocketCommunicator

from runs.models import Run
from streaming.hub import hub
from streaming.websocket import client_messages
from tests.streaming.journal_rows import append, append_elsewhere, committed, create_run
from tests.streaming.sockets import PATIENCE, connected, router, until

WHOLE = ("started", "node_started", "node_update", "checkpoint", "completed")


async def test_it_sends_past_events_then_live_ones_then_closes() -> None:
    run_id = await committed(create_run, "started")
    async with connected(f"/api/ws/{run_id}") as client:
        await client.receive_event("started")
        await committed(append, run_id, "node_started", "node_update")
        await client.receive_event("node_update")
        await committed(append, run_id, "checkpoint", "completed")
        await client.drain()
    assert client.seqs == [1, 2, 3, 4, 5, 6]
    assert json.loads(client.texts[-1])["event"] == "completed"
    assert client.code == 1000


async def test_a_late_client_receives_the_bytes_that_a_live_one_received() -> None:
    run_id = await committed(create_run)
    async with connected(f"/api/ws/{run_id}") as live:
        for name in WHOLE:
            await committed(append, run_id, name, size=50)
            await live.receive_event(name)
        await live.drain()
    async with connected(f"/api/ws/{run_id}/") as late:
        await late.drain()
    assert late.texts == live.texts
    assert late.code == live.code == 1000


@pytest.mark.processes
async def test_events_of_another_process_arrive() -> None:
    run_id = await committed(create_run)
    async with connected(f"/api/ws/{run_id}") as client:
        await client.receive_event("created")
        await append_elsewhere(run_id, *WHOLE)
        await client.drain()
    assert client.seqs == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("after", [0, 1, 3, 5])
async def test_it_begins_after_the_cursor(after: int) -> None:
    run_id = await committed(create_run, *WHOLE)
    async with connected(f"/api/ws/{run_id}?after={after}") as client:
        await client.drain()
    assert client.seqs == [seq for seq in range(1, 7) if seq > after]
    assert client.code == 1000


@pytest.mark.parametrize("after", [6, 7, 1000, 2**63 - 1])
async def test_a_cursor_at_or_beyond_the_end_of_a_finished_run_closes_at_once(after: int) -> None:
    run_id = await committed(create_run, *WHOLE)
    async with connected(f"/api/ws/{run_id}?after={after}") as client:
        assert await client.drain() == []
    assert client.code == 1000


@pytest.mark.parametrize("after", [2, 3, 4, 1000])
async def test_a_cursor_beyond_the_log_of_a_live_run_waits_for_it(after: int) -> None:
    run_id = await committed(create_run, "started")
    async with connected(f"/api/ws/{run_id}?after={after}") as client:
        await until(lambda: hub.current().live, "the client is live")
        await committed(append, run_id, "custom", "custom", "custom")
        await committed(append, run_id, "cancelled")
        await client.drain()
    assert client.seqs == [seq for seq in range(3, 7) if seq > after]
    assert client.code == 1000


async def test_joining_during_a_burst_loses_and_doubles_nothing() -> None:
    run_id = await committed(create_run, "started")

    async def write() -> None:
        for _ in range(60):
            await committed(append, run_id, *["custom"] * 7)
        await committed(append, run_id, "completed")

    async def follow(after: int) -> list[int]:
        async with connected(f"/api/ws/{run_id}?after={after}") as client:
            await client.drain()
        return client.seqs

    async def follow_in_turn() -> list[list[int]]:
        """Clients that join one by one, from where the log is just then."""
        following = []
        for joined in range(30):
            current = (await committed(Run.objects.get, id=run_id)).seq
            following.append(asyncio.create_task(follow(current - joined % 3)))
        return await asyncio.gather(*following)

    _, seen = await asyncio.gather(write(), follow_in_turn())
    last = 2 + 60 * 7 + 1
    for seqs in seen:
        assert seqs == list(range(seqs[0], last + 1))


async def test_an_unknown_run_is_closed_with_4404() -> None:
    async with connected(f"/api/ws/{uuid4()}") as client:
        assert await client.drain() == []
    assert client.code == 4404


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=two",
        "after=1.5",
        "after=٣",
        "after=1&after=2",
        f"after={2**63}",
        "aftr=1",
        "&".join(["after=1"] * 200),
    ],
)
async def test_a_bad_cursor_is_closed_with_4400(query: str) -> None:
    run_id = await committed(create_run)
    async with connected(f"/api/ws/{run_id}?{query}") as client:
        assert await client.drain() == []
    assert client.code == 4400


@pytest.mark.parametrize(
    "run_id", ["1", "not-a-run", "8d0b9a", "{01a20722-4f18-7fbf-a91c-4514a6f053ed}", "%00"]
)
async def test_a_bad_run_id_is_closed_with_4400(run_id: str) -> None:
    async with connected(f"/api/ws/{run_id}") as client:
        await client.drain()
    assert client.code == 4400


async def test_any_other_address_is_closed_with_4404() -> None:
    async with connected(f"/api/ws/{uuid4()}/more") as client:
        await client.drain()
    assert client.code == 4404


async def test_the_first_frame_tells_the_version_of_the_protocol() -> None:
    run_id = await committed(create_run, "completed")
    socket = WebsocketCommunicator(router, f"/api/ws/{run_id}?after=1")
    await socket.connect(PATIENCE)
    found = [(await socket.receive_output(PATIENCE)).get("text") for _ in range(3)]
    await socket.disconnect(timeout=PATIENCE)
    assert found[0] == '{"event":"ready","protocol":1}'
    assert json.loads(found[1] or "")["event"] == "completed"
    assert found[2] is None


async def test_it_answers_messages_beside_the_events() -> None:
    run_id = await committed(create_run)
    async with connected(f"/api/ws/{run_id}") as client:
        await client.receive_event("created")
        await client.socket.send_to(text_data='{"type": "ping", "id": 1}')
        assert await client.receive() == {"event": "pong", "id": 1}
        await client.socket.send_to(bytes_data=b"\xff" * 1000)
        assert (await client.receive())["code"] == "malformed_json"
        for kind in ("subscribe", "unsubscribe", "cancel"):
            message = {"type": kind, "run_id": str(run_id)}
            await client.socket.send_to(text_data=json.dumps(message))
            assert (await client.receive())["code"] == "unsupported"
        await committed(append, run_id, "completed")
        await client.drain()
    assert client.code == 1000


async def test_a_message_that_is_too_big_closes_with_1009() -> None:
    run_id = await committed(create_run)
    async with connected(f"/api/ws/{run_id}") as client:
        await client.receive_event("created")
        for _ in range(3):  # those that were on their way are not answered with a second close
            await client.socket.send_to(text_data="x" * (64 * 1024 + 1))
        await client.drain()
        assert client.code == 1009
        assert await client.socket.receive_nothing()


async def test_too_many_messages_close_with_4429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_messages, "MESSAGE_BURST", 5)
    run_id = await committed(create_run)
    async with connected(f"/api/ws/{run_id}") as client:
        for _ in range(7):
            await client.socket.send_to(text_data='{"type": "ping"}')
        await client.drain()
    assert client.code == 4429


async def test_a_client_that_leaves_frees_everything() -> None:
    run_id = await committed(create_run)
    async with connected(f"/api/ws/{run_id}") as client:
        await client.receive_event("created")
        await until(lambda: hub.current().watching, "the run is watched")
    assert hub.current().watching == 0
    assert not hub.current().subscribers
    await until(lambda: len(asyncio.all_tasks()) == 1, "every task but the test has ended")


async def test_a_server_that_stops_closes_with_1012() -> None:
    run_id: UUID = await committed(create_run)
    async with connected(f"/api/ws/{run_id}") as client:
        await client.receive_event("created")
        await hub.close()
        await client.drain()
    assert client.code == 1012
