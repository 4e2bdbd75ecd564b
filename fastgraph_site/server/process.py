"""The web process: `python -m fastgraph_site.server.process`, started by the supervisor with the
listening socket already open. It loads everything, waits for leave, and then serves
`settings.ASGI_APPLICATION` until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any

import django
import uvicorn
from django.conf import settings
from django.utils.module_loading import import_string

from fastgraph_site.server.descriptors import allow_connections
from fastgraph_site.server.protocol import GO, NEVER_READY
from runs.db.sqlite3 import database_file
from runs.process import processes

if TYPE_CHECKING:
    from fastgraph_site.server.uvicorn_http import ServerConfig

logger = logging.getLogger(__name__)

#: How long open requests and streams may take to end when the server stops.
GRACEFUL_SECONDS = 5
_MAX_FRAME_BYTES = 2**18  # four bytes for each character that a message may have

_NEXT_STEPS = """
FastGraph is ready (Ctrl-C stops it):
  dashboard  {url}/
  API        {url}/docs
  admin      {url}/admin/

Try a first run:
  curl {url}/api/runs/ -H 'Content-Type: application/json' \\
    -d '{{"name": "Test Run", "payload": {{"input": "hello"}}}}'
"""


class _Ready:
    """Whether requests are being answered; tells the user so, the first time."""

    def __init__(self, url: str, announce: bool) -> None:
        self.reached = False
        self._url = url
        self._announce = announce

    def __call__(self) -> None:
        self.reached = True
        if self._announce:
            print(_NEXT_STEPS.format(url=self._url), flush=True)


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: ServerConfig, ready: _Ready) -> None:
        super().__init__(config)
        self._ready = ready
        self._admission = config.admission

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % 5 == 0:
            self._admission.tick(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Streams end only when they are told, and open requests are waited for.
        from streaming.hub import hub

        hub.disconnect_all()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Neither forced by a second signal, since stopping is limited anyway, nor raised again at
        # the end: to be asked to stop is no failure.
        self.should_exit = True


def _serve_uvicorn(listener: socket.socket, ready: _Ready) -> None:
    from fastgraph_site.server.admission import Admission  # these once Django is set up
    from fastgraph_site.server.uvicorn_http import HttpProtocol, ServerConfig
    from fastgraph_site.server.uvicorn_websocket import WireProtocol
    from fastgraph_site.web.overload import Limits

    limits = Limits.read()
    limits = replace(limits, connections=allow_connections(limits.connections))
    config = ServerConfig(
        settings.ASGI_APPLICATION.replace(".application", ":application"),
        loop="uvloop",
        http=HttpProtocol,
        admission=Admission(limits),
        timeout_keep_alive=settings.FASTGRAPH["keep_alive_seconds"],
        ws=WireProtocol,
        ws_max_size=_MAX_FRAME_BYTES,
        ws_per_message_deflate=False,  # compressed anew for every socket: the dearest part of it
        lifespan="auto",
        log_config=None,  # Django has configured logging already
        access_log=logger.isEnabledFor(logging.DEBUG),
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    _Uvicorn(config, ready).run(sockets=[listener])


def _serve_daphne(listener: socket.socket, ready: _Ready) -> None:
    import daphne.server
    from channels.routing import get_default_application

    from fastgraph_site.server.daphne_limits import LimitedFactory, LimitedSocketFactory

    most = allow_connections(settings.FASTGRAPH["max_connections"])
    # `Server.run` takes no other way.
    daphne.server.HTTPFactory = partial(LimitedFactory, most=most)
    daphne.server.WebSocketFactory = LimitedSocketFactory
    daphne.server.Server(
        get_default_application(),
        endpoints=[f"fd:fileno={listener.fileno()}"],
        websocket_max_message_size=_MAX_FRAME_BYTES,
        websocket_max_frame_size=_MAX_FRAME_BYTES,
        application_close_timeout=GRACEFUL_SECONDS,
        server_name="",
        ready_callable=ready,
    ).run()


def _load() -> None:
    """Import what the first request would, while the supervisor still looks whether all is well."""
    django.setup()
    import_string(settings.ASGI_APPLICATION)
    import_module(settings.ROOT_URLCONF)


def _end_stalled(listener: socket.socket, seconds: float) -> None:
    """Have the system end connections whose client is gone, or takes nothing of what is sent to it
    for so long. A stream with nothing to send is not concerned. Connections inherit this."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(seconds * 1000))
        )


def url_of(listener: socket.socket) -> str:
    """The URL at which `listener` can be reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def main(parent: str, descriptor: str, server: str, announce: str) -> int:
    """Serve on the socket `descriptor` until told to stop, or until the process `parent` ends.
    `announce` is "yes" to print what to try next. Returns the exit code."""
    processes.die_with_parent(int(parent))
    processes.name_process("fg:web")
    # Ctrl-C goes to the whole group; it is for the supervisor to say when this process stops.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(fileno=int(descriptor))
    listener.set_inheritable(False)  # it had to be for this process, and for none below it
    ready = _Ready(url_of(listener), announce == "yes")
    serve: dict[str, Any] = {"uvicorn": _serve_uvicorn, "daphne": _serve_daphne}
    try:
        _load()
        if sys.stdin.buffer.read(1) != GO:
            return 0  # the supervisor found a reason not to serve
        database_file.expect()
        anchor = database_file.anchor()
        _end_stalled(listener, settings.FASTGRAPH["stalled_seconds"])
        serve[server](listener, ready)
        if anchor is not None:
            anchor.close()
    except (Exception, SystemExit) as error:
        logger.exception("The web process ends: %s", error)
        return 1 if ready.reached else NEVER_READY
    return 0 if ready.reached else NEVER_READY


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
