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

from fastgraph_site.web import problems
from fastgraph_site.web.create_runs import PATHS
from fastgraph_site.web.overload import RETRY_AFTER
from runs.errors import Problem
from streaming.http import long_poll, waits
from streaming.http.endpoint import read_query, until_disconnect
from streaming.hub.reader import Closed
from streaming.hub.subscriber import UnknownRun

_CREATED = (200, 201)
GRACE_SECONDS = 2.0  # beyond the time, for the database to answer


class WaitForEndMiddleware:
    """Lets `app` create the run, and answers when the run has ended or the time is over. The body
    of the answer is then the current run. Other answers and other requests pass unchanged.

    The run is durable before the wait begins: a client that leaves, or a server that stops, ends
    only the answer.
    """

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http" or not _requests_wait(scope):
            await self._app(scope, receive, send)
            return
        try:
            seconds = read_query(scope, [long_poll.UNTIL_END])["wait"]
        except Problem as problem:
            await problems.answer(problem, scope, send)
            return
        try:
            # Before the run is created: a client that is refused may repeat the request.
            with waits.counted() if seconds else nullcontext():
                await self._create(scope, seconds, receive, send)
        except Problem as problem:
            await problems.answer(problem, scope, send, [RETRY_AFTER])

    async def _create(
        self, scope: HTTPScope, seconds: int, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        response = _BufferedResponse()
        await self._app({**scope, "query_string": _without_wait(scope)}, receive, response.send)
        run_id = response.run_id()
        if run_id is None or not seconds:
            await response.pass_on(send)
            return
        await until_disconnect(receive, _answer(response, run_id, seconds, send))


async def _answer(
    response: _BufferedResponse, run_id: UUID, seconds: int, send: ASGISendCallable
) -> None:
    body = None
    # If the run is deleted meanwhile, or the database is away: the answer to the creation.
    with contextlib.suppress(Closed, UnknownRun, TimeoutError):
        async with asyncio.timeout(seconds + GRACE_SECONDS):
            body = await long_poll.wait_for_end(run_id, seconds)
    await response.pass_on(send, body)


def _requests_wait(scope: HTTPScope) -> bool:
    creates_one = PATHS.get(scope["path"]) is False
    return creates_one and scope["method"] == "POST" and b"wait" in scope["query_string"]


def _without_wait(scope: HTTPScope) -> bytes:
    parts = scope["query_string"].split(b"&")
    return b"&".join(part for part in parts if part.partition(b"=")[0] != b"wait")


class _BufferedResponse:
    """A response that is complete before it is sent."""

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
        """The run that was created; None if the response is not that, or not JSON."""
        if self._start is None or self._start["status"] not in _CREATED:
            return None
        kind = next((v for k, v in self._start["headers"] if k.lower() == b"content-type"), b"")
        if not kind.startswith(b"application/json"):
            return None
        return UUID(orjson.loads(self._body)["run_id"])

    async def pass_on(self, send: ASGISendCallable, run: Mapping[str, Any] | None = None) -> None:
        """Send it, with the current `run` as its body if that is known."""
        if self._start is None:
            return  # the client went before its request was complete
        body = bytes(self._body) if run is None else orjson.dumps(run)
        length = (b"content-length", str(len(body)).encode())
        headers = [(k, v) for k, v in self._start["headers"] if k.lower() != b"content-length"]
        start = {**self._start, "headers": [*headers, length]}
        await send(cast(ASGISendEvent, start))
        await send({"type": "http.response.body", "body": body, "more_body": False})
