"""Clients of the sockets, in the test's own process."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.testing import WebsocketCommunicator

from streaming.routing import sockets

PATIENCE = 90.0
router = sockets()


READY = '{"event":"ready","protocol":1}'


class Client:
    """A client of one socket: what it received, and with which code it was closed. The greeting of
    a socket of one run is asserted, and left out."""

    def __init__(self, path: str, application: Any = router, **headers: str) -> None:
        sent = [(name.encode(), text.encode()) for name, text in headers.items()]
        self.socket = WebsocketCommunicator(application, path, sent)
        self.texts: list[str] = []
        self.code: int | None = None
        self._greeted = re.match(r"/api/ws/[^/?]", path) is None

    async def receive_text(self) -> str | None:
        """The next message; None: the server has closed, and `code` is there."""
        message = await self.socket.receive_output(PATIENCE)
        if message["type"] == "websocket.close":
            self.code = message["code"]
            return None
        assert message["type"] == "websocket.send", message
        text: str = message["text"]
        if not self._greeted:
            assert text == READY
            self._greeted = True
            return await self.receive_text()
        self.texts.append(text)
        return text

    async def receive(self) -> dict[str, Any]:
        """The next frame."""
        text = await self.receive_text()
        assert text is not None, f"closed with {self.code}"
        return dict(json.loads(text))

    async def receive_event(self, name: str) -> dict[str, Any]:
        """The next frame with this event; those before it are received, too."""
        while (frame := await self.receive())["event"] != name:
            pass
        return frame

    async def drain(self) -> list[str]:
        """Everything until the server closes; then also `code`."""
        while await self.receive_text() is not None:
            pass
        return self.texts

    @property
    def seqs(self) -> list[int]:
        return [json.loads(text)["seq"] for text in self.texts]


@asynccontextmanager
async def connected(path: str, application: Any = router, **headers: str) -> AsyncIterator[Client]:
    client = Client(path, application, **headers)
    accepted, _ = await client.socket.connect(PATIENCE)
    assert accepted
    try:
        yield client
    finally:
        await client.socket.disconnect(timeout=PATIENCE)


async def until(condition: Any, what: str) -> None:
    """Return when `condition()` holds; fail when it does not within reasonable time."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


class StuckClient:
    """A client that accepts nothing after the handshake until it is `released`."""

    def __init__(self, path: str) -> None:
        self.seqs: list[int] = []
        self.released = asyncio.Event()
        self.sending = asyncio.Event()
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect"})
        self.closed = asyncio.Event()
        scope = WebsocketCommunicator(router, path).scope
        self._task = asyncio.create_task(router(scope, self._incoming.get, self._send))

    def send(self, text: str) -> None:
        """Send a message."""
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def leave(self) -> None:
        """Disconnect, whatever is still being sent."""
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await self._task

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            if message["text"] == READY:
                return
            self.sending.set()
            await self.released.wait()
            self.seqs.append(json.loads(message["text"])["seq"])
        elif message["type"] == "websocket.close":
            self.closed.set()
