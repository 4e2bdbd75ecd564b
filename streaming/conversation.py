"""A socket as a conversation: what a client says, and what it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import orjson
from asgiref.typing import WebSocketScope

from runs.errors import Problem
from streaming import messages
from streaming.commands import Commands
from streaming.messages import Command, Message, Misunderstood, parse
from streaming.queries import Refused
from streaming.subscriptions import Outlet, Subscriptions

INBOX = 256 * 1024  # bytes of messages that may wait while the client does not take its answers
OVERHEAD = 100  # bytes that a message costs beside its text


class Conversation:
    """Takes the messages of one client, and answers each in its turn. Nothing is answered before
    `hold` is called. Without `subscribing` it can not follow further runs."""

    def __init__(
        self,
        outlet: Outlet,
        asker: WebSocketScope,
        commands: Commands | None = None,
        *,
        subscribing: bool = True,
    ) -> None:
        self._subscribing = subscribing
        self._asker = asker
        self._commands = commands
        self._subscriptions = Subscriptions(outlet)
        self._inbox: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._inbox_bytes = 0
        self._allowance = messages.messages()

    def hear(self, text: str | bytes) -> None:
        """Take a message. Refused with 4429 when there were too many, in a second or unanswered."""
        self._inbox_bytes += len(text) + OVERHEAD
        if not self._allowance.spend() or self._inbox_bytes > INBOX:
            raise Refused(4429, "too many messages")
        self._inbox.put_nowait(text)

    async def hold(self) -> None:
        """Answer messages for as long as the client is there. Raises what ends the socket."""
        await together(self._listen(), self._subscriptions.failing())

    async def tell(self, frame: bytes) -> None:
        """Send a frame that nobody asked for."""
        await self._subscriptions.answer(frame)

    async def close(self) -> None:
        """End every subscription."""
        await self._subscriptions.close()

    async def _listen(self) -> None:
        while True:
            text = await self._inbox.get()
            self._inbox_bytes -= len(text) + OVERHEAD
            try:
                message = parse(text)
                if isinstance(message, Command):
                    await self._carry_out(message)
                else:
                    await self._do(message)
            except Misunderstood as error:
                await self.tell(
                    _frame("error", error.id, code=error.code, detail=error.detail),
                )

    async def _carry_out(self, command: Command) -> None:
        if self._commands is None:
            detail = f"This server does not take `{command.kind}` on a socket."
            raise Misunderstood("unsupported", detail, command.id)
        about = {"type": command.kind, "run_id": str(command.run_id)}
        act = self._commands.cancel if command.kind == "cancel" else self._commands.resume
        try:
            status = await act(self._asker, command.run_id, command.said)
        except Problem as problem:
            why: dict[str, object] = {"code": problem.code, "detail": problem.detail}
            if problem.errors:
                why["errors"] = problem.errors
            await self.tell(_frame("problem", command.id, **about, **why))
        else:
            await self.tell(_frame("ok", command.id, **about, status=status))

    async def _do(self, message: Message) -> None:
        own, run_id, after = message.id, message.run_id, message.after
        if run_id is None:
            await self.tell(_frame("pong", own))
        elif not self._subscribing:
            detail = "This socket follows one run. Many can be followed at /api/ws/."
            raise Misunderstood("unsupported", detail, own)
        elif message.kind == "subscribe":
            await self._subscriptions.subscribe(
                run_id,
                after=after,
                began=lambda seq: _frame(
                    "subscribed", own, run_id=str(run_id), after=after, seq=seq
                ),
            )
        else:
            await self._subscriptions.unsubscribe(run_id)
            await self.tell(_frame("unsubscribed", own, run_id=str(run_id)))


def _frame(event: str, own: str | int | None, **fields: object) -> bytes:
    """An answer, with the `id` of the message that it answers if that had one."""
    return orjson.dumps({"event": event, **({} if own is None else {"id": own}), **fields})


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Do all of them until one of them ends or raises; then the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
