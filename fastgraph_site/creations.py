"""The hot path of the API: requests that create runs, past Django and many in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from django.db import close_old_connections

from fastgraph_site.body import replay
from runs.api.creating import Answer, Asked, answer, answer_all
from streaming.threads import DatabaseThreads

#: Requests that share a transaction at most.
TOGETHER = 200
#: A larger body goes Django's way: to read and check it takes long, and others would wait for it.
LARGEST = 64 * 1024

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
#: Who says who they are, or was logged in, is for Django to know.
_CREDENTIALS = frozenset({b"authorization", b"cookie"})
_SAID_ONCE = frozenset({b"accept", b"content-type", b"idempotency-key"})
_FORMS = (b"multipart/", b"application/x-www-form-urlencoded")

_Waiting: TypeAlias = "tuple[Asked, asyncio.Future[Answer]]"


class Creations:
    """Answers plain requests that create runs as Django would, and hands all others to `app`.

    To be put behind the guard and behind BodyLimit. Requests that come while a transaction is
    under way share the next one. `close` ends its thread.
    """

    def __init__(
        self,
        app: ASGI3Application,
        answer_all: Callable[[Sequence[Asked]], list[Answer]] = answer_all,
    ) -> None:
        self._app = app
        self._answer_all = answer_all
        self._threads = DatabaseThreads("creations", 1)
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
        if len(message["body"]) > LARGEST:
            await self._app(scope, replay(message["body"], receive), send)
            return
        many = PATHS[scope["path"]]
        asked = Asked(path=scope["path"], body=message["body"], key=_key(scope), many=many)
        await _send(await self._wait(asked), _ALLOW[many], send)

    async def _wait(self, asked: Asked) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
                await self._settle(group)
        finally:
            self._working = None

    async def _settle(self, group: list[_Waiting]) -> None:
        asked = [one for one, _ in group]
        try:
            answers = await self._threads.run(self._afresh, asked)
        except Exception as error:
            answers = [answer(one, error) for one in asked]
        for (_, future), one in zip(group, answers, strict=True):
            if not future.done():
                future.set_result(one)

    def _afresh(self, asked: Sequence[Asked]) -> list[Answer]:
        close_old_connections()  # as before each request of Django's: one that broke is made anew
        return self._answer_all(asked)


def is_plain(scope: HTTPScope) -> bool:
    """Whether a request creates runs and asks for nothing that only Django can do: no parameters,
    pages, forms or credentials."""
    if scope["method"] != "POST" or scope["path"] not in PATHS:
        return False
    if scope["query_string"] or scope.get("root_path") or not scope.get("client"):
        return False
    said: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        name = name.lower()
        if name in _CREDENTIALS or (name in _SAID_ONCE and name in said):
            return False
        said[name] = value
    kind = said.get(b"content-type", b"").lower()
    return said.get(b"accept", b"*/*") in _ACCEPTED and not kind.startswith(_FORMS)


def _key(scope: HTTPScope) -> str | None:
    for name, value in scope["headers"]:
        if name.lower() == b"idempotency-key":
            return value.decode("latin-1")
    return None


async def _send(told: Answer, allow: bytes, send: ASGISendCallable) -> None:
    own = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in told.headers.items()
    ]
    length = (b"content-length", str(len(told.body)).encode())
    headers = [*own, (b"allow", allow), length, *_ALWAYS]
    await send(
        {
            "type": "http.response.start",
            "status": told.status,
            "headers": headers,
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": told.body, "more_body": False})
