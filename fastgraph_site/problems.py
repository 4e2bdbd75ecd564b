"""Answers of the web process that refuse a request before Django sees it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from asgiref.typing import ASGISendCallable, HTTPScope, WebSocketScope

from runs.errors import Problem
from runs.payloads import printable


def render(problem: Problem, path: str) -> bytes:
    """RFC 9457 problem details, in the shape that the API gives its own."""
    return orjson.dumps(
        {
            "type": "about:blank",  # the status says what `title` says; `code` is the finer word
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "detail": problem.detail,
            "instance": printable(path),
            "code": problem.code,
        }
    )


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
    body = render(problem, scope["path"])
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
