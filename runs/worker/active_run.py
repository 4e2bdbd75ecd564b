"""A run in the hands of this process: its task, its threads, and whether it was told to stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

from runs.engine.concurrency import stopping

T = TypeVar("T")


class CountedThreads(Executor):
    """One run's share of a pool of threads. A thread cannot be stopped from outside: `busy` says
    how many still run something of this run, also when nobody waits for them any more."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self.busy = 0

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self._pool.submit(self._counted, function, *args, **kwargs)

    def _counted(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        with self._lock:
            self.busy += 1
        try:
            return function(*args, **kwargs)
        finally:
            with self._lock:
                self.busy -= 1


@dataclass(kw_only=True)
class Held:
    """One run that this process executes, from its claim until nothing of it is left here."""

    task: asyncio.Task[None]
    threads: CountedThreads
    attempt: int
    told_at: float | None = field(default=None)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the task, once; from any thread."""
        if self.told_at is None:
            self.told_at = monotonic()
            loop.call_soon_threadsafe(stopping.ask, self.task)

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.task.done() and not (self.told_at is not None and self.threads.busy)

    def late(self, seconds: float) -> bool:
        """Whether it was told to stop more than `seconds` ago, and has not."""
        told = self.told_at
        return told is not None and not self.over and monotonic() > told + seconds
