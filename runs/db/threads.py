"""A few threads that talk to the database for an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import connections

from runs.db import idle_timeout

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThreads:
    """Runs plain functions in `count` threads of its own, each of which keeps its database
    connection from one call to the next.

    Not the one thread that all `sync_to_async` calls of a process share: a slow query there
    would hold up everybody's.
    """

    def __init__(self, name: str, count: int) -> None:
        self._count = count
        self._used = False
        self._pool = ThreadPoolExecutor(count, name, initializer=idle_timeout.enable_for_thread)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises. Cancelling the caller does not stop the function."""
        self._used = True
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def submit(self, function: Callable[[], object]) -> None:
        """Run `function` when a thread is free; nobody waits for it. After `close` it is run
        here and now, so that what it frees is freed in any case."""
        try:
            self._pool.submit(function)
        except RuntimeError:
            function()

    async def close(self, patience: float = 2.0) -> None:
        """Close the threads' connections and end the threads. One that is still busy after
        `patience` seconds keeps its connection until its work is done; nothing waits for it."""
        if self._used:
            # A connection can only be closed by its own thread. Nobody passes the barrier before
            # every thread has come to it, so each of them takes exactly one of these jobs.
            barrier = threading.Barrier(self._count)
            jobs = [self._pool.submit(_close_own, barrier, patience) for _ in range(self._count)]
            await asyncio.gather(*map(asyncio.wrap_future, jobs))
        self._pool.shutdown(wait=False, cancel_futures=True)


def _close_own(barrier: threading.Barrier, patience: float) -> None:
    with contextlib.suppress(threading.BrokenBarrierError):
        barrier.wait(patience)
    connections.close_all()
