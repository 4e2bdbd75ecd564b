"""The addresses of the WebSockets, each with and without its trailing slash."""

from __future__ import annotations

from channels.routing import URLRouter
from django.urls import re_path

from streaming.consumers import FeedConsumer, RunConsumer, UnknownConsumer

router = URLRouter(
    [
        re_path(r"^api/ws/?$", FeedConsumer.as_asgi()),
        re_path(r"^api/ws/(?P<run_id>[^/]+)/?$", RunConsumer.as_asgi()),
        re_path(r"", UnknownConsumer.as_asgi()),
    ]
)
