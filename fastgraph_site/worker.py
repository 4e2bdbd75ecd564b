"""The root of the worker process: hands the domain its artifact store and its hints."""

from __future__ import annotations

import asyncio

from artifacts.store import store
from runs import deaths, slots
from runs.conf import conf
from runs.worker import Worker
from streaming import hints


def work() -> None:
    """The django-q2 job behind every wake-up: execute runs while there are any. Returns at once
    when as many workers of this host are at it as may be."""
    if conf().fault:
        deaths.arm(conf().fault)
    slot = slots.acquire()
    if slot is not None:
        with slot:
            asyncio.run(_work())


async def _work() -> None:
    await Worker(store(), hints.sender(asyncio.get_running_loop())).drain()
