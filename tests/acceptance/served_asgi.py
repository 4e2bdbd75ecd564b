"""An ASGI application that answers with its pid and queues django-q2 jobs: `?job=name&path=…`."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        return
    query = parse_qs(scope["query_string"].decode())
    if "job" in query:
        await sync_to_async(_enqueue)(query["job"][0], query["path"][0])
    body = json.dumps({"pid": os.getpid()}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def _enqueue(job: str, path: str) -> None:
    from django_q.tasks import async_task

    async_task(f"tests.acceptance.jobs.{job}", path, timeout=-1)
