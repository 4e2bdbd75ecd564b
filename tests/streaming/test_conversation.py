"""`/api/ws/` as a conversation: many runs on one socket, answers, limits."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any
from uuid import UUID, uuid4

import pytest

from runs.models import Run
from streaming.hub import hub
from streaming.hub.subscriber import QUEUE_BYTES
from streaming.websocket import client_messages, subscriptions
from tests.streaming.journal_rows import append, append_elsewhere, committed, create_run
from tests.streaming.sockets import Client, StuckClient, connected, until
from tests.streaming.test_scale import create_runs, delete

SOCKET = "/api/ws/?feed=off"
READY = {"event": "ready", "protocol": 1}
NOBODY = UUID(int=7)


async def send(client: Client, **message: Any) -> None:
    await client.socket.send_to(text_data=json.dumps(message))


async def ask(client: Client, **message: Any) -> dict[str, Any]:
    """Say something; the next frame."""
    await send(client, **message)
    return await client.receive()


@pytest.mark.processes
async def test_many_runs_on_one_socket() -> None:
    runs = [str(run_id) for run_id in await committed(create_runs, 20)]
    seen: dict[str, list[int]] = defaultdict(list)
    async with connected(SOCKET) as client:
        assert await client.receive() == READY
        for run_id in runs:
            await send(client, type="subscribe", run_id=run_id)
        ended: list[dict[str, Any]] = []
        began: list[str] = []
        await append_elsewhere(UUID(runs[0]), "custom", "completed")
        for run_id in runs[1:]:
            await committed(append, UUID(run_id), "custom", "completed")
        while len(ended) < 20:
            frame = await client.receive()
            if frame["event"] == "end":
                ended.append(frame)
            elif frame["event"] == "subscribed":
                began.append(frame["run_id"])
            else:
                assert frame["run_id"] in began
                seen[frame["run_id"]].append(frame["seq"])
        assert await ask(client, type="ping") == {"event": "pong"}
    assert seen == {run_id: [1, 2, 3] for run_id in runs}
    assert all(frame["code"] == 1000 for frame in ended)
    assert not hub.current().subscribers


async def test_a_subscription_begins_after_its_cursor_and_says_where_the_run_is() -> None:
    run_id = await committed(create_run, "started", "custom")
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        answer = await ask(client, type="subscribe", run_id=str(run_id), after=2, id="a")
        about = {"run_id": str(run_id), "after": 2, "seq": 3}
        assert answer == {"event": "subscribed", "id": "a", **about}
        assert (await client.receive())["seq"] == 3


async def test_frames_are_the_bytes_of_a_socket_of_the_run_alone() -> None:
    run_id = await committed(create_run, "started", "custom", "completed")
    async with connected(f"/api/ws/{run_id}") as alone:
        texts = await alone.drain()
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        await send(client, type="subscribe", run_id=str(run_id))
        await client.receive_event("end")
    assert client.texts[2:-1] == texts


async def test_after_unsubscribing_no_frame_of_the_run_comes() -> None:
    run_id = await committed(create_run)
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        await send(client, type="subscribe", run_id=str(run_id))
        await client.receive_event("created")
        answer = await ask(client, type="unsubscribe", run_id=str(run_id), id=7)
        assert answer == {"event": "unsubscribed", "id": 7, "run_id": str(run_id)}
        assert not hub.current().subscribers
        await committed(append, run_id, "custom")
        assert await ask(client, type="ping", id=8) == {"event": "pong", "id": 8}


async def test_subscribing_again_begins_anew() -> None:
    run_id = await committed(create_run, "started")
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        for after in (0, 1, 0):
            await send(client, type="subscribe", run_id=str(run_id), after=after)
            while (await client.receive())["event"] != "started":
                pass
        assert len(hub.current().subscribers) == 1


async def test_the_feed_goes_on_beside_subscriptions() -> None:
    run_id = await committed(create_run)
    async with connected("/api/ws/") as client:
        await client.receive_event("ready")
        await send(client, type="subscribe", run_id=str(run_id))
        await client.receive_event("created")
        other = await committed(create_run)
        assert (await client.receive_event("run"))["data"]["run_id"] == str(other)
        await committed(append, run_id, "started")
        events = [await client.receive(), await client.receive()]
        assert {frame["event"] for frame in events} == {"run", "started"}


async def test_unknown_and_deleted_runs_end_with_4404() -> None:
    run_id, nobody = await committed(create_run), uuid4()
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        answer = await ask(client, type="subscribe", run_id=str(nobody))
        assert answer == {"event": "end", "run_id": str(nobody), "code": 4404}
        await send(client, type="subscribe", run_id=str(run_id))
        await client.receive_event("created")
        await until(lambda: hub.current().live, "it is live")
        await committed(delete, run_id)
        end = {"event": "end", "run_id": str(run_id), "code": 4404}
        assert await client.receive() == end
        assert await ask(client, type="ping") == {"event": "pong"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{not json", "malformed_json"),
        ("[" * 5000, "malformed_json"),
        ("[]", "invalid"),
        ("{}", "unknown_type"),
        ('{"type": "shout"}', "unknown_type"),
        ('{"type": ["ping"]}', "unknown_type"),
        ('{"type": "subscribe"}', "invalid"),
        ('{"type": "subscribe", "run_id": "x"}', "invalid"),
        ('{"type": "unsubscribe", "run_id": 1}', "invalid"),
        ('{"type": "ping", "id": {}}', "invalid"),
        ('{"type": "ping", "id": true}', "invalid"),
        ('{"type": "ping", "run_id": 1}', "invalid"),
        (f'{{"type": "subscribe", "run_id": "{NOBODY}", "aftr": 7}}', "invalid"),
        ('{"type": "resume", "run_id": "x"}', "invalid"),
        ('{"type": "cancel"}', "invalid"),
        (f'{{"type": "cancel", "run_id": "{NOBODY}"}}', "unsupported"),
        (f'{{"type": "resume", "run_id": "{NOBODY}", "resume": 1}}', "unsupported"),
    ],
)
async def test_what_is_not_understood_is_answered_and_the_socket_goes_on(
    text: str, code: str
) -> None:
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        await client.socket.send_to(text_data=text)
        error = await client.receive()
        assert (error["event"], error["code"]) == ("error", code)
        assert error["detail"]
        assert await ask(client, type="ping", id="x") == {"event": "pong", "id": "x"}


@pytest.mark.parametrize("after", [-1, 1.5, "1", True, 2**63])
async def test_a_bad_cursor_is_answered_with_an_error(after: Any) -> None:
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        error = await ask(client, type="subscribe", run_id=str(uuid4()), after=after, id=1)
        assert (error["code"], error["id"]) == ("invalid", 1)


async def test_too_many_messages_close_with_4429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_messages, "MESSAGE_BURST", 5)
    monkeypatch.setattr(client_messages, "MESSAGES_PER_SECOND", 0.0)
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        for _ in range(5):
            assert await ask(client, type="ping") == {"event": "pong"}
        await send(client, type="ping")
        await client.drain()
    assert client.code == 4429


async def test_too_many_subscriptions_close_with_4429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 3)
    runs = await committed(create_runs, 4)
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        for run_id in (*runs[:3], runs[0]):
            await send(client, type="subscribe", run_id=str(run_id))
            await client.receive_event("created")
        await send(client, type="subscribe", run_id=str(runs[3]))
        await client.drain()
    assert client.code == 4429
    assert not hub.current().subscribers


async def test_messages_that_are_too_big_close_with_1009() -> None:
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        await client.socket.send_to(text_data="x" * (64 * 1024 + 1))
        await client.drain()
    assert client.code == 1009


@pytest.mark.parametrize("query", ["feed=maybe", "thread=x", "feed=on&feed=off"])
async def test_a_bad_address_is_closed_with_4400(query: str) -> None:
    async with connected(f"/api/ws/?{query}") as client:
        await send(client, type="ping")
        await client.drain()
    assert client.code == 4400


async def test_messages_that_wait_are_bounded() -> None:
    stuck = StuckClient(SOCKET)
    for _ in range(10):
        stuck.send("x" * 60_000)
    async with asyncio.timeout(90):
        await stuck.closed.wait()
        await stuck.leave()


async def test_a_client_that_says_much_and_reads_nothing_is_let_go() -> None:
    """Its answers wait, its messages wait behind them, and still its leaving is seen."""
    runs = await committed(create_runs, 50)
    stuck = StuckClient(SOCKET)
    for run_id in runs:
        message = json.dumps({"type": "subscribe", "run_id": str(run_id)})
        stuck.send(message)
    async with asyncio.timeout(90):
        await stuck.sending.wait()
        for _ in range(5):
            for run_id in runs:
                await committed(append, run_id, *["custom"] * 3, size=10_000)
        waiting = sum(each.waiting_bytes for each in hub.current().subscribers)
        assert waiting <= QUEUE_BYTES
        await stuck.leave()
    assert not hub.current().subscribers
    await until(lambda: len(asyncio.all_tasks()) == 1, "every task but the test has ended")


async def test_a_server_that_stops_closes_with_1012() -> None:
    run_id = await committed(create_run)
    async with connected(SOCKET) as client:
        await client.receive_event("ready")
        await send(client, type="subscribe", run_id=str(run_id))
        await client.receive_event("created")
        await hub.close()
        await client.drain()
    assert client.code == 1012


async def test_the_thread_filter_of_the_feed() -> None:
    followed, other = await committed(create_run), await committed(create_run)
    thread = (await committed(Run.objects.get, id=followed)).thread_id
    async with connected(f"/api/ws/?thread={thread}") as client:
        await client.receive_event("ready")
        await committed(append, other, "started")
        await committed(append, followed, "started")
        assert (await client.receive())["data"]["run_id"] == str(followed)
