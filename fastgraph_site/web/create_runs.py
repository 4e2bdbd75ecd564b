"""The hot path of the API: requests that create runs, past Django and many in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from django.db import close_old_connections

from fastgraph_site.web.body_limit import replay
from runs.api.create_run import CreateHttpRequest, HttpAnswer, answer, answer_all
from runs.db.threads import DatabaseThreads

#: So many requests share a transaction at most.
MAX_GROUP = 200
#: A larger body goes to Django: reading and checking it takes long, and others would wait for it.
MAX_BODY_BYTES = 64 * 1024

#: The paths where runs are created, by whether they take a batch.
PATHS = {
    "/api/runs": False,
    "/api/runs/": False,
    "/api/runs/batch": True,
    "/api/runs/batch/": True,
}
_ALLOW = {False: b"GET, POST, HEAD, OPTIONS", True: b"POST, OPTIONS"}
_ACCEPTED = (b"*/*", b"application/json")
#: What Django's middleware adds to each answer, and what DRF's negotiation does.
_ALWAYS = [
    (b"vary", b"Accept"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
#: Requests with credentials are for Django.
_CREDENTIALS = frozenset({b"authorization", b"cookie"})
_SINGLE_HEADERS = frozenset({b"accept", b"content-type", b"idempotency-key"})
_FORMS = (b"multipart/", b"application/x-www-form-urlencoded")

_Waiting: TypeAlias = "tuple[CreateHttpRequest, asyncio.Future[HttpAnswer]]"


class CreateRunsMiddleware:
    """Answers plain requests that create runs as Django would, and hands all others to `app`.

    It belongs behind the guard and behind BodyLimit. Requests that arrive during a transaction
    share the next one. `close` ends its thread.
    """

    def __init__(
        self,
        app: ASGI3Application,
        answer_all: Callable[[Sequence[CreateHttpRequest]], list[HttpAnswer]] = answer_all,
    ) -> None:
        self._app = app
        self._answer_all = answer_all
        self._threads = DatabaseThreads("create-runs", 1)
        self._waiting: list[_Waiting] = []
        self._working: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close the thread's database connection and end the thread."""
        await self._threads.close()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http" or not is_plain(scope):
            await self._app(scope, receive, send)
            return
        message = await receive()
        if message["type"] != "http.request":
            return
        if len(message["body"]) > MAX_BODY_BYTES:
            await self._app(scope, replay(message["body"], receive), send)
            return
        many = PATHS[scope["path"]]
        request = CreateHttpRequest(
            path=scope["path"], body=message["body"], key=_key(scope), many=many
        )
        await _send(await self._wait(request), _ALLOW[many], send)

    async def _wait(self, request: CreateHttpRequest) -> HttpAnswer:
        future: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                await self._answer(group)
        finally:
            self._working = None

    async def _answer(self, group: list[_Waiting]) -> None:
        requests = [request for request, _ in group]
        try:
            answers = await self._threads.run(self._create, requests)
        except Exception as error:
            answers = [answer(request, error) for request in requests]
        for (_, future), result in zip(group, answers, strict=True):
            if not future.done():
                future.set_result(result)

    def _create(self, requests: Sequence[CreateHttpRequest]) -> list[HttpAnswer]:
        close_old_connections()  # as Django does before each request: a broken one is replaced
        return self._answer_all(requests)


def is_plain(scope: HTTPScope) -> bool:
    """Whether a request creates runs and asks for nothing that only Django can do: no parameters,
    pages, forms or credentials."""
    if scope["method"] != "POST" or scope["path"] not in PATHS:
        return False
    if scope["query_string"] or scope.get("root_path") or not scope.get("client"):
        return False
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        name = name.lower()
        if name in _CREDENTIALS or (name in _SINGLE_HEADERS and name in headers):
            return False
        headers[name] = value
    kind = headers.get(b"content-type", b"").lower()
    return headers.get(b"accept", b"*/*") in _ACCEPTED and not kind.startswith(_FORMS)


def _key(scope: HTTPScope) -> str | None:
    for name, value in scope["headers"]:
        if name.lower() == b"idempotency-key":
            return value.decode("latin-1")
    return None


async def _send(answer: HttpAnswer, allow: bytes, send: ASGISendCallable) -> None:
    own = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers.items()
    ]
    length = (b"content-length", str(len(answer.body)).encode())
    headers = [*own, (b"allow", allow), length, *_ALWAYS]
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": headers,
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
