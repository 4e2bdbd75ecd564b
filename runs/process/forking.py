"""What a forked process must not keep of the process it is a copy of.

A node may fork, itself or through `multiprocessing`. The child has a copy of every descriptor. A
lock on a slot lives as long as one copy of its descriptor is open, and so does a connection to a
database, with the locks of its transaction. So a child gives them up at its birth. It must not
*unlock* or *close down* anything: lock, pipe and connection are shared with the parent. In place of
such a descriptor the child gets /dev/null, so that its number is not used for something else.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from runs.engine.concurrency import forked
from runs.engine.execution.task.task_call import forget_call
from runs.process import processes

#: Descriptors of this process and the files that they were opened on.
_own: dict[int, tuple[int, int]] = {}
_databases: WeakSet[BaseDatabaseWrapper] = WeakSet()
#: The worker process that nodes run in, once this is one.
_worker: int | None = None
#: Database connections of the parent. Kept for ever: closing one would act on the parent's.
_inherited: list[Any] = []
_loop: asyncio.AbstractEventLoop | None = None


def keep_own(descriptor: int) -> int:
    """From now on a forked process does not get this descriptor. Answers it."""
    _own[descriptor] = _file_of(descriptor)
    return descriptor


def forget(descriptor: int) -> None:
    """To be called before the descriptor is closed."""
    _own.pop(descriptor, None)


def prepare_worker(descriptors: Iterable[int]) -> None:
    """Call once, first, in a process that executes nodes: what nodes fork gives up `descriptors`,
    which are those of the cluster, and everything else that is the worker's."""
    global _worker
    _worker = os.getpid()
    for descriptor in descriptors:
        keep_own(descriptor)


def remember_databases() -> None:
    """Hear of new database connections; called once a process."""
    connection_created.connect(_remember, dispatch_uid="runs.process.forking")


def _remember(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    _databases.add(connection)


def _file_of(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _before() -> None:
    global _loop
    if _worker != os.getpid():
        return
    # Other threads have connections, too. Python drops what belongs to threads that do not exist in
    # the child, before any handler is called there: a reference keeps SQLite from rolling back
    # the parent's transaction in the shared memory of its write-ahead log.
    _inherited.extend(_open_connections())
    _loop = asyncio._get_running_loop()


def _open_connections() -> list[Any]:
    while True:
        try:
            return [w.connection for w in list(_databases) if w.connection is not None]
        except RuntimeError:  # another thread has connected meanwhile
            continue


def _in_parent() -> None:
    global _loop
    _inherited.clear()
    _loop = None


def _in_child() -> None:
    global _worker, _loop
    _give_up_descriptors()
    if _worker is None:
        return
    parent, _worker = _worker, None
    loop, _loop = _loop, None
    _databases.clear()
    for connection in connections.all(initialized_only=True):
        del connections[connection.alias]  # the next use makes a new one
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the worker's would stop the whole server
    forked.become_child(loop)
    forget_call()
    processes.name_process("fg:node-child")
    processes.end_after(parent)


def _give_up_descriptors() -> None:
    own = [number for number, file in _own.items() if _is_still(number, file)]
    _own.clear()
    for connection in _inherited:
        with suppress(Exception):  # SQLite has no descriptor to give up; a closed one neither
            own.append(connection.fileno())
    selector = getattr(_loop, "_selector", None)
    if selector is not None:
        own.append(selector.fileno())  # what the child changed there would be changed for the loop
    if own:
        null = os.open(os.devnull, os.O_RDWR)
        for number in own:
            os.dup2(null, number, inheritable=False)
        os.close(null)


def _is_still(number: int, file: tuple[int, int]) -> bool:
    try:
        return _file_of(number) == file
    except OSError:
        return False


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
