"""Hints: messages through the channel layer that say "run X has moved, look now".

They make streams faster where the layer crosses processes (Redis), and carry nothing: drop every
one of them and clients are merely later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from channels.layers import InMemoryChannelLayer, get_channel_layer

logger = logging.getLogger(__name__)

GROUP = "fastgraph"
SEND_TIMEOUT = 1.0  # seconds that a hint may take
SILENCE = 5.0  # seconds without hints after one could not be sent

_silent_until = 0.0


def crossing_layer() -> Any | None:
    """The channel layer, if there is one that other processes hear; None for the in-memory one."""
    layer = get_channel_layer()
    return None if isinstance(layer, InMemoryChannelLayer) else layer


async def send(run_id: UUID, seq: int) -> None:
    """Tell the web processes that events of `run_id` up to `seq` are committed. Best effort: it
    takes a second at most, and after a failure none is sent for a while; it never raises."""
    global _silent_until
    layer = crossing_layer()
    if layer is None or time.monotonic() < _silent_until:
        return
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            message = {"type": "run.moved", "run_id": str(run_id), "seq": seq}
            await layer.group_send(GROUP, message)
    except Exception as error:
        _silent_until = time.monotonic() + SILENCE
        logger.warning("A hint could not be sent (%r); streams go on without.", error)


class Hints:
    """The doorbell at the other end: one subscription of the process to all hints."""

    async def listen(self, ring: Callable[[], None]) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        ring()
        try:
            while True:
                await layer.receive(channel)
                ring()
        finally:
            await layer.group_discard(GROUP, channel)
