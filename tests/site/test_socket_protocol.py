"""The server's side of a WebSocket, without a network: what its application is told."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pytest
import uvicorn
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from fastgraph_site.server.uvicorn_websocket import WireProtocol
from streaming.hub import websocket_bytes

REQUEST = (
    b"GET /api/ws/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
NOT_MASKED = b"\x81\x02{}"


async def connected() -> tuple[WireProtocol, mock.Mock]:
    """A connection whose socket was accepted, and its transport."""
    accepted = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        accepted.set()
        await asyncio.Event().wait()

    config = uvicorn.Config(application, ws_per_message_deflate=False, ws_ping_interval=None)
    protocol = WireProtocol(config, ServerState(), {})
    transport = mock.Mock(**{"is_closing.return_value": False})
    transport.get_extra_info.return_value = None
    protocol.connection_made(transport)
    protocol.data_received(REQUEST)
    await asyncio.wait_for(accepted.wait(), 5)
    return protocol, transport


def ended(protocol: WireProtocol) -> None:
    for task in protocol.tasks:
        task.cancel()


async def test_ready_bytes_are_written_as_they_are_for_as_long_as_there_is_room() -> None:
    protocol, transport = await connected()
    write = websocket_bytes.raw_writer(protocol.scope)
    assert write is not None
    assert write(b"one")
    protocol.pause_writing()
    assert not write(b"two")
    protocol.resume_writing()
    assert write(b"three")
    assert [call.args[0] for call in transport.write.mock_calls[1:]] == [b"one", b"three"]
    transport.is_closing.return_value = True
    assert not write(b"four")
    ended(protocol)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send", "text": "{}"},
        {"type": "websocket.send", websocket_bytes.EXTENSION: b"\x81\x02{}"},
        {"type": "websocket.close", "code": 1000},
    ],
)
async def test_what_is_sent_after_rubbish_has_closed_it_meets_a_client_that_is_gone(
    message: dict[str, Any],
) -> None:
    protocol, transport = await connected()
    protocol.data_received(NOT_MASKED)
    written = len(transport.write.mock_calls)
    with pytest.raises(ClientDisconnected):
        await protocol.send(message)
    write = websocket_bytes.raw_writer(protocol.scope)
    assert write is not None
    assert not write(b"\x81\x02{}")
    assert len(transport.write.mock_calls) == written
    ended(protocol)
