"""The guard of user code: what a call leaves open on its thread's database connections is rolled
back, logged with the node's name, and fails that node.

Calls reach five kinds of threads: the worker's pool for sync nodes (through the engine), asgiref's
one thread for thread-sensitive calls, the event loop's default executor, those that nodes make
themselves (`runs.db.guard.user_threads`), and, where Django allows that, the event loop's own
thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from weakref import ref

from asgiref.sync import SyncToAsync
from channels.db import DatabaseSyncToAsync
from django.db import DEFAULT_DB_ALIAS
from django.db import connections as django_connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from runs.db import connections, sessions
from runs.db.dialect import locks_whole_database
from runs.db.guard import callers, open_transactions, user_threads
from runs.db.guard.callers import Caller
from runs.db.guard.user_threads import LeftOpen
from runs.engine.concurrency import guarding
from runs.engine.errors import GraphInterrupt, ParentCommand, add_note
from runs.engine.execution.task.task_call import current

_log = logging.getLogger("fastgraph.node")

T = TypeVar("T")

#: How long an idle thread waits for the busy ones when all are to close their connections. Seconds.
CLOSE_SECONDS = 1.0
#: Errors that end a call as planned: what it left open is the only thing that went wrong.
_PLANNED = (GraphInterrupt, ParentCommand)


@dataclass(frozen=True)
class ConnectionGuard:
    """The `Guard` of one run, or, without one, of calls that belong to no run."""

    run_id: str = ""
    workflow: str = ""

    def call(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        return watched(self.caller(), partial(function, *args, **kwargs))

    def check(self, node: str) -> LeftOpen | None:
        if not _here.connected:
            return None
        caller = Caller(run_id=self.run_id, workflow=self.workflow, node=node)
        return _clean(caller, _here.connections())

    def locks_journal(self) -> bool:
        return any(
            locks_whole_database(connection)
            and connection.alias == DEFAULT_DB_ALIAS
            and connections.in_transaction(connection.connection)
            for connection in connections.of_thread()
        )

    def caller(self) -> Caller:
        """The node whose code this context is."""
        memo = current.get(None)
        node = memo.task.node.name if memo is not None else ""
        return Caller(run_id=self.run_id, workflow=self.workflow, node=node, memo=memo)


_no_run = ConnectionGuard()


class _Here(threading.local):
    """All that has ever connected on the current thread, in calls of user code or not."""

    def __init__(self) -> None:
        self.connected: list[ref[BaseDatabaseWrapper]] = []

    def connections(self) -> list[BaseDatabaseWrapper]:
        return [connection for one in self.connected if (connection := one()) is not None]


_here = _Here()


def connected_here() -> list[BaseDatabaseWrapper]:
    """All connections that were ever opened on this thread, by calls of user code or not."""
    return _here.connections()


def watched(caller: Caller, function: Callable[[], T], *, closes: bool = False) -> T:
    """What `function` returns or raises, on the current thread, between two clean states.

    Raises LeftOpen when the call left something open. An error of the call itself is raised as it
    is, with a note. `closes`: the function closes connections that are not in autocommit mode.
    """
    nested = callers.begin(caller)
    try:
        if nested:
            return function()
        return _between(caller, function, closes)
    finally:
        callers.end(nested)


def _between(caller: Caller, function: Callable[[], T], closes: bool) -> T:
    _clean(None, connections.of_thread())
    connections.refresh()
    try:
        answer = function()
    except BaseException as error:
        found = connections.of_thread()
        fault = _clean(caller, found, closes=closes, in_error=True)
        if fault is None:
            raise
        _blame(caller, fault)
        if isinstance(error, _PLANNED):
            raise fault from None
        add_note(error, str(fault))
        raise
    fault = _clean(caller, connections.of_thread(), closes=closes)
    if fault is not None:
        _blame(caller, fault)
        raise fault
    return answer


def _clean(
    caller: Caller | None,
    of_thread: Sequence[BaseDatabaseWrapper],
    *,
    closes: bool = False,
    in_error: bool = False,
) -> LeftOpen | None:
    """Leave the connections of this thread clean. The fault, if something was open; `caller` None
    is for what nobody's call left."""
    found: list[str] = []
    for connection in of_thread:
        left = connections.leftovers(connection, in_error=in_error)
        if not left and closes and _was_closed_open(connection):
            left = "autocommit off"
        if left:
            found.append(f"{left} on database {connection.alias!r}")
            connections.reset(connection)
        else:
            connections.end_session(connection)
    if not found:
        return None
    what = " and ".join(found)
    if caller is None:
        _log.error("Rolled back %s, which was left on thread %s between two calls", what, _name())
        return None
    _log.error("%s left %s. What was open is rolled back", caller, what)
    return LeftOpen(
        f"{caller} left {what} when a call on a thread returned. What was open is rolled back. "
        "Begin and end a transaction in one call: `with transaction.atomic():`."
    )


def _was_closed_open(connection: BaseDatabaseWrapper) -> bool:
    """Whether somebody else has closed it after the call had turned autocommit off."""
    off = connection.connection is None and not connection.autocommit
    return off and connection.settings_dict["AUTOCOMMIT"] and sessions.is_watched(connection)


def _blame(caller: Caller, fault: LeftOpen) -> None:
    if caller.memo is not None and caller.memo.fault is None:
        caller.memo.fault = fault


def _name() -> str:
    return threading.current_thread().name


class GuardedThreads(ThreadPoolExecutor):
    """Threads that any code of the process may use. Each call is guarded, and what it leaves open
    is the fault of the node in whose context it was submitted."""

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        guard = guarding.guard.get()
        owner = guard if isinstance(guard, ConnectionGuard) else _no_run
        call = partial(function, *args, **kwargs)
        closes = isinstance(
            getattr(getattr(function, "func", None), "__self__", None), DatabaseSyncToAsync
        )
        # In its context: a node's question in such a thread is to be known as that node's.
        context = contextvars.copy_context()
        return user_threads.submit(self, context.run, watched, owner.caller(), call, closes=closes)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads, each of which closes its connections first."""
        threads = len(self._threads)
        together = threading.Barrier(max(threads, 1))
        for _ in range(threads):
            with suppress(RuntimeError):  # it was shut down before
                super().submit(_close_connections, together)
        super().shutdown(wait, cancel_futures=cancel_futures)


def _close_connections(together: threading.Barrier) -> None:
    # All at once, so that no thread does it twice and another one never.
    with suppress(threading.BrokenBarrierError):
        together.wait(CLOSE_SECONDS)
    django_connections.close_all()


@contextmanager
def guarded_loop(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Guard the threads that async code on `loop` uses in the block: its default executor, and the
    one thread that asgiref has for all thread-sensitive calls of the process."""
    connect()  # once more: what apps hang on new connections is theirs, and not a node's
    for connection in _here.connections():
        connections.keep_wrappers(connection)
    loop.set_default_executor(GuardedThreads(thread_name_prefix="asyncio"))
    _shared.acquire()
    try:
        with user_threads.guarded(_node_here, watched):
            yield
    finally:
        _shared.release()


def _node_here() -> Caller | None:
    guard = guarding.guard.get()
    if isinstance(guard, ConnectionGuard) and current.get(None) is not None:
        return guard.caller()
    return None


class _SharedThread:
    """asgiref's one thread, guarded while at least one event loop of the process wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = SyncToAsync.single_thread_executor
        self._guarded: GuardedThreads | None = None

    def acquire(self) -> None:
        with self._lock:
            self._users += 1
            if self._guarded is None:
                self._before = SyncToAsync.single_thread_executor
                self._guarded = GuardedThreads(1, "thread-sensitive")
                SyncToAsync.single_thread_executor = self._guarded

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._guarded is not None:
                SyncToAsync.single_thread_executor = self._before
                # Not waited for: a call may outlive its node, and nothing can stop it.
                self._guarded.shutdown(wait=False)
                self._guarded = None


_shared = _SharedThread()


def connect() -> None:
    """Watch new connections: before all apps that do so, and after those up to now."""
    connection_created.connect(_connects, dispatch_uid="runs.db.guard.connection_guard.first")
    connection_created.disconnect(dispatch_uid="runs.db.guard.connection_guard")
    connection_created.connect(_connected, dispatch_uid="runs.db.guard.connection_guard")


def _connects(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    connections.before_setup(connection)


def _connected(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    open_transactions.add(connection)
    connections.note_wrappers(connection)
    known = _here.connections()
    if all(one is not connection for one in known):
        _here.connected = [ref(one) for one in (*known, connection)]
    if callers.here() is not None:
        connections.note_connection(connection)
        sessions.watch(connection)
