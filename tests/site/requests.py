"""HTTP requests to ASGI applications, in the test's own process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

PATIENCE = 10.0
LOCAL = (b"host", b"127.0.0.1:8000")


class Exchange:
    """One request, whose body is sent in parts, and its answer."""

    def __init__(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Iterable[tuple[bytes, bytes]] = (LOCAL,),
        parts: Iterable[bytes] = (b"",),
        query: bytes = b"",
    ) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "query_string": query,
            "headers": list(headers),
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.received: list[bytes] = []
        self.complete = False
        sent = list(parts)
        for index, part in enumerate(sent, start=1):
            self.send_part(part, more=index < len(sent))

    def send_part(self, part: bytes, *, more: bool) -> None:
        self.incoming.put_nowait({"type": "http.request", "body": part, "more_body": more})

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def run(self, application: Any) -> Exchange:
        """Until the application is done with the request."""
        async with asyncio.timeout(PATIENCE):
            await application(self.scope, self.incoming.get, self.send)
        return self

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.received.append(message["body"])
            self.body += message["body"]
            self.complete = not message.get("more_body", False)

    @property
    def code(self) -> str:
        """The `code` of the problem details that were answered."""
        assert self.headers[b"content-type"] == b"application/problem+json"
        return str(json.loads(self.body)["code"])
