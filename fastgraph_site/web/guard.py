"""Who may speak to the web process while there are no logins: the local user, and no web page of
another site in the local user's browser."""

from __future__ import annotations

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPScope,
    Scope,
    WebSocketScope,
)
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from fastgraph_site.web import problems
from fastgraph_site.web.body_limit import refused_coding
from fastgraph_site.web.forwarding import is_forwarding
from fastgraph_site.web.hosts import host_of, refused_target, with_port
from fastgraph_site.web.local_user import is_loopback
from runs.errors import Problem

READING = ("GET", "HEAD")
#: Headers that mean something once. Joined by a comma they would mean another thing.
SAID_ONCE = (b"authorization", b"content-type", b"idempotency-key", b"last-event-id")


class Guard:
    """Lets requests and sockets through to `app`, or refuses them.

    The Host must be an allowed one (a site that points its own name here is refused: DNS
    rebinding), and a target that is a whole URL must name the same. A browser says where a request
    comes from: an Origin other than this server, or a cross-site request that could change
    something, is refused. What sends no Origin is no browser page, but a program of the local user.
    A forwarded request is somebody else's. Headers that mean something once are refused when they
    are repeated.
    """

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        problem = refusal(scope)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problems.answer(problem, scope, send)


def refusal(scope: HTTPScope | WebSocketScope) -> Problem | None:
    """Why this request is refused; None when it is not."""
    headers: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value.decode("latin-1"))
    return (
        _refused_peer(scope)
        or _refused_proxy(headers)
        or _refused_host(headers)
        or _refused_target(headers, scope)
        or _refused_origin(headers, scope.get("scheme", "http"))
        or _refused_site(headers, scope)
        or _refused_repetition(headers)
        or _refused_body(scope)
    )


def _refused_peer(scope: HTTPScope | WebSocketScope) -> Problem | None:
    if not is_loopback(settings.HOST):
        detail = (
            f"This server is bound to {settings.HOST} and has no logins yet, so it answers nobody. "
            "Bind it to 127.0.0.1 (HOST)."
        )
        return Problem(403, "not_local", detail)
    peer = scope.get("client")
    if peer is not None and not is_loopback(peer[0]):
        detail = "Until logins exist, this server answers its own machine only."
        return Problem(403, "not_local", detail)
    return None


def _refused_proxy(headers: dict[bytes, list[str]]) -> Problem | None:
    if any(is_forwarding(name.decode("latin-1")) for name in headers):
        detail = (
            "This request came through a proxy. Without logins the server is open to the user of "
            "its own machine only; ask it directly at its loopback address."
        )
        return Problem(403, "forwarded", detail)
    return None


def _refused_host(headers: dict[bytes, list[str]]) -> Problem | None:
    hosts = headers.get(b"host", [])
    domain = split_domain_port(hosts[0])[0] if len(hosts) == 1 else ""
    if domain and validate_host(domain, settings.ALLOWED_HOSTS):
        return None
    detail = (
        "The Host header does not name this server. Use 127.0.0.1 or localhost, or add the name "
        "to FASTGRAPH_ALLOWED_HOSTS."
    )
    return Problem(400, "host_not_allowed", detail)


def _refused_target(
    headers: dict[bytes, list[str]], scope: HTTPScope | WebSocketScope
) -> Problem | None:
    """Servers whose scope has the whole target as its path. Ours has checked it before."""
    target = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    return refused_target(target, headers[b"host"], scope.get("scheme", "http"))


def _refused_origin(headers: dict[bytes, list[str]], scheme: str) -> Problem | None:
    host = with_port(headers[b"host"][0], scheme)
    for origin in headers.get(b"origin", []):
        if host_of(origin) != host:
            detail = "Pages of another origin may not use this server."
            return Problem(403, "foreign_origin", detail)
    return None


def _refused_site(
    headers: dict[bytes, list[str]], scope: HTTPScope | WebSocketScope
) -> Problem | None:
    reading = scope["type"] == "http" and scope["method"] in READING
    if "cross-site" in headers.get(b"sec-fetch-site", []) and not reading:
        return Problem(403, "foreign_origin", "Pages of another site may not use this server.")
    return None


def _refused_repetition(headers: dict[bytes, list[str]]) -> Problem | None:
    for name in SAID_ONCE:
        if len(headers.get(name, ())) > 1:
            shown = name.decode().title()
            detail = f"The header {shown} is there more than once. Send it once."
            return Problem(400, "repeated_header", detail)
    return None


def _refused_body(scope: HTTPScope | WebSocketScope) -> Problem | None:
    """A body that nobody reads is not looked at by BodyLimit."""
    if scope["type"] == "websocket" or scope["method"] in READING:
        return refused_coding(scope["headers"])
    return None
