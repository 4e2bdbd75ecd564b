"""uvicorn's WebSocket connection, which also takes messages that are ready to be written."""

from __future__ import annotations

from typing import Any, NoReturn

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from fastgraph_site.web.body_memory import Held
from runs.errors import Problem
from runs.http.problems import MEDIA_TYPE, body_of
from streaming.hub.websocket_bytes import EXTENSION
from streaming.websocket import client_messages

MAX_FRAGMENTS = 1024  # of one message
#: A client that was refused may have sent more: so much of it is taken, and left unread, for so
#: long, or the system would reset the connection, and the client might not see the close code.
IGNORED_BYTES = 8 * 2**20
IGNORED_SECONDS = 1.0
_CODES = {403: "forbidden", 405: "method_not_allowed", 426: "upgrade_required"}


class _ServerProtocol(ServerProtocol):
    """websockets' side of a server. Refuses a handshake with problem details, and a client that
    sends too many frames, as they come: each costs more than its bytes, and one read brings
    thousands."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._allowance = client_messages.frame_limit()
        self._fragments = 0

    def recv_frame(self, frame: Frame) -> None:
        if not self._allowance.spend():
            self._refuse(4429, "too many frames")
        if frame.opcode is Opcode.CONT:
            # Their bytes are limited by `ws_max_size`, but an empty one costs memory, too.
            self._fragments += 1
            if self._fragments >= MAX_FRAGMENTS:
                self._refuse(1009, "too many fragments")
        elif frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._fragments = 0
        super().recv_frame(frame)

    def _refuse(self, code: int, reason: str) -> NoReturn:
        self.fail(code, reason)
        raise ProtocolError(reason)  # ends the parser, which finds the close frame already sent

    def begin(self) -> None:
        """Expect frames: the request has been read by others, and within their limits."""
        self.parser = Protocol.parse(self)
        next(self.parser)

    def reject(self, status: StatusLike, text: str) -> Response:
        response = super().reject(status, text)
        status = response.status_code
        code = _CODES.get(status, "bad_request" if status < 500 else "internal_error")
        detail = text.strip() or "The WebSocket is refused."
        response.body = body_of(Problem(status, code, detail), "")
        response.headers = Headers(
            {
                "Date": response.headers["Date"],
                "Connection": "close",
                "Content-Length": str(len(response.body)),
                "Content-Type": MEDIA_TYPE,
                "Cache-Control": "no-store",
            }
        )
        return response


class WireProtocol(WebSocketsSansIOProtocol):
    """Mends what uvicorn makes of requests that are none, and of refusals.

    Writes the bytes of whole messages as they are, waiting before it while the client does not
    read, as for any other message. What they say is not looked at: whoever sends them made them.
    Only without compression, which would need to see each message."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.conn: _ServerProtocol = _ServerProtocol(
            extensions=self.conn.available_extensions,
            max_size=self.config.ws_max_size,
            logger=self.logger,
        )
        self._held = Held()
        self._refused = False
        self._ignored = 0

    def open(self, request: Request) -> None:
        """Answer the request for a WebSocket. Nothing has been received before it."""
        self.conn.begin()
        self.handle_connect(request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.free()
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent and not self.config.ws_per_message_deflate:
            # The application begins in the loop's next turn.
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = {"write": self.write}

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._ignored += len(data)
            if self._ignored > IGNORED_BYTES:
                self.transport.close()
            return
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            # Not to be understood as a request (a line too long): the answer is ready, unsent.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
            return
        unfinished = len(self.conn.reader.buffer) + sum(map(len, self.frames))
        if unfinished != self._held.size and self._held.add(unfinished - self._held.size):
            self._fail(1013, "too many unfinished messages")

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:  # no socket yet: the client did not wait for the answer
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
            self.close_sent = True
            self.transport.close()
            return
        said = self.conn.close_sent
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": said.code, "reason": said.reason}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self._refused = True
        self.frames = []
        self._held.free()
        self.stop_keepalive()
        self.transport.resume_reading()
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(IGNORED_SECONDS, self.transport.close)

    def handle_cont(self, event: Frame) -> None:
        if not self.close_sent:
            super().handle_cont(event)

    def _fail(self, code: int, reason: str) -> None:
        self.frames = []
        if not self.close_sent:
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # a client that takes no answers gets no more of them

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:  # the client's fault, and no reason for a traceback
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        ready = message.get(EXTENSION)
        if ready is None:
            if self.close_sent and self.handshake_complete:
                raise ClientDisconnected  # closed for rubbish, which the application cannot know
            await super().send(message)
            if self.initial_response is not None and self.close_sent:
                self.handshake_complete = True  # by a refusal: all was said, nothing went wrong
            return
        if not self.writable.is_set():
            await self.writable.wait()
        if self.disconnected or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        self.transport.write(ready)

    def write(self, ready: bytes) -> bool:
        """Write the bytes of whole messages now. False, and nothing is written, when the client
        does not read, or is gone."""
        if (
            not self.writable.is_set()
            or self.disconnected
            or self.conn.state is not State.OPEN
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(ready)
        return True
