"""The few questions that every rival answers over HTTP, as lean as uvicorn allows: what it costs is
the rival's own."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import uvicorn

STEPS = 3


def line() -> str:
    """1 KB that is unlike any other: equal ones would be stored once, and zeros next to nothing."""
    return os.urandom(500).hex()


class Rival(Protocol):
    """One engine on one database. Whatever it does returns when all of it is done."""

    async def chain(self) -> None:
        """W1, W2: one run of three steps that do nothing."""
        ...

    async def start(self) -> None:
        """W2: begin such a run, and return when it would survive a crash."""
        ...

    async def join(self) -> None:
        """Wait for all that was begun."""
        ...

    async def long(self, steps: int) -> None:
        """W3: one run of so many steps."""
        ...

    async def sleepers(self, runs: int, steps: int, seconds: float) -> None:
        """W4: so many runs at once, whose steps each wait."""
        ...

    async def append(self, lines: int, steps: int) -> None:
        """W6: steps that each append a line of 1 KB to a state that begins with so many."""
        ...


def serve(opened: Callable[[], AbstractAsyncContextManager[Rival]], port: int) -> None:
    """Answer `POST /name` with a JSON object of arguments, until the process is killed."""
    app = _App(opened)
    uvicorn.run(app, port=port, log_level="warning", access_log=False, loop="uvloop")


class _App:
    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[Rival]]) -> None:
        self._opened = opened
        self._lives: AsyncIterator[Rival]
        self._rival: Rival

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        status, answer = 200, b"{}"
        if scope["path"] != "/ready":
            try:
                await getattr(self._rival, scope["path"][1:])(**json.loads(body or b"{}"))
            except Exception as error:
                status, answer = 500, json.dumps({"error": repr(error)}).encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        async with self._opened() as self._rival:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
