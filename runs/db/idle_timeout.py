"""Postgres ends our idle transactions after one lease, which releases their locks.

A process that is frozen inside a transaction would otherwise keep others from its rows for as long
as it lives, and only its own host can end it. What is ended here has lost its leases.
Postgres counts from its last answer: a process that stops with half of a pipeline sent is not seen.
The transactions of nodes are spared: a node may think between two queries for as long as it likes.
"""

from __future__ import annotations

import threading
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from runs.conf import conf
from runs.db.dialect import dialect_or_none

_thread = threading.local()


def enable_for_thread() -> None:
    """From now on that goes for this thread's transactions."""
    _thread.ours = True
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _limit(connection=connection)


def disable_for_thread() -> None:
    """From now on user code runs on this thread. A forked process has what `enable_for_thread` has
    set."""
    _thread.ours = False


def is_enabled() -> bool:
    """Whether `enable_for_thread` was called on this thread, so that no user code runs here."""
    return getattr(_thread, "ours", False)


def enable_for_transaction(connection: BaseDatabaseWrapper) -> None:
    """From now on, and until its end, that goes for the transaction that is open."""
    _limit_idle(connection, local=True)


def connect() -> None:
    """Set it on new connections; called once a process."""
    connection_created.connect(_limit, dispatch_uid="runs.db.idle_timeout")


def _limit(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if is_enabled():
        _limit_idle(connection, local=False)


def _limit_idle(connection: BaseDatabaseWrapper, *, local: bool) -> None:
    if (known := dialect_or_none(connection)) is not None:
        known.limit_idle(connection, conf().lease_seconds, local=local)
