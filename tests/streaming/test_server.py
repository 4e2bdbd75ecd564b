"""A real server process, and real clients."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.streaming.journal_rows import append, committed, create_run, environment
from tests.streaming.sockets import READY

PATIENCE = 90.0
UVICORN = ("uvicorn", "--port", "0", "--timeout-graceful-shutdown", "4")
DAPHNE = ("daphne", "-e", "tcp:0:interface=127.0.0.1")

pytestmark = pytest.mark.processes


@dataclass(frozen=True, kw_only=True)
class Server:
    """A web process that works on the database under test."""

    process: asyncio.subprocess.Process
    port: int

    def url(self, run_id: UUID, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/api/ws/{run_id}{query}"


@pytest.fixture(params=[UVICORN, DAPHNE], ids=["uvicorn", "daphne"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with serving(request.param) as started:
        yield started


@asynccontextmanager
async def serving(command: Sequence[str]) -> AsyncIterator[Server]:
    """A web process, until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        "fastgraph_site.asgi:application",
        env=environment(),
        stderr=asyncio.subprocess.STDOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    output = b""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while not (port := re.search(rb"[oO]n .*127\.0\.0\.1:(\d+)", output)):
            line = await process.stdout.readline()
            assert line, output.decode()
            output += line
    emptying = asyncio.create_task(process.stdout.read())
    try:
        yield Server(process=process, port=int(port[1]))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await emptying


async def receive_all(url: str) -> tuple[list[str], int | None]:
    """Every frame but the greeting, and the code of the close."""
    frames: list[str] = []
    async with asyncio.timeout(PATIENCE), connect(url, proxy=None) as client:
        try:
            while True:
                frame = await client.recv()
                assert isinstance(frame, str)
                if frame != READY:
                    frames.append(frame)
        except ConnectionClosed as closed:
            return frames, closed.rcvd.code if closed.rcvd else None


async def test_a_run_is_followed_to_its_end_live_and_late(server: Server) -> None:
    run_id = await committed(create_run, "started")
    live = asyncio.create_task(receive_all(server.url(run_id)))
    for _ in range(10):
        await committed(append, run_id, "custom", "custom", size=2000)
    await committed(append, run_id, "completed")
    frames, code = await live
    assert [json.loads(frame)["seq"] for frame in frames] == list(range(1, 24))
    assert code == 1000
    assert await receive_all(server.url(run_id)) == (frames, 1000)
    assert await receive_all(server.url(run_id, "?after=22")) == (frames[22:], 1000)


async def test_refusals(server: Server) -> None:
    assert await receive_all(server.url(uuid4())) == ([], 4404)
    assert await receive_all(server.url(uuid4(), "?after=x")) == ([], 4400)
    run_id = await committed(create_run, "completed")
    for headers in ({"Origin": "http://evil.example"}, {"X-Forwarded-For": "10.0.0.1"}):
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.url(run_id), proxy=None, additional_headers=headers).__aenter__()
        assert refused.value.response.status_code == 403
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert (await client.get("/api/workflows/")).status_code == 200
        rebound = await client.get("/api/workflows/", headers={"Host": "evil.example"})
        assert rebound.json()["code"] == "host_not_allowed"
        too_large = await client.post("/api/runs/", content=b"x" * 20_000_000)
        assert (too_large.status_code, too_large.json()["code"]) == (413, "body_too_large")


async def test_a_chunked_body_starts_a_run_that_the_feed_tells(server: Server) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"name": "Chunked", "workflow": "text_report",'
        yield b'"payload": {"input": "hello"}}'

    url = f"127.0.0.1:{server.port}"
    async with asyncio.timeout(PATIENCE), connect(f"ws://{url}/api/ws/", proxy=None) as feed:
        assert json.loads(await feed.recv()) == {"event": "ready", "protocol": 1}
        async with httpx.AsyncClient(base_url=f"http://{url}") as client:
            created = await client.post(
                "/api/runs/", content=chunks(), headers={"Content-Type": "application/json"}
            )
            assert created.status_code == 201, created.text
            listed = (await client.get("/api/runs/")).json()["results"]
        change = json.loads(await feed.recv())
    assert change == {"event": "run", "data": listed[0]}
    assert change["data"]["run_id"] == created.json()["run_id"]


def never_reading(server: Server, run_id: UUID) -> socket.socket:
    """A client that asks for a run and then reads nothing at all."""
    client = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(
        f"GET /api/ws/{run_id} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


async def test_open_sockets_do_not_hold_up_its_stop(server: Server) -> None:
    run_id = await committed(create_run, "started")
    for _ in range(10):
        await committed(append, run_id, *["custom"] * 100, size=5000)
    stuck = await asyncio.to_thread(never_reading, server, run_id)
    async with asyncio.timeout(PATIENCE), connect(server.url(run_id), proxy=None) as client:
        for _ in range(1003):
            await client.recv()
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(90):
            await server.process.wait()
    stuck.close()
