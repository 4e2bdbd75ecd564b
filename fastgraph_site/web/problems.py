"""Answers of the web process that refuse a request before Django sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asgiref.typing import ASGISendCallable, HTTPScope, WebSocketScope

from runs.errors import Problem
from runs.http.problems import body_of


async def answer(
    problem: Problem,
    scope: HTTPScope | WebSocketScope,
    send: ASGISendCallable,
    more_headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Answer a request with `problem` and end its connection, for its body may not have been read.
    A WebSocket that has not been accepted is answered the same way where the server can, and with
    its plain 403 where not."""
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 4403, "reason": problem.code})
            return
        prefix = "websocket."
    body = body_of(problem, scope["path"])
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *more_headers,
    ]
    start: Any = {
        "type": f"{prefix}http.response.start",
        "status": problem.status,
        "headers": headers,
    }
    end: Any = {"type": f"{prefix}http.response.body", "body": body}
    await send(start)
    await send(end)
