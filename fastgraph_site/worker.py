"""The root of the worker process: hands the domain its artifact store and its hints."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from functools import cache
from typing import Any

from artifacts.store import store
from runs.conf import conf
from runs.engine.concurrency import stopping
from runs.process import crash_points, slots
from runs.scheduling import stalls
from runs.worker.worker import Worker
from streaming.listening import channel_layer

_log = logging.getLogger("fastgraph.worker")

#: Of the cyclic collector: to look through all that lives after every 700 new objects took a tenth
#: of a busy worker's time, and only runs that fail leave something for it.
_SELDOM = (10_000, 20, 50)
#: So long may tasks take to end that nodes have left on the event loop.
REST_SECONDS = 1.0


def work(apart: bool = False) -> None:
    """The django-q2 job behind every wake-up: execute runs while there are any; `apart`: those
    that are suspects. Returns at once when as many workers of this host are at it as may be."""
    if conf().fault:
        crash_points.arm(conf().fault)
    slot = slots.acquire(apart=apart, spare=not apart and stalls.of_host())
    if slot is not None:
        _calm_collector()
        with slot:
            _run(_work(apart, spare=slot.name == slots.SPARE))
            gc.collect()


def _run(working: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, also when code of a node ends the event loop: by `stop()`, or by a
    SystemExit in a task or a callback that it has made."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(working)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (RuntimeError, SystemExit, KeyboardInterrupt) as error:
                if task.done() or loop.is_closed():
                    raise
                _log.error("Code of a node has ended the event loop, which goes on: %r", error)


async def _work(apart: bool, *, spare: bool) -> None:
    hint = channel_layer.hint_sender(asyncio.get_running_loop())
    try:
        await Worker(store(), hint, apart=apart, spare=spare).drain()
    finally:
        await stopping.end_others(REST_SECONDS)


@cache
def _calm_collector() -> None:
    """Once a process: leave out what is there for good, and look seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SELDOM)
