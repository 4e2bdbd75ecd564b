"""Django in the web process: its WSGI handler in a few threads that last."""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from wsgiref.types import WSGIApplication

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from fastgraph_site.web.body_memory import LARGE
from fastgraph_site.web.wsgi import Call, environ
from runs.db.threads import DatabaseThreads

_log = logging.getLogger(__name__)

PIECE = 256 * 1024  # bytes of an answer that one visit to a thread brings


class WsgiPool:
    """Serves HTTP with a WSGI application in `threads` threads, each with a database connection
    that stays open (see docs/decisions/0001-own-wsgi-adapter.md).

    A request takes a thread while the application works, and none while bytes travel: the body is
    here before (BodyLimit), most answers come back whole, and a long one is fetched piece by
    piece, each when the client has taken the piece before it. A client that goes ends that.
    Requests with large bodies get a quarter of the threads: each may take long.
    """

    def __init__(self, application: WSGIApplication, threads: int) -> None:
        self._application = application
        self._threads = DatabaseThreads("web", threads)
        self._large = asyncio.Semaphore(max(1, threads // 4))

    async def close(self) -> None:
        """Close the threads' database connections and end the threads."""
        await self._threads.close()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "http":
            message = await receive()
            if message["type"] == "http.request":
                await self._serve(scope, message["body"], receive, send)

    async def _serve(
        self,
        scope: HTTPScope,
        body: bytes,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        call = Call(self._application, environ(scope, body))
        gone: asyncio.Task[object] | None = None
        try:
            async with self._large if len(body) > LARGE else nullcontext():
                piece, more = await self._threads.run(call.begin, PIECE)
            more = more and scope["method"] != "HEAD"
            await send(
                {
                    "type": "http.response.start",
                    "status": call.status,
                    "headers": call.headers,
                    "trailers": False,
                }
            )
            await send({"type": "http.response.body", "body": piece, "more_body": more})
            while more:
                gone = gone or asyncio.ensure_future(receive())
                if gone.done():
                    return
                try:
                    piece, more = await self._threads.run(call.more, PIECE)
                except OSError as error:  # the server cuts the connection: the rest is missing
                    _log.warning("The answer to %s breaks off: %s", scope["path"], error)
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        finally:
            if gone is not None:
                gone.cancel()
            if call.abandon():
                self._threads.submit(call.close)
