"""Threads and pools that code of nodes makes itself: what such a call leaves open on its database
connections is rolled back and fails the node, as on the worker's own threads
(`runs.db.guard.connection_guard`).

`Thread.start` and `ThreadPoolExecutor.submit` are wrapped while a worker runs. A call belongs to
the node in whose context it was begun. Not seen are pools that are no ThreadPoolExecutor; what they
leave open is rolled back later (`runs.db.guard.open_transactions`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from django.db import connections

from runs.db.guard.callers import Caller

T = TypeVar("T")

#: Calls a function for a node: (caller, function).
Watch = Callable[[Caller, Callable[[], Any]], Any]

#: Whose threads serve many calls, each for somebody else.
_SHARED = ("concurrent", "multiprocessing", "asgiref", "anyio", "runs")
#: Prefix of the names of our threads that read.
_READERS = "journal-reader"

submit = ThreadPoolExecutor.submit
_start = threading.Thread.start
_lock = threading.Lock()
_users = 0


@contextmanager
def guarded(find_caller: Callable[[], Caller | None], watch: Watch) -> Iterator[None]:
    """In the block, every call that a node begins on a thread of its own is made by `watch`.
    `find_caller` answers the node of the current context. Blocks may overlap."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _wrap(find_caller, watch)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                setattr(ThreadPoolExecutor, "submit", submit)  # noqa: B010
                setattr(threading.Thread, "start", _start)  # noqa: B010


def _wrap(find_caller: Callable[[], Caller | None], watch: Watch) -> None:
    def guarded_submit(
        self: ThreadPoolExecutor, function: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Future[T]:
        caller = None if self._thread_name_prefix == _READERS else find_caller()
        if caller is None:
            return submit(self, function, *args, **kwargs)
        return submit(self, watch, caller, partial(function, *args, **kwargs))

    def guarded_start(self: threading.Thread) -> None:
        caller = None if _serves_many(self) else find_caller()
        if caller is not None:
            setattr(self, "run", partial(_run, watch, caller, self.run))  # noqa: B010
        _start(self)

    setattr(ThreadPoolExecutor, "submit", guarded_submit)  # noqa: B010
    setattr(threading.Thread, "start", guarded_start)  # noqa: B010


def _run(watch: Watch, caller: Caller, run: Callable[[], None]) -> None:
    try:
        with suppress(LeftOpen):  # it is logged, and fails the node
            watch(caller, run)
    finally:
        connections.close_all()  # nobody can use them any more


def _serves_many(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    home = getattr(target, "__module__", None) or type(thread).__module__
    return home.partition(".")[0] in _SHARED


class LeftOpen(RuntimeError):
    """A call of user code returned while its database connection was in a state that the next call
    on that thread must not see. What was open is rolled back."""
