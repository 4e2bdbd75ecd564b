"""The doorbell of Postgres: NOTIFY, sent with the commits that move a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

from runs.doorbell import CHANGES


class Notifications:
    """LISTENs on the channel `fastgraph` with a connection of its own. What a notification says
    does not matter, and a lost one costs time only: a slow poll runs beneath."""

    async def listen(self, ring: Callable[[], None]) -> None:
        connection = await psycopg.AsyncConnection.connect(autocommit=True, **_parameters())
        async with connection:
            await connection.execute(f"LISTEN {CHANGES}")
            ring()
            async for _ in connection.notifies():
                ring()


def _parameters() -> dict[str, Any]:
    """How Django itself connects, without what it adds for its own cursors."""
    parameters: dict[str, Any] = connections[DEFAULT_DB_ALIAS].get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    return parameters
