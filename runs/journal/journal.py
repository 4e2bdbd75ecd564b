"""The durable Journal: the engine's port onto the database.

Writes go through the process's `Writer` (group commit, fencing); reads have threads and database
connections of their own, so that neither waits for the other.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import close_old_connections, connections

from runs.db.retry import Outage, on_connection, while_away_async
from runs.engine import serde
from runs.engine.checkpoint import Checkpoint, Note, Saved
from runs.engine.events import Event
from runs.engine.journal.ports import ArtifactRef, Lease, Record, Superstep, Transacted
from runs.journal import atomic_nodes, reading
from runs.journal.entry import Ending, Entry, Waiter
from runs.journal.writer import QUEUE_BYTES, Writer
from runs.models import Event as EventRow
from runs.models import Thread
from runs.notify.changes import CommitHint

T = TypeVar("T")

READERS = 4


class DurableJournal:
    """One per process that executes runs. `attach` inserts an artifact's row; it is called inside
    the transaction that the artifact's event is written in. `hint` is called after each commit, on
    the writer's thread: it must not block, nor raise. `queue_bytes` may wait to be written before
    `room` waits."""

    def __init__(
        self,
        attach: Callable[[ArtifactRef], None],
        hint: CommitHint = lambda ended: None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._attach = attach
        self._hint = hint
        self._writer = Writer(attach, hint, queue_bytes)
        self._outage = Outage("the journal's reader")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="journal-reader")

    async def load(
        self,
        thread_id: str,
        *,
        namespace: str = "",
        checkpoint_id: str | None = None,
        run_id: str | None = None,
    ) -> Saved | None:
        return await self._read(reading.load, thread_id, namespace, checkpoint_id, run_id)

    def append(
        self, lease: Lease, events: Sequence[Event], artifacts: Sequence[ArtifactRef] = ()
    ) -> None:
        self._writer.put(Entry(lease=lease, events=events, artifacts=artifacts))

    def record(self, lease: Lease, checkpoint: Checkpoint, notes: Sequence[Note]) -> None:
        record = Record(
            namespace=checkpoint.namespace, checkpoint_id=checkpoint.checkpoint_id, notes=notes
        )
        self._writer.put(Entry(lease=lease, records=[record]))

    async def room(self) -> None:
        while self._writer.behind:
            waiter = Waiter(asyncio.get_running_loop())
            self._writer.when_lighter(waiter)
            await waiter.future

    async def settle(self, lease: Lease) -> None:
        await self._put(Entry(lease=lease))

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        await self._put(Entry(lease=lease, supersteps=[superstep]))

    def submit(
        self, lease: Lease, supersteps: Sequence[Superstep], records: Sequence[Record] = ()
    ) -> asyncio.Future[None]:
        return self._put(Entry(lease=lease, supersteps=supersteps, records=records, ahead=True))

    def transact(
        self, lease: Lease, checkpoint: Checkpoint, task_id: str, work: Callable[[], Transacted]
    ) -> Note:
        return atomic_nodes.transact(lease, checkpoint, task_id, work, self._attach, self._hint)

    async def updates(self, run_id: str) -> Mapping[str, bytes]:
        return await self._read(reading.updates, run_id)

    async def heard(self, run_id: str) -> Mapping[str, Sequence[tuple[str, bytes]]]:
        return await self._read(reading.heard, run_id, None)

    async def end(
        self,
        lease: Lease,
        ending: Ending,
        events: Sequence[Event] = (),
        artifacts: Sequence[ArtifactRef] = (),
    ) -> None:
        """End the attempt: the run's status, its last events and artifacts in one transaction.
        Nothing that this lease writes afterwards is kept."""
        await self._put(Entry(lease=lease, ending=ending, events=events, artifacts=artifacts))

    async def history(
        self, thread_id: str, *, namespace: str = "", limit: int | None = None
    ) -> Sequence[Checkpoint]:
        return await self._read(reading.checkpoints, thread_id, namespace, limit)

    async def events(self, run_id: str) -> Sequence[Mapping[str, Any]]:
        return await self._read(_events, run_id)

    async def delete(self, thread_id: str) -> None:
        await self._read(_delete, thread_id)

    def close(self, *, seconds: float = 10.0) -> None:
        """Write what is queued, then let go of threads and connections."""
        self._writer.close(seconds=seconds)
        together = threading.Barrier(READERS)
        for _ in range(READERS):
            self._readers.submit(_let_go, together, seconds)
        self._readers.shutdown(wait=True)

    def _put(self, entry: Entry) -> asyncio.Future[None]:
        entry.waiter = waiter = Waiter(asyncio.get_running_loop())
        self._writer.put(entry)
        return waiter.future

    async def _read(self, function: Callable[..., T], *args: Any) -> T:
        """What `function` reads, and again while the database cannot be read: a run that begins, or
        is taken up, while the database restarts has done nothing wrong."""
        loop, query = asyncio.get_running_loop(), partial(_fresh, function, *args)
        # The pauses are not in the reader's thread: others may have more luck.
        return await while_away_async(
            lambda: loop.run_in_executor(self._readers, query), outage=self._outage
        )


def _fresh(function: Callable[..., T], *args: Any) -> T:
    # A connection that the server has closed meanwhile is found out here, not in the query.
    close_old_connections()
    return on_connection(partial(function, *args))


def _let_go(together: threading.Barrier, seconds: float) -> None:
    # All at once, so that no thread does it twice and another one never.
    with suppress(threading.BrokenBarrierError):
        together.wait(seconds)
    connections.close_all()


def _events(run_id: str) -> list[Mapping[str, Any]]:
    found = EventRow.objects.filter(run_id=UUID(run_id)).order_by("seq")
    return [
        {
            "seq": event.seq,
            "event": event.name,
            "node": event.node,
            "step": event.step,
            "namespace": event.namespace,
            "data": serde.show(event.data) if event.data else None,
        }
        for event in found
    ]


def _delete(thread_id: str) -> None:
    Thread.objects.filter(id=UUID(thread_id)).delete()
