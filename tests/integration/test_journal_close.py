"""Closing the journal lets go of every database connection that it opened."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runs.journal.journal import READERS, DurableJournal

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_reader_keeps_its_connection() -> None:
    for _ in range(20):
        journal = DurableJournal(lambda ref: None)
        together = threading.Barrier(READERS)
        readers = [journal._readers.submit(_connect, together) for _ in range(READERS)]
        opened = [reader.result() for reader in readers]
        journal.close()

        assert [connection.connection for connection in opened] == [None] * READERS


def _connect(together: threading.Barrier) -> BaseDatabaseWrapper:
    connection = connections["default"]
    connection.ensure_connection()
    together.wait()  # one in each thread
    return connection
