"""Request bodies: read on the event loop, whole, up to a limit, before anything else is done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPScope,
    Scope,
)

from fastgraph_site import problems
from runs.conf import conf
from runs.errors import Problem

Headers = Iterable[tuple[bytes, bytes]]

PATIENCE = 10.0  # seconds that the rest of a body that is too large may take to arrive
FURTHER = 8  # times the limit: so much more of it is read, and thrown away


class BodyLimit:
    """Calls `app` once the request's body is here, with the body in one message and its length in
    the headers. So a client that sends slowly costs memory for what it sent, but no thread.

    A larger body than `max_body_bytes` is answered 413. What else the client sends is read for a
    while, for it would not see the answer if its connection was reset while it still wrote.
    """

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = conf().max_body_bytes
        try:
            body = await _read(receive, limit, scope["headers"])
        except Problem as problem:
            await problems.answer(problem, scope, send)
        except ConnectionError:
            return
        else:
            await self._app(_with_length(scope, len(body)), replay(body, receive), send)


async def _read(receive: ASGIReceiveCallable, limit: int, headers: Headers) -> bytes:
    """The whole body. Problem 413 when it has more than `limit` bytes; ConnectionError when the
    client goes before its end."""
    declared = _declared(headers) or 0
    if declared > limit and _waits_for_leave(headers):
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    arriving = _parts(receive)
    async for part in arriving:
        size += len(part)
        if max(size, declared) > limit:
            parts.clear()
            await _throw_away(arriving, FURTHER * limit)
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


async def _parts(receive: ASGIReceiveCallable) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError("the client has gone")
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _throw_away(arriving: AsyncIterator[bytes], most: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            async for part in arriving:
                most -= len(part)
                if most < 0:
                    return


def _too_large(limit: int) -> Problem:
    detail = (
        f"The body is larger than {limit:,} bytes. Send less, or raise FASTGRAPH_MAX_BODY_BYTES."
    )
    return Problem(413, "body_too_large", detail)


def _declared(headers: Headers) -> int | None:
    for name, value in headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return None


def _waits_for_leave(headers: Headers) -> bool:
    """The client asks before it sends its body (`Expect: 100-continue`); to read is to say yes."""
    return any(
        name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in headers
    )


def _with_length(scope: HTTPScope, size: int) -> HTTPScope:
    """The scope with the body's true length, however it was sent."""
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if name.lower() not in (b"content-length", b"transfer-encoding")
    ]
    declared = _declared(scope["headers"]) is not None
    length = [(b"content-length", str(size).encode())] if size or declared else []
    return {**scope, "headers": [*kept, *length]}


def replay(body: bytes, receive: ASGIReceiveCallable) -> ASGIReceiveCallable:
    """A `receive` that gives the body first, and then what the server says."""
    first: list[ASGIReceiveEvent] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> ASGIReceiveEvent:
        return first.pop() if first else await receive()

    return replay
