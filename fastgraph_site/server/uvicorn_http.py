"""uvicorn's HTTP connection, with limits: of the request's head, of its time, of pipelining.

uvicorn's own keeps whatever a client sends as a head, adding piece to piece (the cost is
quadratic), for as long as the client likes.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from websockets.datastructures import Headers
from websockets.http11 import Request

from fastgraph_site.server.admission import RESERVE, Admission
from fastgraph_site.server.uvicorn_websocket import WireProtocol
from fastgraph_site.web.hosts import refused_target
from fastgraph_site.web.overload import OnlyHealth, too_many_connections
from runs.errors import Problem
from runs.http.problems import MEDIA_TYPE, RETRY, body_of

MAX_HEADERS = 500
MAX_PIPELINED = 100  # requests that wait for the answers to those before them
LINGER = 2.0  # seconds in which a client may still send, so that it can read why it is refused

_IDLE, _HEAD, _BODY = range(3)
_UPGRADE = (b"connection", b"upgrade", b"http2-settings")
_BODY_HEADERS = (b"content-length", b"transfer-encoding")


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, and what all of our connections share."""

    def __init__(self, *args: Any, admission: Admission, **more: Any) -> None:
        super().__init__(*args, **more)
        self.admission = admission


class _Refused(Exception):
    """Raised in a callback of the parser; carries the Problem to answer with."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class HttpProtocol(HttpToolsProtocol):
    """Answers 431 and 414 as soon as a head is too large, 408 when it takes too long, and 503 to
    those who come when there are too many connections. Trailers are read and left out."""

    config: ServerConfig

    def __init__(self, config: ServerConfig, *args: Any, **more: Any) -> None:
        super().__init__(config, *args, **more)
        self._admission = config.admission
        self._limits = config.admission.limits
        self._state = _IDLE
        self._head_bytes = 0  # of the headers, or trailers, that are known
        self._unparsed = 0  # bytes since the parser last told of anything but headers
        self._progress = False
        self._refused = False
        self._head_again = b""  # of a request whose body the parser would take for a protocol

    # --- connections ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        total = len(self.connections)
        if self._admission.admit(self, total, self.loop.time()):
            return
        if total > self._limits.connections + RESERVE:
            self._refuse(too_many_connections(), linger=False)
        else:
            self.app = OnlyHealth(self.app)
            self._admission.await_head(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        self._admission.served(self)
        super().connection_lost(exc)

    def time_out(self) -> None:
        if self._unparsed:
            detail = "The head of the request took too long. Send it at once."
            self._refuse(Problem(408, "request_timeout", detail), linger=False)
        else:
            self.transport.close()  # a client that has asked for nothing expects no answer

    def give_way(self) -> None:
        if self._unparsed:
            self._refuse(too_many_connections(), linger=False)
        else:
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Hand the request to the WebSocket protocol as it was read here: websockets' own parser
        has other limits."""
        if isinstance(self.app, OnlyHealth):
            self._refuse(too_many_connections())
            return
        if not self.url.isascii():
            self._refuse(_not_http())
            return
        if self._has_body():
            detail = "The request for a WebSocket may not have a body."
            self._refuse(Problem(400, "bad_request", detail))
            return
        request = Request(
            self.url.decode(),
            Headers([(n.decode("latin-1"), v.decode("latin-1")) for n, v in self.headers]),
            self.scope["method"],
        )
        self.connections.discard(self)
        protocol = WireProtocol(self.config, self.server_state, self.app_state)
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        protocol.open(request)

    # --- bytes ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._progress = False
        try:
            if self._parse(data):
                self.handle_websocket_upgrade()
                return
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.problem if isinstance(cause, _Refused) else _not_http())
            return
        self._unparsed = 0 if self._progress else self._unparsed + len(data)
        if self._unparsed > self._limits.header_bytes:
            self._refuse(self._too_large())
        elif not self._serves():
            # Nobody is being served, and the keep-alive timer has just been stopped.
            self._admission.await_head(self, self.loop.time())

    def _parse(self, data: bytes) -> bool:
        """Feed the parser. True when the request is for a WebSocket."""
        while data:
            try:
                self.parser.feed_data(data)
                return False
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    return True
                # To another protocol, which is not spoken here: HTTP goes on.
                data = data[upgrade.args[0] :]
                if self._head_again:
                    data, self._head_again = self._head_again + data, b""
                    self.parser = httptools.HttpRequestParser(self)
        return False

    def _head_without_upgrade(self) -> bytes:
        """The head of the present request as it is when the wish for another protocol is ignored
        (RFC 9110, 7.8). httptools takes whatever follows such a wish for that protocol, and would
        leave the body to it."""
        kept = [b"%b: %b" % one for one in self.headers if one[0] not in _UPGRADE]
        if b"close" in b",".join(value for name, value in self.headers if name == b"connection"):
            kept.append(b"connection: close")
        line = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        return b"\r\n".join([line, *kept, b"", b""])

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _Refused(too_many_connections())  # never sent: those before it are answered
        super().on_message_begin()
        self._state = _HEAD
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.url_bytes:
            raise _Refused(self._too_large())

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._limits.header_bytes or len(self.headers) >= MAX_HEADERS:
            raise _Refused(self._too_large())
        if self._state == _HEAD:  # and not a trailer, which the guard would not have seen
            # The parser leaves the blanks behind a value, which are no part of it (RFC 9110, 5.5).
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        hosts = [value.decode("latin-1") for name, value in self.headers if name == b"host"]
        if problem := refused_target(self.url.decode("latin-1"), hosts, "http"):
            raise _Refused(problem)
        if self.parser.should_upgrade() and not self._should_upgrade() and self._has_body():
            self._head_again = self._head_without_upgrade()
            return
        super().on_headers_complete()
        self._admission.served(self)
        self._state = _BODY
        self._progress = True
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)

    def on_chunk_header(self) -> None:
        self._progress = True

    def on_chunk_complete(self) -> None:
        self._progress = True

    def on_message_complete(self) -> None:
        if self._head_again:
            return  # it begins anew
        self._state = _IDLE
        self._progress = True
        super().on_message_complete()

    def _serves(self) -> bool:
        """Whether a request is being answered, or waits for that."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _has_body(self) -> bool:
        return any(name in _BODY_HEADERS and value != b"0" for name, value in self.headers)

    def _asks_for_head(self) -> bool:
        """Whether the method of the present request is known, and is HEAD."""
        known = self._state == _BODY or (self._state == _HEAD and self.url)
        return bool(known) and self.parser.get_method() == b"HEAD"

    # --- refusals ---------------------------------------------------------------------------------

    def _too_large(self) -> Problem:
        if self._state == _BODY:
            return Problem(400, "bad_request", "There is too much between the parts of the body.")
        if self._state == _HEAD and len(self.url) > self._limits.url_bytes:
            detail = f"The URL is longer than {self._limits.url_bytes:,} bytes."
            return Problem(414, "url_too_long", f"{detail} Raise FASTGRAPH_MAX_URL_BYTES.")
        detail = (
            f"The request has more than {self._limits.header_bytes:,} bytes of headers, or more"
            f" than {MAX_HEADERS} of them. Send fewer, or raise FASTGRAPH_MAX_HEADER_BYTES."
        )
        return Problem(431, "headers_too_large", detail)

    def _refuse(self, problem: Problem, *, linger: bool = True) -> None:
        """Answer with `problem` and end the connection. Requests before this one are answered
        first; the answer to this one is left out then."""
        self._refused = True
        self._admission.served(self)
        if self._serves():
            cycle = self.cycle
            if self._state != _BODY:
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # the rest of its body never comes
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.close()
                return
        self.transport.write(response_of(problem, with_body=not self._asks_for_head()))
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(LINGER, self.transport.close)
        else:
            self.transport.close()


def _not_http() -> Problem:
    return Problem(400, "bad_request", "This is not a request of HTTP/1.1.")


def response_of(problem: Problem, *, with_body: bool = True) -> bytes:
    """The whole answer. It names no path, which may not be known."""
    body = body_of(problem, "")
    status = HTTPStatus(problem.status)
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Connection": "close",
        **(RETRY if status == HTTPStatus.SERVICE_UNAVAILABLE else {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode() + body * with_body
