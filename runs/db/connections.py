"""One thread's database connections between two calls of user code: usable, in autocommit mode, and
with nothing open."""

from __future__ import annotations

import logging
import select
import sqlite3
import threading
import time
from contextlib import suppress
from typing import Any
from weakref import ref

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Connection
from psycopg.pq import TransactionStatus

from runs.db import sessions

_log = logging.getLogger("fastgraph.node")

#: A Postgres connection that was idle for longer is checked before its next query. Seconds.
IDLE_CHECK_SECONDS = 30.0
#: A database alias that does not exist, for `atomic()` blocks whose transaction was rolled back.
ROLLED_BACK = "(a transaction that was rolled back when the call that began it returned)"

#: Attributes of a connection: its execute wrappers before apps set it up, and those that they hung
#: on it.
_BEFORE, _WRAPPERS = "fastgraph_wrappers_before", "fastgraph_wrappers"

_OPEN = {TransactionStatus.ACTIVE, TransactionStatus.INTRANS, TransactionStatus.INERROR}


class _Thread(threading.local):
    """What this module knows of the current thread."""

    def __init__(self) -> None:
        self.connected: list[ref[BaseDatabaseWrapper]] = []
        self.used_at = time.monotonic()


_thread = _Thread()


def note_connection(connection: BaseDatabaseWrapper) -> None:
    """Remember that this thread has connected: in `connections`, or by `create_connection`."""
    known = of_thread()
    if connection not in known:
        _thread.connected = [ref(each) for each in (*known, connection)]


def before_setup(connection: BaseDatabaseWrapper) -> None:
    """It has just connected, and no app has been told."""
    vars(connection)[_BEFORE] = sessions.others(connection)


def keep_wrappers(connection: BaseDatabaseWrapper) -> None:
    """No node has run on this thread yet: what is in place stays."""
    vars(connection)[_WRAPPERS] = sessions.others(connection)


def note_wrappers(connection: BaseDatabaseWrapper) -> None:
    """Every app has been told of the new connection: the execute wrappers that came are theirs."""
    before = vars(connection).get(_BEFORE, ())
    new = [each for each in sessions.others(connection) if each not in before]
    kept: list[Any] = vars(connection).setdefault(_WRAPPERS, [])
    kept.extend(new)
    if new and before:  # an `execute_wrapper` block takes away the last when it ends
        connection.execute_wrappers[:] = [*new, *before]


def of_thread() -> list[BaseDatabaseWrapper]:
    """What has connected on this thread in calls of user code, open or closed. Not read from
    `connections`, which takes ten times as long."""
    found = [reference() for reference in _thread.connected]
    return [connection for connection in found if connection is not None]


def refresh() -> None:
    """Before a call: close the connections that broke since the last one. Django opens new ones.

    Asks the server only about a connection that had an error, was idle for long, or, on Postgres,
    whose socket has something to read; with CONN_HEALTH_CHECKS not before its next query.
    """
    if not _thread.connected:
        return
    now = time.monotonic()
    idle = now - _thread.used_at > IDLE_CHECK_SECONDS
    for connection in of_thread():
        if connection.connection is None:
            continue
        if _is_closed(connection):
            connection.close()
        elif connection.errors_occurred or (connection.close_at or now + 1) <= now:
            connection.close_if_unusable_or_obsolete()
        elif not idle and _is_quiet(connection):  # the type stubs do not know the attribute
            vars(connection)["health_check_done"] = True
        elif connection.settings_dict["CONN_HEALTH_CHECKS"]:
            vars(connection)["health_check_done"] = False
        elif not connection.is_usable():
            connection.close()


def leftovers(connection: BaseDatabaseWrapper, *, in_error: bool = False) -> str:
    """What the last call left open on `connection`, in words; empty when there is nothing.

    Closes cursors that were left. After an error (`in_error`) they are no fault: its traceback
    keeps them alive.
    """
    return _left_open(connection, in_error) or _left_wrapper(connection)


def _left_wrapper(connection: BaseDatabaseWrapper) -> str:
    if len(connection.execute_wrappers) <= 1 and sessions.is_watched(connection):
        return ""
    kept = vars(connection).get(_WRAPPERS, ())
    left = any(each not in kept for each in sessions.others(connection))
    return "an execute_wrapper in place" if left else ""


def _left_open(connection: BaseDatabaseWrapper, in_error: bool) -> str:
    if connection.in_atomic_block:
        return "an atomic() block open"
    if connection.needs_rollback:
        return "a transaction marked for rollback"
    raw = connection.connection
    if raw is None or _is_closed(connection):  # by the server, or by the call
        return ""
    if connection.autocommit != connection.settings_dict["AUTOCOMMIT"]:
        return f"autocommit {'on' if connection.autocommit else 'off'}"
    if in_transaction(raw):
        return "a transaction open"
    if connection.autocommit and not _commits_by_itself(raw):
        return "autocommit off"
    if sessions.close_cursors(connection) and not in_error:
        return "a cursor open"
    return ""


def leftovers_in_transaction(alias: str) -> str:
    """As `leftovers`, of all connections of this thread, inside a transaction of ours on database
    `alias`."""
    connection = connections[alias]
    if len(connection.atomic_blocks) != 1:
        return f"an atomic() block open on database {connection.alias!r}"
    if not in_transaction(connection.connection):
        return f"its transaction ended on database {connection.alias!r}"
    if left := _left_wrapper(connection):
        return f"{left} on database {connection.alias!r}"
    for other in of_thread():
        if other is not connection and (left := leftovers(other)):
            return f"{left} on database {other.alias!r}"
    return ""


def in_transaction(raw: Any) -> bool:
    """Whether a transaction is open on a connection of the driver; from any thread."""
    if isinstance(raw, Connection):
        return raw.pgconn.transaction_status in _OPEN
    with suppress(Exception):  # a closed connection of SQLite says so by an error
        return bool(getattr(raw, "in_transaction", False))
    return False


def reset(connection: BaseDatabaseWrapper) -> None:
    """Roll back what is open and close the connection, whatever state it is in. The `atomic()`
    blocks that were never left raise ConnectionDoesNotExist if they are left later: they must not
    end somebody else's transaction."""
    for block in connection.atomic_blocks:
        block.using = ROLLED_BACK
    sessions.restore_wrappers(connection, vars(connection).get(_WRAPPERS, ()))
    if connection.connection is not None:
        _roll_back(connection.connection)
    connection.in_atomic_block = connection.closed_in_transaction = False
    connection.savepoint_ids, connection.atomic_blocks = [], []
    connection.needs_rollback = False
    connection.commit_on_exit = True
    connection.autocommit = connection.settings_dict["AUTOCOMMIT"]
    try:
        connection.close()
    except Exception as error:
        _log.debug("A broken connection was dropped: %s", error)
        connection.connection = None
    if connection.connection is not None:  # SQLite in memory, which Django does not close
        connection.set_autocommit(connection.settings_dict["AUTOCOMMIT"])


def abandon(connection: BaseDatabaseWrapper) -> None:
    """Roll back and close a connection whose thread has ended; called on another thread, which
    Django's own methods refuse."""
    raw, connection.connection = connection.connection, None
    _roll_back(raw)
    try:
        raw.close()
    except Exception as error:
        _log.debug("A broken connection was dropped: %s", error)


def _roll_back(raw: Any) -> None:
    """First of all: when it returns, all locks are released."""
    if isinstance(raw, Connection) and raw.pgconn.transaction_status == TransactionStatus.ACTIVE:
        return  # a COPY or a stream is open: a rollback would wait for its end. Closing ends both
    try:
        raw.rollback()
    except Exception as error:
        _log.debug("Closing a connection that cannot roll back: %s", error)


def end_session(connection: BaseDatabaseWrapper) -> None:
    """After a clean call: close the connection if the call has changed its session."""
    if sessions.is_changed(connection):
        connection.close()
    _thread.used_at = time.monotonic()


def _is_closed(connection: BaseDatabaseWrapper) -> bool:
    raw = connection.connection
    if isinstance(raw, Connection):
        return raw.closed
    if isinstance(raw, sqlite3.Connection):
        try:
            raw.total_changes  # noqa: B018  the cheapest question that a closed connection refuses
        except Exception:
            return True
    return False


def _is_quiet(connection: BaseDatabaseWrapper) -> bool:
    """Whether nothing suggests that the connection is broken."""
    raw = connection.connection
    if not isinstance(raw, Connection):
        return True
    # A server that ends a connection sends a message, or at least the end of the stream.
    poll = select.poll()
    poll.register(raw.pgconn.socket, select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


def _commits_by_itself(raw: Any) -> bool:
    if isinstance(raw, Connection):
        return raw.autocommit
    return getattr(raw, "isolation_level", None) is None
