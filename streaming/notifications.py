"""The doorbell of Postgres: NOTIFY, sent with the commits that move a run."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

from runs.doorbell import CHANGES, MOVED
from streaming.doorbell import Ring


class Notifications:
    """LISTENs on the channel `fastgraph` with a connection of its own. A notification that is lost
    costs time only: a slow poll runs beneath."""

    async def listen(self, ring: Ring) -> None:
        connection = await psycopg.AsyncConnection.connect(autocommit=True, **_parameters())
        async with connection:
            await connection.execute(f"LISTEN {CHANGES}")
            ring()
            async for notification in connection.notifies():
                ring(ended=notification.payload != MOVED)


def _parameters() -> dict[str, Any]:
    """How Django itself connects, without what it adds for its own cursors."""
    parameters: dict[str, Any] = connections[DEFAULT_DB_ALIAS].get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    return parameters
