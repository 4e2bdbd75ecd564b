"""What no client of ours would send to a real server: each is answered or closed, and the log shows
no fault of the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.processes import Server

PATIENCE = 90.0
pytestmark = pytest.mark.processes

UPGRADE = (
    "Host: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
MASK = b"\0\0\0\0"


@pytest.fixture
def _hub_ends() -> None:
    """No hub in this process."""


@pytest.fixture(autouse=True)
def _no_fault(server: Server) -> Iterator[None]:
    before = len(server.log())
    yield
    logged = server.log()[before:]
    assert "Traceback" not in logged, logged
    assert "ERROR" not in logged, logged


class Raw:
    """A connection that speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def upgrading(
        cls, server: Server, path: str, *more: str, early: bytes = b""
    ) -> tuple[Raw, bytes]:
        """A connection that asked for a socket, and the head of the answer."""
        raw = cls(*await asyncio.open_connection("127.0.0.1", server.port))
        head = f"GET {path} HTTP/1.1\r\n{UPGRADE.format(port=server.port)}"
        head += "".join(f"{line}\r\n" for line in more)
        raw.send(head.encode("latin-1") + b"\r\n")
        raw.send(early)
        async with asyncio.timeout(PATIENCE):
            answer = await raw._reader.readuntil(b"\r\n")
            while await raw._reader.readuntil(b"\r\n") != b"\r\n":
                pass
        return raw, answer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next message, which is not long."""
        async with asyncio.timeout(PATIENCE):
            kind, length = await self._reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await self._reader.readexactly(2))
            return kind & 0xF, await self._reader.readexactly(length)

    async def closed_with(self) -> int:
        """The code with which the server closes."""
        while (message := await self.frame())[0] != 8:
            pass
        return int.from_bytes(message[1][:2])

    async def rest(self) -> bytes:
        """All until the server hangs up."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.read()

    def leave(self) -> None:
        self._writer.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(b"\x81\x02{}", 1002, id="not masked"),
        pytest.param(b"\xc1\x82" + MASK + b"{}", 1002, id="reserved bit"),
        pytest.param(b"\x83\x82" + MASK + b"{}", 1002, id="unknown opcode"),
        pytest.param(b"\x80\x82" + MASK + b"{}", 1002, id="continues nothing"),
        pytest.param(b"\x88\x81" + MASK + b"a", 1002, id="half a close code"),
        pytest.param(b"\x81\x82" + MASK + b"\xff\xfe", 1007, id="not UTF-8"),
        pytest.param(b"\x81\xff" + b"\xff" * 8 + MASK, 1009, id="endless"),
        pytest.param(
            b"\x81\xff" + (65_537).to_bytes(8) + MASK + b"x" * 65_537, 1009, id="64 KiB and one"
        ),
    ],
)
async def test_frames_that_are_none(server: Server, client: Client, sent: bytes, code: int) -> None:
    run = client.create("tokens", {"count": 100, "interval": 1})
    for path in (f"/api/ws/{run['id']}", "/api/ws/"):
        raw, answer = await Raw.upgrading(server, path)
        assert b" 101 " in answer
        raw.send(sent * 3)
        assert await raw.closed_with() == code
        raw.leave()
    assert client.http.post(f"/api/runs/{run['id']}/cancel").is_success


async def test_a_request_line_that_is_too_long_is_answered(server: Server) -> None:
    raw, answer = await Raw.upgrading(server, "/api/ws/?" + "a=1&" * 5000)
    assert b" 414 " in answer
    await raw.rest()
    raw.leave()


async def test_one_that_does_not_wait_for_the_answer_is_let_go(server: Server) -> None:
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"GET /api/ws/ HTTP/1.1\r\n{UPGRADE.format(port=server.port)}\r\n"
        writer.write(head.encode())
        for _ in range(50):
            writer.write(os.urandom(50_000))
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                await reader.read()
        writer.close()


async def test_refusals_are_complete_answers(server: Server) -> None:
    raw, answer = await Raw.upgrading(server, "/api/ws/", "Origin: http://evil.example")
    assert b" 403 " in answer
    assert b'"code":"foreign_origin"' in await raw.rest()
    raw.leave()
