"""Hints: messages through the channel layer that say "a run changed, look now".

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

from runs.notify.changes import CommitHint
from streaming.listening.listeners import OnChange

logger = logging.getLogger(__name__)

GROUP = "fastgraph"
SEND_TIMEOUT_SECONDS = 1.0
SILENCE_SECONDS = 5.0  # without hints after one could not be sent

_silent_until = 0.0


def crossing_layer() -> Any | None:
    """The channel layer if it reaches other processes; None for the in-memory one."""
    layer = get_channel_layer()
    return None if isinstance(layer, InMemoryChannelLayer) else layer


def hint_sender(loop: asyncio.AbstractEventLoop) -> CommitHint:
    """A function that notifies the web processes of a commit. Any thread may call it: it hands the
    hint to `loop` and returns at once. It does nothing if no layer crosses processes. Hints that
    are requested while one is being sent become one."""
    if crossing_layer() is None:
        return lambda ended: None
    lock = threading.Lock()
    requested: list[bool] = []

    async def send_requested() -> None:
        with lock:  # before it is sent: a later commit requests another one
            ended = any(requested)
            requested.clear()
        await send(ended=ended)

    def hint(ended: bool) -> None:
        with lock:
            requested.append(ended)
            if len(requested) > 1 or loop.is_closed():
                return
        asyncio.run_coroutine_threadsafe(send_requested(), loop)

    return hint


async def send(*, ended: bool = True) -> None:
    """Notify the web processes of a commit, and whether a run may have `ended`. Best effort: it
    takes a second at most, and after a failure no hint is sent for a while. Never raises."""
    global _silent_until
    layer = crossing_layer()
    if layer is None or time.monotonic() < _silent_until:
        return
    try:
        async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
            await layer.group_send(GROUP, {"type": "run.moved", "ended": ended})
    except Exception as error:
        _silent_until = time.monotonic() + SILENCE_SECONDS
        logger.warning("A hint could not be sent (%r); streams go on without.", error)


class Hints:
    """The listener at the other end: one subscription of the process to all hints."""

    async def listen(self, on_change: OnChange) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
        on_change()
        try:
            while True:
                message = await layer.receive(channel)
                on_change(ended=message.get("ended", True))
        finally:
            await layer.group_discard(GROUP, channel)
