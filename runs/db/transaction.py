"""Transactions in as few round trips as possible, which Django knows of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from runs.db.dialect import dialect
from runs.db.statements import connect, is_logged


@contextmanager
def fast_transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """As `transaction.atomic()`, for a part of its cost: BEGIN and COMMIT have no round trips of
    their own, and `statements` sends what it writes together. Within another transaction it is a
    savepoint, as `atomic` is.

    The ORM, savepoints and `on_commit` work in it. The first error of a write is raised at the next
    query or at the end; then nothing was written.
    """
    if is_logged(connection) or connection.in_atomic_block:
        with transaction.atomic(using=connection.alias):
            yield
        return
    connect(connection)
    with _known_to_django(connection), dialect(connection).begin(connection):
        yield
        if connection.needs_rollback:
            raise transaction.TransactionManagementError(
                "An error in an inner atomic() block has undone this transaction."
            )
    connection.run_and_clear_commit_hooks()


@contextmanager
def _known_to_django(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """In the block Django sees an open transaction, and begins none of its own."""
    autocommit = connection.autocommit
    connection.commit_on_exit, connection.needs_rollback = True, False
    connection.in_atomic_block, connection.autocommit = True, False
    try:
        yield
    except BaseException:
        connection.run_on_commit = []
        raise
    finally:
        connection.in_atomic_block = connection.needs_rollback = False
        if connection.closed_in_transaction:
            connection.connection = None
        else:
            connection.autocommit = autocommit
