"""Transactions of ours that stand still: on Postgres they end after a lease, with what they locked.

A process that is frozen in the middle of one would keep everybody else from these rows for as long
as it lives, and only its own host can end it. What is ended here has lost its leases.
Postgres counts from its last answer: who stops with half of a pipeline sent is not seen. Not meant
are the transactions of nodes, which may think between two queries for as long as they like.
"""

from __future__ import annotations

import threading
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from runs.conf import conf

_SET = "SET {}idle_in_transaction_session_timeout = {}"

_thread = threading.local()


def end_here() -> None:
    """From now on that goes for this thread's transactions."""
    _thread.ours = True
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _limit(connection=connection)


def spare_here() -> None:
    """From now on user code runs on this thread. A forked process has what `end_here` has set."""
    _thread.ours = False


def is_ours() -> bool:
    """Whether `end_here` was called on this thread, so that no user code runs here."""
    return getattr(_thread, "ours", False)


def end_this(connection: BaseDatabaseWrapper) -> None:
    """From now on, and until its end, that goes for the transaction that is open."""
    if connection.vendor == "postgresql":
        _execute(connection, "LOCAL ")


def connect() -> None:
    """Hear of new connections; called once a process."""
    connection_created.connect(_limit, dispatch_uid="runs.idle")


def _limit(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if is_ours() and connection.vendor == "postgresql":
        _execute(connection)


def _execute(connection: BaseDatabaseWrapper, scope: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SET.format(scope, max(1, int(conf().lease_seconds * 1000))))
