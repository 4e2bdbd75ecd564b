"""The way of HTTP streams past Django: they wait on the event loop and take no thread."""

from __future__ import annotations

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

from fastgraph_site.web import problems
from runs.errors import Problem
from streaming import routing

MORE_HEADERS = {405: [(b"allow", b"GET")], 503: [(b"retry-after", b"2")]}


class Streams:
    """Answers requests for streams itself, and hands all others to `app`."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        found = routing.find(scope) if scope["type"] == "http" else None
        if found is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await routing.answer(found, scope, receive, send)
        except Problem as problem:
            await problems.answer(problem, scope, send, MORE_HEADERS.get(problem.status, ()))
