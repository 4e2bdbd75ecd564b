"""uvicorn's WebSocket connection, which also takes messages that are ready to be written."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from streaming.wire import EXTENSION


class WireProtocol(WebSocketsSansIOProtocol):
    """Mends what uvicorn makes of requests that are none, and of refusals.

    Writes the bytes of whole messages as they are, waiting before it while the client does not
    read, as for any other message. What they say is not looked at: whoever sends them made them.
    Only without compression, which would need to see each message."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent and not self.config.ws_per_message_deflate:
            # The application begins in the loop's next turn.
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = {"write": self.write}

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            # Not to be understood as a request (a line too long): the answer is ready, unsent.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:  # no socket yet: the client did not wait for the answer
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
            self.close_sent = True
            self.transport.close()
            return
        super().handle_parser_exception()

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
