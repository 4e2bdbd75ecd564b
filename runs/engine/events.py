"""Facts about a run, as the engine states them. The journal numbers and keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson

from .values import value

CREATED: Final = "created"
STARTED: Final = "started"
RECOVERED: Final = "recovered"
NODE_STARTED: Final = "node_started"
NODE_UPDATE: Final = "node_update"
RETRY: Final = "retry"
CUSTOM: Final = "custom"
ARTIFACT: Final = "artifact"
CHECKPOINT: Final = "checkpoint"
INTERRUPTED: Final = "interrupted"
SLEEPING: Final = "sleeping"
RESUMED: Final = "resumed"
PAUSED: Final = "paused"
UNPAUSED: Final = "unpaused"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"


@value(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact, not numbered yet. `data` is encoded JSON, empty for none."""

    name: str
    ts: datetime
    node: str = ""
    step: int | None = None
    namespace: str = ""
    task_id: str | None = None
    data: bytes = b""


def checkpoint_id_of(data: bytes | str) -> str | None:
    """Which checkpoint the data of a `checkpoint` event announces."""
    return str(orjson.loads(data)["checkpoint_id"]) if data else None
