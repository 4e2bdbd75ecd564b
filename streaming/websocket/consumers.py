"""The WebSockets: one run's events, and the feed of run changes.

Close codes: 1000 the run has ended and everything was sent · 1009 a message of the client is too
big · 1011 an error of the server · 1012 the server restarts, come again · 1013 the client reads too
slowly, begin anew · 4400 the address makes no sense · 4404 there is no such run (any more), or no
such socket · 4429 too many messages, frames or subscriptions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import orjson
from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer

from streaming.hub import hub, websocket_bytes
from streaming.hub.frame_batch import FrameBatch
from streaming.hub.reader import Closed
from streaming.hub.run_feed import FeedSubscriber, SubscriberTooSlow
from streaming.hub.subscriber import Subscriber, UnknownRun
from streaming.hub.tasks import run_until_first_ends
from streaming.websocket.commands import Commands
from streaming.websocket.session import Session
from streaming.websocket.url_params import CloseSocket, parse_feed, parse_run

logger = logging.getLogger(__name__)

PROTOCOL = 1
READY = orjson.dumps({"event": "ready", "protocol": PROTOCOL})
MAX_MESSAGE_LENGTH = 64 * 1024  # characters or bytes that a client may send at once
MAX_REASON_BYTES = 123  # bytes: what RFC 6455 has room for


class StreamConsumer(AsyncWebsocketConsumer):
    """A socket that accepts, runs `stream`, and closes with a code.

    The stream runs in a task of its own, so that a client that leaves is noticed while it waits;
    the task ends with the socket, however that ends.
    """

    channel_layer_alias = None  # no channel of its own: the hub listens for all

    _task: asyncio.Task[None] | None = None
    _closing = False

    async def stream(self) -> None:
        """Send everything. Returns at the end; raises CloseSocket to close with another code."""
        raise NotImplementedError

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._end()

    async def dispatch(self, message: Any) -> None:
        # Not Channels' own, which goes to a thread first to close what nothing here ever opens.
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        await self.accept()
        self._task = asyncio.create_task(self._stream_and_close())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = text_data or bytes_data or ""
        if self._closing:
            return  # the client sent it before it knew
        try:
            if len(message) > MAX_MESSAGE_LENGTH:
                raise CloseSocket(1009, "messages may have 64 KiB")
            self.on_message(message)
        except CloseSocket as refused:
            await self._end()
            await self._close(refused.code, refused.reason)

    def on_message(self, message: str | bytes) -> None:
        """Take a message of the client; here they are ignored. Raises CloseSocket to close."""

    async def send_body(self, body: bytes) -> None:
        """Send one message."""
        await self.send(text_data=body.decode())

    async def send_frames(self, frames: FrameBatch) -> None:
        """Send each as a message; return when there is room for more."""
        if websocket_bytes.supports_raw(self.scope):
            for piece in frames.cached(websocket_bytes.messages):
                await self.base_send({"type": "websocket.send", websocket_bytes.EXTENSION: piece})
        else:
            for frame in frames:
                await self.send(text_data=frame.body.decode())

    async def _stream_and_close(self) -> None:
        try:
            await self.stream()
            await self._close(1000, "")
        except CloseSocket as refused:
            await self._close(refused.code, refused.reason)
        except Closed:
            await self._close(1012, "the server is restarting")
        except SubscriberTooSlow:
            await self._close(1013, "too many changes were waiting")
        except OSError:
            pass  # the client has gone while something was sent to it
        except Exception:
            logger.exception("A stream failed.")
            await self._close(1011, "")

    async def _close(self, code: int, reason: str) -> None:
        if self._closing:
            return
        self._closing = True
        short = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        with contextlib.suppress(OSError):
            await self.close(code, short)

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None


class SessionConsumer(StreamConsumer):
    """A socket that greets with the version of the protocol and answers the messages of the client
    (`streaming/websocket/session.py`)."""

    subscribing = False  # whether the client may subscribe to runs

    def __init__(self, commands: Commands | None = None) -> None:
        super().__init__()
        self.commands = commands

    async def connect(self) -> None:
        self._session = Session(self, self.scope, self.commands, subscribing=self.subscribing)
        await super().connect()

    def on_message(self, message: str | bytes) -> None:
        self._session.receive(message)

    async def serve(self, *works: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Greet, and do `works` beside the session, until one of them ends or raises."""
        try:
            await self._session.send(READY)
            await run_until_first_ends(self._session.run(), *(work() for work in works))
        finally:
            await self._session.close()


class RunConsumer(SessionConsumer):
    """A `ready` frame, then every event of one run after `?after=`: past ones, then live ones, the
    terminal one last."""

    async def stream(self) -> None:
        query = parse_run(self.scope["url_route"]["kwargs"]["run_id"], self.scope["query_string"])
        direct_write = websocket_bytes.raw_writer(self.scope)
        subscribing = hub.current().subscribe(
            query.run_id, after=query.after, direct_write=direct_write
        )
        try:
            async with subscribing as subscriber:
                await self.serve(partial(self._send_all, subscriber))
        except UnknownRun:
            raise CloseSocket(4404, "there is no such run") from None

    async def _send_all(self, subscriber: Subscriber) -> None:
        while frames := await subscriber.next():
            await self.send_frames(frames)


class FeedConsumer(SessionConsumer):
    """A `ready` frame, then the summary of each run that is created or changes; and the runs that
    the client subscribes to."""

    subscribing = True

    async def stream(self) -> None:
        query = parse_feed(self.scope["query_string"])
        if not query.enabled:
            await self.serve()
            return
        async with hub.current().feed.subscribe(query.filter) as changes:
            await self.serve(partial(self._send_changes, changes))

    async def _send_changes(self, changes: FeedSubscriber) -> None:
        while True:
            for body in await changes.next():
                await self._session.send(body)


class UnknownConsumer(StreamConsumer):
    """Any other address."""

    async def stream(self) -> None:
        raise CloseSocket(4404, "there is no socket at this address")
