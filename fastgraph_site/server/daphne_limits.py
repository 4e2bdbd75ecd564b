"""What daphne can be told of our limits.

Twisted limits a head to 16 KiB and 500 headers by itself, and no number of connections. Its timeout
is for silence, so a client that sends a byte now and then stays, and the application sees a request
when its body is complete: without what is here, any body would go to a temporary file first.
"""

from __future__ import annotations

import asyncio
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.conf import settings

from fastgraph_site.server.uvicorn_http import response_of
from fastgraph_site.web.hosts import refused_target
from fastgraph_site.web.overload import SeldomLog, too_many_connections
from runs.errors import Problem
from streaming.websocket import client_messages


class LimitedRequest(WebRequest):
    """Ends the connection of a body that is larger than any that would be taken, of a request whose
    target names another host than its Host header, and of an answer that breaks off: daphne itself
    would leave that open, and the client waiting."""

    _size = 0

    def process(self) -> Any:
        hosts = [v.decode("latin-1") for v in self.requestHeaders.getRawHeaders(b"host", [])]
        if problem := refused_target(self.uri.decode("latin-1"), hosts, "http"):
            return self._end(problem)
        outcome = super().process()
        application = self.server.connections.get(self, {}).get("application_instance")
        if application is not None:
            application.add_done_callback(self._application_ended)
        return outcome

    def _application_ended(self, application: asyncio.Task[None]) -> None:
        if self._response_started:
            self._break_off()
        elif not application.cancelled() and application.exception() is None:
            self._answer_for_none()

    def handle_exception(self, exception: BaseException) -> None:
        if self._response_started:  # daphne would send a second answer, and fail
            self._break_off()
        else:
            super().handle_exception(exception)

    def _break_off(self) -> None:
        """End the connection, unless the answer is complete: what was written still goes out, and
        the client sees that the rest is missing."""
        if not self.finished and self.channel is not None:
            self.channel.loseConnection()

    def _answer_for_none(self) -> None:
        if not self.finished and self.channel is not None:
            self.basic_error(500, b"Internal Server Error", "There is no answer.")

    def handleContentChunk(self, data: bytes) -> None:
        self._size += len(data)
        limit = settings.FASTGRAPH["max_body_bytes"]
        if self._size <= limit:
            super().handleContentChunk(data)
        elif self._size - len(data) <= limit:
            detail = f"The body is larger than {limit:,} bytes."
            self._end(Problem(413, "body_too_large", detail))

    def _end(self, problem: Problem) -> None:
        self.channel.transport.write(response_of(problem))
        self.channel.loseConnection()


class LimitedFactory(HTTPFactory):
    """Makes connections with such requests, which end after FASTGRAPH_HEADER_SECONDS of silence
    while a request is to come. One beyond `most` is told 503 and ends."""

    def __init__(self, server: Any, most: int) -> None:
        super().__init__(server)
        self._most = most
        self._open = 0
        self._log = SeldomLog(
            f"%s connections were refused: {most} are open (FASTGRAPH_MAX_CONNECTIONS)"
        )
        self.timeOut = settings.FASTGRAPH["header_seconds"]

    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = LimitedRequest
        connect = protocol.makeConnection

        def counted(transport: Any) -> None:
            connect(transport)
            self._count(transport)

        protocol.makeConnection = counted
        return protocol

    def _count(self, transport: Any) -> None:
        """A connection has come. Its transport stays when it becomes a WebSocket."""
        self._open += 1
        lose = transport.connectionLost

        def lost(*reason: Any) -> None:
            self._open -= 1
            lose(*reason)

        transport.connectionLost = lost
        if self._open > self._most:
            self._log.count()
            transport.write(response_of(too_many_connections()))
            transport.loseConnection()


class LimitedSocket(WebSocketProtocol):
    """Closes with 4429 for too many frames, as they come: pings, pongs and fragments, too. What
    comes after that is not looked at; what is sent to a closed one is left out."""

    _refused = False

    def onConnect(self, request: Any) -> Any:
        self._allowance = client_messages.frame_limit()
        return super().onConnect(request)

    def onFrameBegin(self) -> None:
        if self._allowance.spend():
            super().onFrameBegin()
            return
        self._refused = True
        self.data = b""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=4429, reasonUtf8=b"too many frames")
        else:
            self.dropConnection(abort=False)

    def processData(self) -> bool:
        return not self._refused and bool(super().processData()) and not self._refused

    def serverSend(self, content: Any, binary: bool = False) -> None:
        if self.state in (self.STATE_CONNECTING, self.STATE_OPEN):  # else autobahn raises
            super().serverSend(content, binary)

    def _dataReceived(self, data: bytes) -> None:
        if not self._refused:
            super()._dataReceived(data)


class LimitedSocketFactory(WebSocketFactory):
    """Makes sockets with that limit."""

    protocol = LimitedSocket
