"""Clients of the HTTP streams, in the test's own process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastgraph_site.web.stream_routes import Streams
from tests.site.requests import LOCAL, PATIENCE, Exchange
from tests.streaming.sockets import until


async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
    """What answers requests that are not for streams."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"elsewhere"})


streams: Any = Streams(elsewhere)


def exchange(address: str, method: str = "GET", **headers: str) -> Exchange:
    """A request for `address`; `headers` with _ for -."""
    path, _, query = address.partition("?")
    sent = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Exchange(method, path, headers=[LOCAL, *sent], query=query.encode())


async def get(address: str, method: str = "GET", **headers: str) -> Exchange:
    """The whole answer."""
    return await exchange(address, method, **headers).run(streams)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One server-sent event, as `EventSource` would dispatch it."""

    id: str
    event: str
    data: str

    @property
    def frame(self) -> dict[str, Any]:
        return dict(json.loads(self.data))


def parse(body: bytes) -> tuple[list[Message], str]:
    """The messages of a stream, and the last event id that a client would come back with."""
    messages: list[Message] = []
    last = ""
    blocks = body.decode().split("\n\n")
    for block in blocks[:-1]:  # what follows the last empty line is not complete
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
        last = fields.get("id", [last])[-1]
        if "data" in fields:
            data = "\n".join(fields["data"])
            messages.append(Message(id=last, event=fields["event"][-1], data=data))
    return messages, last


def seqs(body: bytes) -> list[int]:
    return [message.frame["seq"] for message in parse(body)[0]]


@asynccontextmanager
async def following(address: str, **headers: str) -> AsyncIterator[Exchange]:
    """A client that follows a stream, and leaves at the end of the block."""
    client = exchange(address, **headers)
    task = asyncio.create_task(client.run(streams))
    try:
        await until(lambda: client.status or task.done(), "it is answered")
        yield client
    finally:
        client.leave()
        async with asyncio.timeout(PATIENCE):
            await task


async def event_arrives(client: Exchange, name: str) -> None:
    """Until the client has received an event with this name."""
    await until(lambda: name in [m.event for m in parse(client.body)[0]], f"{name} arrives")
