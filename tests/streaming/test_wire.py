"""Frames as bytes for the wire: what any WebSocket client reads from them."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
from channels.testing import WebsocketCommunicator
from websockets.protocol import CLIENT, Protocol

from runs.queries.event_frames import Frame
from streaming.hub import hub, websocket_bytes
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import PATIENCE, router, until


def frame(size: int) -> Frame:
    return Frame(run_id=UUID(int=1), seq=size, event="custom", body=b"x" * size)


def texts(data: bytes) -> list[bytes]:
    """What a client reads; fails for anything that is not a whole text message."""
    client = Protocol(CLIENT, max_size=None)
    client.receive_data(data)
    assert client.parser_exc is None
    received: list[Any] = client.events_received()
    assert all(each.opcode == 1 and each.fin for each in received)
    return [bytes(each.data) for each in received]


def test_each_frame_is_a_message_of_its_own_whatever_its_length() -> None:
    frames = [frame(size) for size in (0, 1, 125, 126, 65_535, 65_536, 200_000, 3)]
    found = b"".join(websocket_bytes.pieces(frames))
    assert texts(found) == [each.body for each in frames]


def test_pieces_are_small_and_messages_whole() -> None:
    pieces = list(websocket_bytes.pieces(frame(1000) for _ in range(100)))
    assert len(pieces) > 5
    assert all(texts(piece) for piece in pieces)
    assert max(map(len, pieces)) < websocket_bytes.PIECE_BYTES + 2000


@pytest.mark.parametrize("path", ["/api/ws/{}", "/api/ws/?feed=off"])
async def test_a_server_that_takes_bytes_gets_the_same_text(path: str) -> None:
    run_id = await committed(create_run, "started")
    await committed(append, run_id, *["custom"] * 300, size=300)
    await committed(append, run_id, "completed")
    socket = WebsocketCommunicator(router, path.format(run_id))
    socket.scope["extensions"] = {websocket_bytes.EXTENSION: {}}
    assert (await socket.connect(PATIENCE))[0]
    if "feed" in path:
        await socket.send_to(text_data=json.dumps({"type": "subscribe", "run_id": str(run_id)}))
    found, messages = b"", 0
    async with asyncio.timeout(PATIENCE):
        while b'"completed"' not in found:
            message = await socket.receive_output(PATIENCE)
            found += message.get(websocket_bytes.EXTENSION, b"")
            messages += 1
    await socket.disconnect(timeout=PATIENCE)
    assert [json.loads(text)["seq"] for text in texts(found)] == list(range(1, 304))
    assert messages < 60


async def test_what_a_live_client_has_room_for_is_written_at_once_and_the_rest_sent() -> None:
    run_id = await committed(create_run, "started")
    socket = WebsocketCommunicator(router, f"/api/ws/{run_id}")
    found: list[bytes] = []
    at_once = 0

    def write(ready: bytes) -> bool:
        nonlocal at_once
        at_once += 1
        if at_once % 3:
            return False
        found.append(ready)
        return True

    socket.scope["extensions"] = {websocket_bytes.EXTENSION: {"write": write}}
    assert (await socket.connect(PATIENCE))[0]

    async def read() -> None:
        while (message := await socket.receive_output(PATIENCE))["type"] != "websocket.close":
            found.append(message.get(websocket_bytes.EXTENSION, b""))

    reading = asyncio.create_task(read())
    await until(lambda: hub.current().live, "it is live")
    for _ in range(20):
        tries = at_once
        await committed(append, run_id, "custom")
        await until(lambda tries=tries: at_once > tries, "it was handed out")
    await committed(append, run_id, "completed")
    await reading
    assert [json.loads(text)["seq"] for text in texts(b"".join(found))] == list(range(1, 24))
