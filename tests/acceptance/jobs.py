"""django-q2 jobs of the acceptance tests. Each writes its pid to a file that the test waits for."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from django.db import transaction

from runs.models import Thread
from runs.process import stop_request


def note(path: str) -> None:
    """Say who ran."""
    _write(path)


def for_ever(path: str) -> None:
    """Never return, and take no notice of being asked to. Only once: django-q2 hands the job of a
    killed worker out again, and it would hold the worker of a later test."""
    if Path(path).exists():
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(path)
    while True:
        time.sleep(60)


def until_stopping(path: str) -> None:
    """Return when the cluster is asked to stop, and say that it was."""
    _write(path)
    while not stop_request.wait(60):
        pass
    _write(f"{path}.stopped")


def big_result(path: str) -> str:
    """Give back more than fits a record of the queue."""
    _write(path)
    return "x" * 1_000_000


def leave_transaction_open() -> None:
    """Write a row, and never commit it."""
    transaction.atomic().__enter__()
    Thread.objects.create()


async def asynchronous(path: str) -> None:
    """What django-q2 cannot run."""


def _write(path: str) -> None:
    part = Path(f"{path}.part")
    part.write_text(str(os.getpid()))
    part.rename(path)
