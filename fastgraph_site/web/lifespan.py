"""The beginning and the end of the web process, as its server announces them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

logger = logging.getLogger(__name__)


class Lifespan:
    """Runs `at_end` in order when the server stops, each whatever became of the one before.

    A server without lifespan events (daphne) ends the process instead; nothing of what is closed
    here outlives that.
    """

    def __init__(
        self, app: ASGI3Application, at_end: Sequence[Callable[[], Awaitable[None]]]
    ) -> None:
        self._app = app
        self._at_end = at_end

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._end()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _end(self) -> None:
        for end in self._at_end:
            try:
                await end()
            except Exception:
                logger.exception("Something could not be closed at the end of the web process.")
