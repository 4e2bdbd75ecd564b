"""The addresses of the WebSockets and of the HTTP streams, each with and without its slash."""

from __future__ import annotations

import re

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from channels.routing import URLRouter
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict
from django.urls import re_path

from runs.errors import Problem
from streaming.http.endpoint import Endpoint, Request, read_query
from streaming.http.long_poll import RunEvents, RunWait
from streaming.http.run_events import RunStream
from streaming.http.thread_events import ThreadStream
from streaming.websocket.commands import Commands
from streaming.websocket.consumers import FeedConsumer, RunConsumer, UnknownConsumer


def sockets(commands: Commands | None = None) -> URLRouter:
    """The WebSockets. Without `commands` a client can look, and do nothing."""
    return URLRouter(
        [
            re_path(r"^api/ws/?$", FeedConsumer.as_asgi(commands=commands)),
            re_path(r"^api/ws/(?P<run_id>[^/]+)/?$", RunConsumer.as_asgi(commands=commands)),
            re_path(r"", UnknownConsumer.as_asgi()),
        ]
    )


ENDPOINTS: dict[str, Endpoint] = {
    "/api/runs/{run_id}/stream": RunStream(),
    "/api/runs/{run_id}/wait": RunWait(),
    "/api/threads/{thread_id}/stream": ThreadStream(),
}
EVENTS = RunEvents()
_PATTERNS = [
    (re.compile(re.sub(r"\{\w+\}", "([^/]+)", path) + "/?"), endpoint)
    for path, endpoint in ENDPOINTS.items()
]
_EVENTS_PATH = re.compile("/api/runs/([^/]+)/events/?")


def find(scope: HTTPScope) -> tuple[Endpoint, str] | None:
    """Who answers this request here, and the id in its path; None: it is not for us."""
    for pattern, endpoint in _PATTERNS:
        if match := pattern.fullmatch(scope["path"]):
            return endpoint, match[1]
    # Without `wait` there is nothing to wait for, and the rest of the API answers as ever.
    if scope["method"] == "GET" and b"wait" in scope["query_string"]:
        match = _EVENTS_PATH.fullmatch(scope["path"])
        if match and _waits(scope["query_string"]):
            return EVENTS, match[1]
    return None


def _waits(query: bytes) -> bool:
    try:
        return "wait" in QueryDict(query)
    except SuspiciousOperation:
        return True  # too many parameters, which the endpoint answers


async def answer(
    found: tuple[Endpoint, str],
    scope: HTTPScope,
    receive: ASGIReceiveCallable,
    send: ASGISendCallable,
) -> None:
    """Answer the request for which `find` found somebody. Raises Problem, and has sent nothing
    then."""
    endpoint, given_id = found
    if scope["method"] != "GET":
        raise Problem(405, "method_not_allowed", f"{scope['method'][:20]} is not possible here.")
    values = read_query(scope, endpoint.parameters)
    await endpoint(Request(given_id=given_id, scope=scope, values=values), receive, send)
