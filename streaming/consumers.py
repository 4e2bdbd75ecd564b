"""The WebSockets: one run's events, and the feed of run changes.

Close codes: 1000 the run has ended and everything was sent · 1009 a message of the client is too
big · 1011 a fault of ours · 1012 the server restarts, come again · 1013 the client reads too
slowly, begin anew · 4400 the address makes no sense · 4404 there is no such run (any more), or no
such socket · 4429 too many messages, or too many subscriptions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer

from streaming import hub
from streaming.conversation import Conversation, together
from streaming.feed import FeedSubscriber, Lagging
from streaming.queries import Refused, parse_feed, parse_run
from streaming.reader import Closed
from streaming.subscriber import UnknownRun

logger = logging.getLogger(__name__)

PROTOCOL = 1
LONGEST_MESSAGE = 64 * 1024  # characters or bytes that a client may send at once


class StreamConsumer(AsyncWebsocketConsumer):
    """A socket that accepts, sends what `stream` gives, and closes with a code.

    The stream runs in a task of its own, so that a client that leaves is noticed while it waits;
    the task ends with the socket, however that ends.
    """

    channel_layer_alias = None  # no channel of its own: the hub listens for all

    _task: asyncio.Task[None] | None = None

    async def stream(self) -> None:
        """Send everything. Returns when there is no more; raises Refused to close otherwise."""
        raise NotImplementedError

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._end()

    async def connect(self) -> None:
        await self.accept()
        self._task = asyncio.create_task(self._stream_and_close())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = text_data or bytes_data or ""
        try:
            if len(message) > LONGEST_MESSAGE:
                raise Refused(1009, "messages may have 64 KiB")
            self.listen(message)
        except Refused as refused:
            await self._end()
            await self._close(refused.code, refused.reason)

    def listen(self, message: str | bytes) -> None:
        """Take a message of the client; here they are ignored. Refused closes the socket."""

    async def _stream_and_close(self) -> None:
        try:
            await self.stream()
            await self._close(1000, "")
        except Refused as refused:
            await self._close(refused.code, refused.reason)
        except Closed:
            await self._close(1012, "the server is restarting")
        except Lagging:
            await self._close(1013, "too many changes were waiting")
        except OSError:
            pass  # the client has gone while something was sent to it
        except Exception:
            logger.exception("A stream failed.")
            await self._close(1011, "")

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(OSError):
            await self.close(code, reason)

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None


class RunConsumer(StreamConsumer):
    """Every event of one run after `?after=`: past ones, then live ones, the terminal one last."""

    async def stream(self) -> None:
        query = parse_run(self.scope["url_route"]["kwargs"]["run_id"], self.scope["query_string"])
        try:
            async with hub.current().subscribe(query.run_id, after=query.after) as subscriber:
                while frames := await subscriber.next():
                    for frame in frames:
                        await self.send(text_data=frame.body.decode())
        except UnknownRun:
            raise Refused(4404, "there is no such run") from None


class FeedConsumer(StreamConsumer):
    """A `ready` frame, then the summary of each run that is created or changes; and what the
    client asks for (`streaming/conversation.py`)."""

    _conversation: Conversation | None = None

    async def connect(self) -> None:
        self._conversation = Conversation(self._send_body)
        await super().connect()

    async def stream(self) -> None:
        query = parse_feed(self.scope["query_string"])
        conversation = self._conversation
        assert conversation is not None
        try:
            async with AsyncExitStack() as stack:
                works: list[Callable[[], Coroutine[Any, Any, None]]] = [conversation.hold]
                if query.told:
                    subscribing = hub.current().feed.subscribe(query.filter)
                    changes = await stack.enter_async_context(subscribing)
                    works.append(partial(_tell, conversation, changes))
                ready = {"event": "ready", "protocol": PROTOCOL}
                await conversation.tell(orjson.dumps(ready))
                await together(*(work() for work in works))
        finally:
            await conversation.close()

    def listen(self, message: str | bytes) -> None:
        if self._conversation is not None:
            self._conversation.hear(message)

    async def _send_body(self, body: bytes) -> None:
        await self.send(text_data=body.decode())


class UnknownConsumer(StreamConsumer):
    """Any other address."""

    async def stream(self) -> None:
        raise Refused(4404, "there is no socket at this address")


async def _tell(conversation: Conversation, changes: FeedSubscriber) -> None:
    while True:
        for body in await changes.next():
            await conversation.tell(body)
