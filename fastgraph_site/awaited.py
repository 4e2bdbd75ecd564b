"""`POST /api/runs/?wait=30`: create a run, and answer when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, cast
from uuid import UUID

import orjson
from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
)

from fastgraph_site import problems
from fastgraph_site.creations import PATHS
from fastgraph_site.overload import RETRY_AFTER
from runs.errors import Problem
from streaming import long_poll, waits
from streaming.endpoint import read_query, while_there
from streaming.reader import Closed
from streaming.subscriber import UnknownRun

_MADE = (200, 201)
GRACE = 2.0  # seconds beyond the time, in which the database must say where the run stands


class Awaited:
    """Has `app` create the run, whichever door the request takes, and keeps its answer back until
    the run has ended or the time is over; the answer's body is then the run as it is by then. Any
    other answer, and any other request, goes through as it is.

    The run is durable before the waiting begins: a client that leaves, or a server that stops,
    ends nothing but the answer.
    """

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http" or not _asks_to_wait(scope):
            await self._app(scope, receive, send)
            return
        try:
            seconds = read_query(scope, [long_poll.UNTIL_END])["wait"]
        except Problem as problem:
            await problems.answer(problem, scope, send)
            return
        try:
            # Before the run is made: a client that is refused may ask for it again.
            with waits.counted() if seconds else nullcontext():
                await self._create(scope, seconds, receive, send)
        except Problem as problem:
            await problems.answer(problem, scope, send, [RETRY_AFTER])

    async def _create(
        self, scope: HTTPScope, seconds: int, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        kept = _Kept()
        await self._app({**scope, "query_string": _without_wait(scope)}, receive, kept.send)
        run_id = kept.run_id()
        if run_id is None or not seconds:
            await kept.pass_on(send)
            return
        await while_there(receive, _answer(kept, run_id, seconds, send))


async def _answer(kept: _Kept, run_id: UUID, seconds: int, send: ASGISendCallable) -> None:
    body = None
    # What is known already is answered when it is deleted meanwhile, or the database is away.
    with contextlib.suppress(Closed, UnknownRun, TimeoutError):
        async with asyncio.timeout(seconds + GRACE):
            body = await long_poll.stands_after(run_id, seconds)
    await kept.pass_on(send, body)


def _asks_to_wait(scope: HTTPScope) -> bool:
    one = PATHS.get(scope["path"]) is False
    return one and scope["method"] == "POST" and b"wait" in scope["query_string"]


def _without_wait(scope: HTTPScope) -> bytes:
    parts = scope["query_string"].split(b"&")
    return b"&".join(part for part in parts if part.partition(b"=")[0] != b"wait")


class _Kept:
    """An answer that is kept back."""

    def __init__(self) -> None:
        self._start: Any = None
        self._body = bytearray()

    async def send(self, event: ASGISendEvent) -> None:
        message: Mapping[str, Any] = event
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    def run_id(self) -> UUID | None:
        """The run that the answer is about; None when it is none, or no JSON."""
        if self._start is None or self._start["status"] not in _MADE:
            return None
        kind = next((v for k, v in self._start["headers"] if k.lower() == b"content-type"), b"")
        if not kind.startswith(b"application/json"):
            return None
        return UUID(orjson.loads(self._body)["run_id"])

    async def pass_on(self, send: ASGISendCallable, run: Mapping[str, Any] | None = None) -> None:
        """Send it, about `run` as it is now if that is known."""
        if self._start is None:
            return  # the client went before its request was complete
        body = bytes(self._body) if run is None else orjson.dumps(run)
        length = (b"content-length", str(len(body)).encode())
        headers = [(k, v) for k, v in self._start["headers"] if k.lower() != b"content-length"]
        start = {**self._start, "headers": [*headers, length]}
        await send(cast(ASGISendEvent, start))
        await send({"type": "http.response.body", "body": body, "more_body": False})
