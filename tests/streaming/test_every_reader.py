"""The promise of streams, with chance in charge: what each client put together, over whatever it
was cut off from, is the table."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect

from runs.engine.events import STREAM_MODES, TERMINAL
from runs.queries import event_frames as log
from streaming.http.stream_modes import parse_modes
from streaming.hub import subscriber
from streaming.hub.hub import Hub
from tests.streaming.http import exchange, get, parse, streams
from tests.streaming.journal_rows import append, append_elsewhere, committed, create_run
from tests.streaming.sockets import READY, connected
from tests.streaming.test_server import UVICORN, Server, serving

NAMES = ("custom", "node_started", "node_update", "checkpoint", "artifact", "custom:messages")

Servers = Sequence[Server]
Reader = Callable[[random.Random, UUID], Coroutine[Any, Any, list[bytes]]]


async def write(chance: random.Random, run_id: UUID) -> None:
    """Bursts and pauses, of this process and of another one, and the end."""
    for _ in range(chance.randint(5, 25)):
        names = chance.choices(NAMES, k=chance.choice([1, 1, 3, 40]))
        await committed(append, run_id, *names, size=chance.choice([0, 0, 200, 3000]))
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.01]))
    await append_elsewhere(run_id, *chance.choices(NAMES, k=5))
    await committed(append, run_id, chance.choice(["completed", "failed", "cancelled"]))


async def over_sockets(chance: random.Random, run_id: UUID) -> list[bytes]:
    """Reads so many frames, slowly or quickly, and leaves; until the server closes."""
    texts: list[str] = []
    while True:
        after = json.loads(texts[-1])["seq"] if texts else 0
        async with connected(f"/api/ws/{run_id}?after={after}") as client:
            for _ in range(chance.choice([1, 5, 60, 10_000])):
                text = await client.receive_text()
                if text is None:
                    assert client.code == 1000
                    return [text.encode() for text in texts]
                texts.append(text)
                if chance.random() < 0.05:
                    await asyncio.sleep(0.01)


async def over_one_socket(chance: random.Random, run_id: UUID) -> list[bytes]:
    """Subscribes, unsubscribes and subscribes again."""
    texts: list[str] = []
    async with connected("/api/ws/") as client:
        while True:
            after = json.loads(texts[-1])["seq"] if texts else 0
            message = {"type": "subscribe", "run_id": str(run_id), "after": after}
            await client.socket.send_to(text_data=json.dumps(message))
            left, asked = chance.choice([1, 50, 10_000]), False
            while True:
                frame = await client.receive()
                if frame["event"] == "end":
                    return [text.encode() for text in texts]
                if frame["event"] == "unsubscribed":
                    break
                if "seq" in frame and "ts" in frame:
                    texts.append(client.texts[-1])
                    left -= 1
                if left <= 0 and not asked:
                    asked = True
                    leave = {"type": "unsubscribe", "run_id": str(run_id)}
                    await client.socket.send_to(text_data=json.dumps(leave))


async def over_event_streams(chance: random.Random, run_id: UUID) -> list[bytes]:
    """Leaves whenever it likes, and comes back with the last id."""
    data: list[bytes] = []
    last = ""
    while True:
        client = exchange(f"/api/runs/{run_id}/stream", last_event_id=last)
        task = asyncio.create_task(client.run(streams))
        await asyncio.wait([task], timeout=chance.choice([0.001, 0.01, 0.1]))
        client.leave()
        await task
        if client.status == 204:
            return data
        messages, now = parse(client.body)
        data += [message.data.encode() for message in messages]
        last = now or last


async def over_polls(chance: random.Random, run_id: UUID) -> list[bytes]:
    data: list[bytes] = []
    while True:
        limit = chance.choice([1, 7, 1000])
        client = await get(f"/api/runs/{run_id}/events?after={len(data)}&limit={limit}&wait=5")
        results = json.loads(client.body)["results"]
        data += [orjson.dumps(frame) for frame in results]
        if results and results[-1]["event"] in TERMINAL:
            return data


async def of_another_hub(chance: random.Random, run_id: UUID) -> list[bytes]:
    """As in a second web process, with a queue that is always too small."""
    own, data = Hub(), list[bytes]()
    room = subscriber.Quota(frames=chance.choice([1, 3, 50]), size=5000)
    async with own.subscribe(run_id, quota=room) as reading:
        while frames := await reading.next():
            data += [frame.body for frame in frames]
            await asyncio.sleep(chance.choice([0, 0, 0.02]))
    await own.close()
    return data


READERS: tuple[Reader, ...] = (
    over_sockets,
    over_one_socket,
    over_event_streams,
    over_polls,
    of_another_hub,
)


@pytest.mark.processes
@pytest.mark.parametrize("seed", range(6))
async def test_what_each_client_put_together_is_the_table(seed: int) -> None:
    chance = random.Random(seed)
    run_id = await committed(create_run, "started")
    reading = [
        asyncio.create_task(reader(random.Random(seed * 100 + number), run_id))
        for number in range(3)
        for reader in READERS
    ]
    await write(chance, run_id)
    table = [frame.body for frame in await committed(log.read, {run_id: 0}, limit=10_000)]
    late = [asyncio.create_task(reader(random.Random(seed), run_id)) for reader in READERS]
    async with asyncio.timeout(60):
        for task in (*reading, *late):
            assert await task == table


async def over_real_sockets(chance: random.Random, run_id: UUID, servers: Servers) -> list[bytes]:
    """Comes back to any of the web processes, over either kind of stream."""
    data: list[bytes] = []
    while True:
        server = chance.choice(servers)
        most = chance.choice([5, 60, 10_000])
        read = a_socket if chance.random() < 0.5 else an_event_stream
        async with aclosing(read(server, run_id, len(data))) as bodies:
            async for body in bodies:
                data.append(body)
                most -= 1
                if most == 0:
                    break
        if data and json.loads(data[-1])["event"] in TERMINAL:
            return data


async def a_socket(server: Server, run_id: UUID, after: int) -> AsyncGenerator[bytes]:
    async with connect(server.url(run_id, f"?after={after}"), proxy=None) as socket:
        async for text in socket:
            assert isinstance(text, str)
            if text != READY:
                yield text.encode()


async def an_event_stream(server: Server, run_id: UUID, after: int) -> AsyncGenerator[bytes]:
    address = f"http://127.0.0.1:{server.port}/api/runs/{run_id}/stream"
    headers = {"Last-Event-ID": str(after)}
    async with (
        httpx.AsyncClient(timeout=30, verify=False) as client,
        client.stream("GET", address, headers=headers) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield line.removeprefix("data: ").encode()


@pytest.mark.processes
@pytest.mark.parametrize("seed", range(2))
async def test_readers_of_several_processes_put_together_the_table(seed: int) -> None:
    """The table is written by two processes and read through two others and this one."""
    async with serving(UVICORN) as one, serving(UVICORN) as two:
        run_id = await committed(create_run, "started")
        reading = [
            asyncio.create_task(over_real_sockets(random.Random(number), run_id, (one, two)))
            for number in range(4 * seed, 4 * seed + 4)
        ]
        reading += [asyncio.create_task(reader(random.Random(seed), run_id)) for reader in READERS]
        await write(random.Random(seed), run_id)
        table = [frame.body for frame in await committed(log.read, {run_id: 0}, limit=10_000)]
        async with asyncio.timeout(90):
            for task in reading:
                assert await task == table


@pytest.mark.processes
@pytest.mark.parametrize("seed", range(4))
async def test_filters_change_what_is_seen_and_not_where_one_is(seed: int) -> None:
    """A client that changes its filter each time it comes back misses nothing of what it asked."""
    chance = random.Random(seed)
    run_id = await committed(create_run, "started")
    writing = asyncio.create_task(write(chance, run_id))
    last, expected_from, seen = "0", 0, list[tuple[str, int, int, list[int]]]()
    while True:
        modes = ",".join(chance.sample(sorted(STREAM_MODES), k=chance.randint(0, 3)))
        client = exchange(f"/api/runs/{run_id}/stream?modes={modes}", last_event_id=last)
        task = asyncio.create_task(client.run(streams))
        await asyncio.wait([task], timeout=chance.choice([0.005, 0.05]))
        client.leave()
        await task
        if client.status == 204:
            break
        messages, now = parse(client.body)
        last = now or last
        seqs = [message.frame["seq"] for message in messages]
        seen.append((modes, expected_from, int(last), seqs))
        expected_from = int(last)
    await writing
    table = await committed(log.read, {run_id: 0}, limit=10_000)
    assert expected_from == len(table)
    for modes, begin, end, seqs in seen:
        allows = parse_modes(modes).allows
        assert seqs == [frame.seq for frame in table[begin:end] if allows(frame)]
