"""Hints: messages through the channel layer that say "something has moved, look now".

They make streams faster where the layer crosses processes (Redis), and carry nothing: drop every
one of them and clients are merely later.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from runs.doorbell import Hint
from streaming.doorbell import Ring

logger = logging.getLogger(__name__)

GROUP = "fastgraph"
SEND_TIMEOUT = 1.0  # seconds that a hint may take
SILENCE = 5.0  # seconds without hints after one could not be sent

_silent_until = 0.0


def crossing_layer() -> Any | None:
    """The channel layer, if there is one that other processes hear; None for the in-memory one."""
    layer = get_channel_layer()
    return None if isinstance(layer, InMemoryChannelLayer) else layer


def sender(loop: asyncio.AbstractEventLoop) -> Hint:
    """What tells the web processes of a commit, from any thread: it hands the hint to `loop` and
    returns at once. Nothing at all where no other process would hear it. Hints that are asked for
    while one is on its way become one."""
    if crossing_layer() is None:
        return lambda ended: None
    lock = threading.Lock()
    asked: list[bool] = []

    async def once() -> None:
        with lock:  # before it is sent: what is committed from here on asks again
            ended = any(asked)
            asked.clear()
        await send(ended=ended)

    def hint(ended: bool) -> None:
        with lock:
            asked.append(ended)
            if len(asked) > 1 or loop.is_closed():
                return
        asyncio.run_coroutine_threadsafe(once(), loop)

    return hint


async def send(*, ended: bool = True) -> None:
    """Tell the web processes that something was committed, and whether a run may have `ended`. Best
    effort: it takes a second at most, and after a failure none is sent for a while; it never
    raises."""
    global _silent_until
    layer = crossing_layer()
    if layer is None or time.monotonic() < _silent_until:
        return
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            await layer.group_send(GROUP, {"type": "run.moved", "ended": ended})
    except Exception as error:
        _silent_until = time.monotonic() + SILENCE
        logger.warning("A hint could not be sent (%r); streams go on without.", error)


class Hints:
    """The doorbell at the other end: one subscription of the process to all hints."""

    async def listen(self, ring: Ring) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        ring()
        try:
            while True:
                message = await layer.receive(channel)
                ring(ended=message.get("ended", True))
        finally:
            await layer.group_discard(GROUP, channel)
