"""Transactions that stay open for too long, with the name of who holds them.

A thread of each worker looks at the connections of its process. It writes what it finds to the log,
and to a file in the data folder: on SQLite nobody can write to the database meanwhile.
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any
from weakref import ref

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.base import BaseDatabaseWrapper

import runs
from runs.db import idle_timeout
from runs.db.connections import abandon, in_transaction
from runs.db.dialect import locks_whole_database
from runs.db.guard import callers
from runs.process import reports

_log = logging.getLogger("fastgraph.node")

#: A transaction that is open for longer is reported: on SQLite others give up after 5 s. Seconds.
LONG_SECONDS = 3.0
#: Between two looks. Seconds.
LOOK_SECONDS = 0.5
_KIND = "open_transactions"
#: Of the nodes that were at work when a thread of user code connected, so many are named.
NAMED_NODES = 5
#: Our own threads that read: what they do is short, and no user code runs there.
_READERS = "journal-reader"
#: Frames of the standard library, of packages, and of ours say nothing about whose code it is.
_STANDARD = os.path.dirname(threading.__file__) + os.sep
_PACKAGES = sysconfig.get_path("purelib") + os.sep
_OURS = os.path.join(os.path.dirname(runs.__file__ or ""), "")
_LIBRARIES = (_STANDARD, _PACKAGES, _OURS)


@dataclass(frozen=True, kw_only=True)
class OpenTransaction:
    """A transaction that has been open for `seconds`, and its holder in words. `run_id` and `node`
    are empty when no node's call is known to hold it."""

    holder: str
    database: str
    locks_whole_database: bool
    seconds: float
    run_id: str
    node: str
    process: str

    @property
    def locks_database(self) -> bool:
        """Whether nothing of a run can be recorded meanwhile."""
        return self.locks_whole_database and self.database == DEFAULT_DB_ALIAS

    def __str__(self) -> str:
        locks = " Nobody else can write to it meanwhile." if self.locks_whole_database else ""
        return (
            f"{self.holder} has held a transaction open on database {self.database!r} for"
            f" {self.seconds:.0f} s (process {self.process}).{locks}"
        )


@dataclass
class _Opened:
    """A connection of this process, and the transaction that was seen on it last."""

    connection: ref[BaseDatabaseWrapper]
    thread: threading.Thread
    #: On a thread of user code: where it connected, and which nodes were at work then.
    place: str = ""
    at_work: str = ""
    block: Any = None
    since: float | None = None
    logged: str = ""


_opened: dict[int, _Opened] = {}


def add(connection: BaseDatabaseWrapper) -> None:
    """Look at this connection from now on, until it is collected. Called when it has connected."""
    thread, key = threading.current_thread(), id(connection)
    if idle_timeout.is_enabled() or thread.name.startswith(_READERS):
        return
    _opened[key] = opened = _Opened(ref(connection, _forgetting(key)), thread)
    if callers.here() is None:
        opened.place = place_of(sys._getframe(1))
        opened.at_work = ", ".join(map(str, callers.at_work()[:NAMED_NODES]))


@contextmanager
def reported() -> Iterator[None]:
    """Look for long transactions of this process in the block, from a thread of its own: threads
    that use the database may be held up by such a transaction."""
    watch = _Watch()
    watch.start()
    try:
        yield
    finally:
        watch.end()


def published() -> list[OpenTransaction]:
    """The long transactions of all processes that share this data folder, longest first."""
    found = reports.published(_KIND, OpenTransaction)
    return sorted(found, key=lambda transaction: -transaction.seconds)


def locked_seconds() -> float:
    """For how long nothing could be recorded, heartbeats and leases included; 0 when it can."""
    locking = (found.seconds for found in published() if found.locks_database)
    return max(locking, default=0.0)


def holders() -> str:
    """What operators are told of the long transactions, in one line; empty when there is none."""
    return " ".join(str(transaction) for transaction in published())


def find() -> list[OpenTransaction]:
    """The long transactions of this process. What was first seen at the last call is known to be
    that old; logs what begins and ends to be long."""
    long: list[OpenTransaction] = []
    now = time.monotonic()
    for opened in list(_opened.values()):
        connection = opened.connection()
        raw = connection.connection if connection is not None else None
        if connection is None or raw is None or not in_transaction(raw):
            _ended(opened)
            continue
        if _has_ended(opened.thread):
            _log.error("%s ended inside a transaction, which is rolled back", _thread(opened))
            abandon(connection)
            _ended(opened)
            continue
        if opened.logged and _is_idle(opened.thread):
            _log.error("%s was idle inside a transaction, which is rolled back", _thread(opened))
            abandon(connection)
            _ended(opened)
            continue
        block = next(iter(connection.atomic_blocks), None)
        if opened.since is None or block is not opened.block:
            _ended(opened)
            opened.since, opened.block = now, block
        if now - opened.since >= LONG_SECONDS:
            transaction = _transaction(connection, opened, now - opened.since)
            if not opened.logged:
                _log.warning("%s", transaction)
                opened.logged = transaction.holder
            long.append(transaction)
    return long


def _has_ended(thread: threading.Thread) -> bool:
    # A thread that Python has not started says that it is alive for ever.
    return not thread.is_alive() or thread.ident not in sys._current_frames()


def _is_idle(thread: threading.Thread) -> bool:
    """Whether a thread of a pool waits for its next call: nobody will end what the last one left.
    Nothing but the standard library is at work on it then."""
    if callers.on_thread(thread.ident or 0) is not None:
        return False
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_PACKAGES) or not name.startswith(("<frozen", _STANDARD)):
            return False
        frame = frame.f_back
    return True


def _ended(opened: _Opened) -> None:
    if opened.logged:
        seconds = time.monotonic() - (opened.since or 0.0)
        _log.warning("The transaction of %s ended after %.0f s", opened.logged, seconds)
    opened.since, opened.block, opened.logged = None, None, ""


def _transaction(
    connection: BaseDatabaseWrapper, opened: _Opened, seconds: float
) -> OpenTransaction:
    caller = callers.on_thread(opened.thread.ident or 0)
    return OpenTransaction(
        holder=str(caller) if caller is not None else _thread(opened),
        database=connection.alias,
        locks_whole_database=locks_whole_database(connection),
        seconds=round(seconds, 1),
        run_id=caller.run_id if caller is not None else "",
        node=caller.node if caller is not None else "",
        process=reports.own_process(),
    )


def _thread(opened: _Opened) -> str:
    """A thread that user code has made itself: where it is, or where it first connected."""
    frame = sys._current_frames().get(opened.thread.ident or 0)
    place = (place_of(frame) if opened.thread.is_alive() else "") or opened.place
    where = f" (at {place})" if place else ""
    beside = f", which connected during {opened.at_work}," if opened.at_work else ""
    return f"Thread {opened.thread.name!r} of user code{where}{beside}"


def place_of(frame: FrameType | None) -> str:
    """The innermost frame that is no library's, as `file:line in function`; empty without one."""
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(("<", *_LIBRARIES)):
            return f"{name}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return ""


class _Watch(threading.Thread):
    """Looks and reports until it is to end, and then for as long as a transaction is long: a call
    may outlive its node, and its worker's job."""

    def __init__(self) -> None:
        super().__init__(name="open-transactions", daemon=True)
        self._ending = threading.Event()
        self._path = reports.path_of(_KIND, f"-{id(self)}")

    def run(self) -> None:
        reports.remove_stale(_KIND)
        while not self._ending.wait(LOOK_SECONDS):
            self._report()
        while self._report():
            time.sleep(LOOK_SECONDS)

    def end(self) -> None:
        """End as soon as there is nothing to report; does not wait for what there is."""
        self._ending.set()
        self.join(LOOK_SECONDS)

    def _report(self) -> bool:
        transactions = find()
        try:
            reports.publish(self._path, transactions)
        except OSError as error:
            _log.warning("Long transactions cannot be reported to other processes: %s", error)
        return bool(transactions)


def _forgetting(key: int) -> Callable[[object], None]:
    def forget(_: object) -> None:
        _opened.pop(key, None)

    return forget
