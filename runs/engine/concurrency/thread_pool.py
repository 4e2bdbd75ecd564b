"""Threads for sync nodes: so many calls at once, and one that waits keeps no other from running."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from functools import lru_cache, partial
from queue import SimpleQueue
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

#: How many calls, each in a thread that waits for the next, a call is made in.
_depth: contextvars.ContextVar[int] = contextvars.ContextVar("fastgraph_depth", default=0)

_own: contextvars.ContextVar[Pool | None] = contextvars.ContextVar("fastgraph_own", default=None)


class _Here(threading.local):
    """The pool that this thread belongs to, and the depth of the call that it is at."""

    pool: Pool | None = None
    depth = 0


_here = _Here()


class _Wait:
    """For a place, of what is called in this context."""

    def __init__(self) -> None:
        self.since = monotonic()
        self.context = contextvars.copy_context()


class _Job:
    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.depth = _depth.get()
        self.future: Future[Any] = Future()
        self.wait = _Wait()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            answer = self.call()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(answer)


class Pool(Executor):
    """Runs at most `size` calls at once. One that waits for the event loop (`begin`) gives its
    place to another, and takes one again, before any new call, when it goes on: so calls that wait
    for calls always end.

    While `size` calls of a depth wait like that, no other of that depth begins, so that a thousand
    nodes that all wait do not take a thousand threads, but twice `size` at most. The threads are
    daemons: a call that does not end keeps no process from ending. `at_exit` is called on each
    thread before it ends.
    """

    def __init__(
        self,
        size: int | None = None,
        name: str = "node",
        at_exit: Callable[[], object] = lambda: None,
    ) -> None:
        self.size = size or min(32, (os.cpu_count() or 1) + 4)
        self._name = name
        self._at_exit = at_exit
        self._lock = threading.Lock()
        self._free = self.size
        self._jobs: dict[int, deque[_Job]] = {}
        self._back: deque[tuple[threading.Event, _Wait]] = deque()
        self._aside: Counter[int] = Counter()
        self._idle = 0
        #: Whichever idle thread comes first takes the first, so that calls begin in order.
        self._ready: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._over = False

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        job = _Job(partial(function, *args, **kwargs))
        with self._lock:
            if self._over:
                raise RuntimeError("These threads were shut down.")
            self._jobs.setdefault(job.depth, deque()).append(job)
            self._hand_out()
        return job.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            self._over = True
            dropped = [job for jobs in self._jobs.values() for job in jobs]
            if cancel_futures:
                self._jobs.clear()
            if not self._left():
                self._dismiss()
            threads = list(self._threads)
        for job in dropped if cancel_futures else ():
            job.future.cancel()
        for thread in threads if wait else ():
            thread.join()

    def waited(self) -> float:
        """For how many seconds a call has waited for a free thread; 0 when none waits."""
        with self._lock:
            first = min((jobs[0].wait.since for jobs in self._jobs.values() if jobs), default=None)
        return 0.0 if first is None else monotonic() - first

    def waiting(self, seconds: float) -> list[contextvars.Context]:
        """The contexts of the calls that have waited for a place for so long, to begin or to go
        on."""
        before = monotonic() - seconds
        with self._lock:
            waits = [job.wait for jobs in self._jobs.values() for job in jobs]
            waits += [wait for _, wait in self._back]
        return [wait.context for wait in waits if wait.since <= before]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let go of this thread's place in the block."""
        depth = _here.depth
        with self._lock:
            self._aside[depth] += 1
            self._free += 1
            self._hand_out()
        try:
            yield
        finally:
            back = threading.Event()
            with self._lock:
                self._aside[depth] -= 1
                self._back.append((back, _Wait()))
                self._hand_out()
            back.wait()

    def _hand_out(self) -> None:
        """Give the free places to those that go on, and then to what waits to begin. Under the
        lock."""
        while self._free and self._back:
            self._free -= 1
            self._back.popleft()[0].set()
        while self._free and (job := self._next()) is not None:
            self._free -= 1
            if self._idle:
                self._idle -= 1
                self._ready.put(job)
            else:
                self._new_thread(job)

    def _next(self) -> _Job | None:
        """The deepest first: others wait for it."""
        for depth in sorted(self._jobs, reverse=True):
            if self._jobs[depth] and self._aside[depth] < self.size:
                return self._jobs[depth].popleft()
        return None

    def _new_thread(self, job: _Job) -> None:
        thread = threading.Thread(target=self._serve, args=(job,), name=self._name, daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except BaseException as error:  # the system has no more threads
            self._threads.discard(thread)
            self._free += 1
            job.future.set_exception(error)

    def _serve(self, first: _Job) -> None:
        _here.pool = self
        job: _Job | None = first
        while job is not None:
            _here.depth = job.depth
            job.run()
            del job  # what it holds is not to be held while the thread has nothing to do
            job = self._ready.get() if self._waits() else None
        self._at_exit()
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _waits(self) -> bool:
        """Give the place back. Whether this thread is to wait for another call."""
        with self._lock:
            self._free += 1
            stays = self._idle < self.size
            self._idle += stays
            self._hand_out()
            if self._over and not self._left():
                self._dismiss()
        return stays

    def _dismiss(self) -> None:
        for _ in range(self._idle):
            self._ready.put(None)
        self._idle = 0

    def _left(self) -> bool:
        return any(self._jobs.values())


class LoopFuture(Future[T]):
    """Something that runs on the event loop, for a thread. Who waits for it lets go of the
    thread's place in its pool for that time."""

    def __init__(self, running: Future[T]) -> None:
        super().__init__()
        self._running = running
        running.add_done_callback(self._take)

    def _take(self, running: Future[T]) -> None:
        if running.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
        elif (error := running.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(running.result())

    def cancel(self) -> bool:
        return self._running.cancel()

    def result(self, timeout: float | None = None) -> T:
        return super().result(self._waited(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return super().exception(self._waited(timeout))

    def _waited(self, timeout: float | None) -> float | None:
        """Wait without a place in the pool; answers how long may be waited after that. The error
        does not pass the block: contextlib would set an attribute on it."""
        if self.done() or _here.pool is None:
            return timeout
        with _here.pool.aside():
            wait([self], timeout)
        return 0.0


def begin(doing: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> LoopFuture[T]:
    """Run a coroutine on the loop of another thread."""
    context = contextvars.copy_context()
    context.run(_depth.set, _here.depth + 1)
    return LoopFuture(context.run(asyncio.run_coroutine_threadsafe, doing, loop))


def run_beside(doing: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread and an event loop of its own, while this thread, and
    the event loop that runs in it, waits. Its sync calls have threads of their own as well: those
    in other pools may wait for this loop."""
    pool = Pool()
    context = contextvars.copy_context()
    context.run(_own.set, pool)
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(context.run(asyncio.run, doing))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="loop", daemon=True).start()
    try:
        return done.result()
    finally:
        pool.shutdown(wait=False)


def threads_of(given: Executor | None) -> Executor:
    """Where a run that was `given` these threads, or None, makes its sync calls."""
    # A process that was forked has none of its parent's threads.
    return _own.get() or given or _of_process(os.getpid())


@lru_cache(1)
def _of_process(pid: int) -> Pool:
    return Pool()
