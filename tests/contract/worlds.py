"""A journal with runs to write to it: in memory, or in the database under test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from django.db import connections
from django.db.models import F

from runs.engine import Journal, MemoryJournal, ids
from runs.engine.journal.ports import Lease
from runs.journal.journal import DurableJournal
from runs.models import Run, RunStatus, Thread

T = TypeVar("T")
#: What may wait to be written: little, so that there is not always room.
QUEUE_BYTES = 150_000
CREATED = 1_700_000_000_000


class World(Protocol):
    """What a specification needs beside the journal."""

    @property
    def journal(self) -> Journal: ...

    async def run(self, thread_id: str | None = None) -> Lease:
        """A run that may be written to, on a new thread or a known one."""
        ...

    async def take_over(self, lease: Lease) -> Lease:
        """Let somebody else claim the run."""
        ...


class MemoryWorld:
    def __init__(self, journal: MemoryJournal | None = None) -> None:
        self.journal = journal or MemoryJournal()

    async def run(self, thread_id: str | None = None) -> Lease:
        run_id = str(ids.uuid7())
        return Lease(
            run_id=run_id, thread_id=thread_id or str(ids.uuid7()), attempt=1, created_ms=CREATED
        )

    async def take_over(self, lease: Lease) -> Lease:
        taken = _next(lease)
        await self.journal.settle(taken)
        return taken


class DurableWorld:
    def __init__(self) -> None:
        self.journal = DurableJournal(lambda ref: None, queue_bytes=QUEUE_BYTES)

    async def run(self, thread_id: str | None = None) -> Lease:
        return await in_thread(_create, thread_id)

    async def take_over(self, lease: Lease) -> Lease:
        await in_thread(_claim_again, lease)
        return _next(lease)

    async def set_status(self, lease: Lease, status: RunStatus) -> None:
        await in_thread(Run.objects.filter(id=UUID(lease.run_id)).update, status=status)


async def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call what uses the ORM, and leave no connection behind: the test database could not be
    dropped."""

    def call() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)


def _next(lease: Lease) -> Lease:
    return Lease(
        run_id=lease.run_id,
        thread_id=lease.thread_id,
        attempt=lease.attempt + 1,
        created_ms=lease.created_ms,
    )


def _create(thread_id: str | None) -> Lease:
    if thread_id is None:
        thread = Thread.objects.create()
    else:
        thread = Thread.objects.get(id=UUID(thread_id))
    run = Run.objects.create(
        thread=thread,
        workflow="w",
        status=RunStatus.RUNNING,
        attempt=1,
        created_at=datetime.fromtimestamp(CREATED / 1000, UTC),
    )
    return Lease(run_id=str(run.id), thread_id=str(thread.id), attempt=1, created_ms=CREATED)


def _claim_again(lease: Lease) -> None:
    Run.objects.filter(id=UUID(lease.run_id)).update(attempt=F("attempt") + 1, entries=0)
