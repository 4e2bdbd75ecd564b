"""The session of a socket: the messages of a client and their answers."""

from __future__ import annotations

import asyncio

import orjson
from asgiref.typing import WebSocketScope

from runs.errors import Problem
from streaming.hub.tasks import run_until_first_ends
from streaming.websocket import client_messages
from streaming.websocket.client_messages import Command, InvalidMessage, Message, parse
from streaming.websocket.commands import Commands
from streaming.websocket.subscriptions import FrameSink, Subscriptions
from streaming.websocket.url_params import CloseSocket

INBOX_BYTES = (
    256 * 1024
)  # bytes of messages that may wait while the client does not take its answers
MESSAGE_OVERHEAD_BYTES = 100  # that a message costs beside its text


class Session:
    """Receives the messages of one client and answers them in order, once `run` is called. Without
    `subscribing` the client cannot follow further runs."""

    def __init__(
        self,
        sink: FrameSink,
        asker: WebSocketScope,
        commands: Commands | None = None,
        *,
        subscribing: bool = True,
    ) -> None:
        self._subscribing = subscribing
        self._asker = asker
        self._commands = commands
        self._subscriptions = Subscriptions(sink)
        self._inbox: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._inbox_bytes = 0
        self._rate_limit = client_messages.message_limit()

    def receive(self, text: str | bytes) -> None:
        """Take a message. Raises CloseSocket 4429 if there are too many, or too many unanswered."""
        self._inbox_bytes += len(text) + MESSAGE_OVERHEAD_BYTES
        if not self._rate_limit.spend() or self._inbox_bytes > INBOX_BYTES:
            raise CloseSocket(4429, "too many messages")
        self._inbox.put_nowait(text)

    async def run(self) -> None:
        """Answer messages while the client is connected. Raises what ends the socket."""
        await run_until_first_ends(self._listen(), self._subscriptions.failing())

    async def send(self, frame: bytes) -> None:
        """Send a frame that answers no message."""
        await self._subscriptions.answer(frame)

    async def close(self) -> None:
        """End every subscription."""
        await self._subscriptions.close()

    async def _listen(self) -> None:
        while True:
            text = await self._inbox.get()
            self._inbox_bytes -= len(text) + MESSAGE_OVERHEAD_BYTES
            try:
                message = parse(text)
                if isinstance(message, Command):
                    await self._carry_out(message)
                else:
                    await self._do(message)
            except InvalidMessage as error:
                await self.send(
                    _frame("error", error.id, code=error.code, detail=error.detail),
                )

    async def _carry_out(self, command: Command) -> None:
        if self._commands is None:
            detail = f"This server does not take `{command.kind}` on a socket."
            raise InvalidMessage("unsupported", detail, command.id)
        about = {"type": command.kind, "run_id": str(command.run_id)}
        act = self._commands.cancel if command.kind == "cancel" else self._commands.resume
        try:
            status = await act(self._asker, command.run_id, command.argument)
        except Problem as problem:
            why: dict[str, object] = {"code": problem.code, "detail": problem.detail}
            if problem.errors:
                why["errors"] = problem.errors
            await self.send(_frame("problem", command.id, **about, **why))
        else:
            await self.send(_frame("ok", command.id, **about, status=status))

    async def _do(self, message: Message) -> None:
        own, run_id, after = message.id, message.run_id, message.after
        if run_id is None:
            await self.send(_frame("pong", own))
        elif not self._subscribing:
            detail = "This socket follows one run. Many can be followed at /api/ws/."
            raise InvalidMessage("unsupported", detail, own)
        elif message.kind == "subscribe":
            await self._subscriptions.subscribe(
                run_id,
                after=after,
                first_frame=lambda seq: _frame(
                    "subscribed", own, run_id=str(run_id), after=after, seq=seq
                ),
            )
        else:
            await self._subscriptions.unsubscribe(run_id)
            await self.send(_frame("unsubscribed", own, run_id=str(run_id)))


def _frame(event: str, own: str | int | None, **fields: object) -> bytes:
    """An answer, with the `id` of the message that it answers if that had one."""
    return orjson.dumps({"event": event, **({} if own is None else {"id": own}), **fields})
