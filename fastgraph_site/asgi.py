"""The root of the web process.

Every request and every socket passes the guard. Sockets and requests for streams go to `streaming`;
other HTTP has its body read and then goes to Django, in a pool of threads, but for requests that
create runs: those are answered together, past Django.
"""

from __future__ import annotations

import os

from asgiref.typing import ASGI3Application
from django.core.wsgi import get_wsgi_application


def build() -> ASGI3Application:
    """The application. Django is set up first, before anything is imported that needs models."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fastgraph_site.settings")
    django = get_wsgi_application()

    from channels.routing import ProtocolTypeRouter
    from django.conf import settings

    from fastgraph_site.web.body_limit import BodyLimit
    from fastgraph_site.web.create_runs import CreateRunsMiddleware
    from fastgraph_site.web.guard import Guard
    from fastgraph_site.web.lifespan import Lifespan
    from fastgraph_site.web.socket_commands import SocketCommands
    from fastgraph_site.web.stream_routes import Streams
    from fastgraph_site.web.wait_for_end import WaitForEndMiddleware
    from fastgraph_site.web.wsgi_pool import WsgiPool
    from streaming.hub import hub
    from streaming.routing import sockets

    commands = SocketCommands()
    pool = WsgiPool(django, settings.FASTGRAPH["web_threads"])
    create_runs = CreateRunsMiddleware(pool)
    http = Streams(WaitForEndMiddleware(BodyLimit(create_runs)))
    routes = ProtocolTypeRouter({"http": http, "websocket": sockets(commands)})
    ends = [hub.close, commands.close, create_runs.close, pool.close]
    return Lifespan(Guard(routes), at_end=ends)


application = build()
