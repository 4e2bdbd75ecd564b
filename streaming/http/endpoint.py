"""What the HTTP handlers of streams share. They are bare ASGI: a client that waits costs a task on
the event loop, never a thread, and its leaving is seen while it waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from uuid import UUID

import orjson
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict

from runs.errors import Problem
from runs.http import parameters
from runs.http.parameters import Parameter
from runs.http.viewset import unknown
from streaming.hub import hub
from streaming.hub.reader import Closed
from streaming.hub.subscriber import Subscriber, UnknownRun

T = TypeVar("T")

OPENING = 10.0  # seconds from the request in which the database must say what there is


class Endpoint(Protocol):
    """Answers one GET request about the thing with `given_id`. Raises Problem only before it has
    sent anything."""

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The query parameters that it takes."""
        ...

    async def __call__(
        self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked: an id in the path as it was given, the headers, and the values of the query
    parameters by name; and when, by the monotonic clock."""

    given_id: str
    scope: HTTPScope
    values: dict[str, Any]
    asked_at: float = field(default_factory=time.monotonic)

    @property
    def run_id(self) -> UUID:
        """The id; Problem 404 when it is none."""
        run_id = parameters.parse_uuid(self.given_id)
        if run_id is None:
            raise unknown("run", self.given_id)
        return run_id

    def header(self, name: bytes) -> str:
        """The value of the header with this lowercase name; empty when it was not sent."""
        values = [value for key, value in self.scope["headers"] if key.lower() == name]
        return values[-1].decode("latin-1") if values else ""


def read_query(scope: HTTPScope, declared: Sequence[Parameter]) -> dict[str, Any]:
    """The query parameters, as strictly as the rest of the API reads them."""
    try:
        query = QueryDict(scope["query_string"])
    except SuspiciousOperation as error:
        raise Problem(400, "bad_parameter", str(error)) from None
    return parameters.read(query, declared)


@asynccontextmanager
async def subscribed(request: Request, *, after: int) -> AsyncIterator[Subscriber]:
    """A subscriber to the run that was asked for; Problem 404 when there is none, or none any more,
    503 when the database or this process cannot say."""
    opening: AbstractAsyncContextManager[Subscriber] = hub.current().subscribe(
        request.run_id, after=after
    )
    async with or_unavailable(request):
        subscriber = await opening.__aenter__()
    try:
        yield subscriber
    except UnknownRun:
        raise unknown("run", request.given_id) from None
    finally:
        await opening.__aexit__(None, None, None)


@asynccontextmanager
async def or_unavailable(request: Request, *, wait: float = 0.0) -> AsyncIterator[None]:
    """A block that must be done OPENING seconds after the request and its `wait`. Problem 404 when
    the run is not there, 503 when the database or this process cannot say."""
    try:
        async with asyncio.timeout(request.asked_at + OPENING + wait - time.monotonic()):
            yield
    except UnknownRun:
        raise unknown("run", request.given_id) from None
    except (TimeoutError, Closed):
        waiting = "The server cannot look at the moment. Try again in a few seconds."
        detail = hub.current().trouble or waiting
        raise Problem(503, "database_unavailable", detail) from None


async def until_disconnect(receive: ASGIReceiveCallable, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` for as long as the client is there."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_leaving(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.cancel()
        if not working.done():
            working.cancel()
        await asyncio.wait({working, watching})
    if not working.cancelled():
        working.result()


async def _leaving(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass  # a body, which nobody asked for


async def send_json(send: ASGISendCallable, value: object) -> None:
    """Answer 200 with `value`."""
    body = orjson.dumps(value)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send(
        {"type": "http.response.start", "status": 200, "headers": headers, "trailers": False}
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
