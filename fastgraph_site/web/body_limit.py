"""Request bodies: read on the event loop, whole, up to a limit, before anything else is done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPScope,
    Scope,
)
from django.conf import settings

from fastgraph_site.web import problems
from fastgraph_site.web.body_memory import Held
from fastgraph_site.web.overload import RETRY_AFTER
from runs.errors import Problem

Headers = Iterable[tuple[bytes, bytes]]

PATIENCE = 10.0  # seconds that the rest of a body that is too large may take to arrive
#: What to add to a refusal.
MORE_HEADERS = {415: [(b"accept-encoding", b"identity")], 503: [RETRY_AFTER]}
FURTHER = 8  # times the limit: so much more of it is read, and thrown away


class BodyLimit:
    """Calls `app` once the request's body is here, with the body in one message and its length in
    the headers. So a client that sends slowly costs memory for what it sent, but no thread.

    A larger body than `max_body_bytes` is answered 413, a compressed one 415 or 501, one that takes
    too long 408, and one for which the process has no memory 503. What else the client sends is
    read for a while, for it would not see the answer if its connection was reset while it still
    wrote.
    """

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = Held()
        try:
            body = await _read(receive, scope["headers"], held)
        except Problem as problem:
            held.free()
            await problems.answer(problem, scope, send, MORE_HEADERS.get(problem.status, ()))
        except ConnectionError:
            return
        else:
            await self._app(_with_length(scope, len(body)), replay(body, receive), send)
        finally:
            held.free()


async def _read(receive: ASGIReceiveCallable, headers: Headers, held: Held) -> bytes:
    """The whole body. Problem when it is refused; ConnectionError when the client goes before its
    end."""
    limit: int = settings.FASTGRAPH["max_body_bytes"]
    problem = _refused(headers, limit)
    if problem and _waits_for_leave(headers):
        raise problem
    loop, seconds = asyncio.get_running_loop(), settings.FASTGRAPH["body_seconds"]
    deadline = loop.time() + seconds
    parts: list[bytes] = []
    more = True
    while more:
        part, more = await _next(receive, deadline)
        problem = problem or _too_large(held.size + len(part), limit) or held.add(len(part))
        if problem and (part or more):
            parts.clear()
            held.free()
            if more:
                await _throw_away(receive, FURTHER * limit)
            raise problem
        parts.append(part)
        # What came quickly does not allow to stop in the middle for hours.
        allowed = len(part) / settings.FASTGRAPH["body_bytes_per_second"]
        deadline = min(deadline + allowed, loop.time() + seconds)
    if problem:
        raise problem
    return b"".join(parts)


async def _next(receive: ASGIReceiveCallable, deadline: float) -> tuple[bytes, bool]:
    """The next part, and whether there may be others. Problem 408 when it is not here in time."""
    try:
        async with asyncio.timeout_at(deadline):
            message = await receive()
    except TimeoutError:
        detail = "The body took too long to arrive. Send it faster, or in smaller requests."
        raise Problem(408, "request_timeout", detail) from None
    if message["type"] != "http.request":
        raise ConnectionError("the client has gone")
    return message.get("body", b""), message.get("more_body", False)


async def _throw_away(receive: ASGIReceiveCallable, most: int) -> None:
    more = True
    with contextlib.suppress(TimeoutError, Problem):
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while more and most >= 0:
            part, more = await _next(receive, deadline)
            most -= len(part)


def _refused(headers: Headers, limit: int) -> Problem | None:
    """Why a body with these headers is refused, whatever it is."""
    return refused_coding(headers) or _too_large(_declared(headers) or 0, limit)


def refused_coding(headers: Headers) -> Problem | None:
    """Problem 501 or 415 for a body that is not sent as it is; None for one that is."""
    transfer = b",".join(v for name, v in headers if name.lower() == b"transfer-encoding")
    if transfer and transfer.strip().lower() != b"chunked":
        detail = "Bodies may be sent in chunks, and in no other way: Transfer-Encoding: chunked."
        return Problem(501, "transfer_encoding_not_supported", detail)
    for name, value in headers:
        if name.lower() == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            detail = "Compressed bodies are not taken. Send it without Content-Encoding."
            return Problem(415, "encoding_not_supported", detail)
    return None


def _too_large(size: int, limit: int) -> Problem | None:
    if size <= limit:
        return None
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
