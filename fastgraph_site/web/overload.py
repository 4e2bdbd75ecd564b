"""What one process can bear, and the answers of one that has as much as that."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    Scope,
)
from django.conf import settings

from fastgraph_site.web import problems
from runs.errors import Problem

logger = logging.getLogger(__name__)

HEALTH = ("/api/health", "/api/health/")
RETRY_AFTER = (b"retry-after", b"2")
_REPORT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The settings of one web process that concern connections; bytes, seconds and counts."""

    connections: int
    header_bytes: int
    url_bytes: int
    header_seconds: float

    @classmethod
    def read(cls) -> Limits:
        """As the settings are now."""
        values: dict[str, Any] = settings.FASTGRAPH
        return cls(
            connections=values["max_connections"],
            header_bytes=values["max_header_bytes"],
            url_bytes=values["max_url_bytes"],
            header_seconds=values["header_seconds"],
        )


class SeldomLog:
    """Logs a warning at most once in ten seconds, with how often it would have been logged."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._count = 0
        self._next = 0.0

    def count(self) -> None:
        """It happened once more."""
        self._count += 1
        self.flush()

    def flush(self) -> None:
        """Log what was counted and not logged, if it is time. To be called now and then."""
        now = time.monotonic()
        if self._count and now >= self._next:
            logger.warning(self._text, self._count)
            self._count = 0
            self._next = now + _REPORT_SECONDS


def too_many_connections() -> Problem:
    """503 for a connection over the limit."""
    detail = "This server has as many connections as it may have. Try again in a few seconds."
    return Problem(503, "too_many_connections", detail)


class OnlyHealth:
    """Answers the health check as `app` does, and everything else with 503."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "http" and scope["path"] not in HEALTH:
            await problems.answer(too_many_connections(), scope, send, [RETRY_AFTER])
        else:
            await self._app(scope, receive, send)
