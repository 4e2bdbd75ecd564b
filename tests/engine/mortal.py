"""A process that dies at any call of its journal, and one that takes over."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from runs.engine import Checkpoint, Command, CompiledGraph, MemoryJournal
from runs.engine.checkpoint import Note, Saved
from runs.engine.concurrency import stopping
from runs.engine.errors import GraphRecursionError, NodeError
from runs.engine.events import Event
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import Outcome, advance
from runs.engine.journal.durability import PacedJournal, paced
from runs.engine.journal.ports import ArtifactRef, Blob, Lease, Record, Superstep, Transacted
from runs.engine.superstep import pending as note_book

LEASE = Lease(run_id="run", thread_id="thread", created_ms=1_700_000_000_000)

STEPS = 20


class Killed(BaseException):
    """The process is gone."""


class MortalJournal(MemoryJournal):
    """Lets its process die at call number `dies_at`, before or after it was kept."""

    def __init__(self, dies_at: int | None = None, *, after: bool = False) -> None:
        super().__init__()
        self.calls = 0
        self.dead = False
        self._dies_at = dies_at
        self._after = after

    async def load(self, thread_id: str, **which: Any) -> Saved | None:
        with self:
            return await super().load(thread_id, **which)

    def append(
        self, lease: Lease, events: Sequence[Event], artifacts: Sequence[ArtifactRef] = ()
    ) -> None:
        with self:
            super().append(lease, events, artifacts)

    def record(self, lease: Lease, checkpoint: Checkpoint, notes: Sequence[Note]) -> None:
        with self:
            super().record(lease, checkpoint, notes)

    async def settle(self, lease: Lease) -> None:
        with self:
            await super().settle(lease)

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        with self:
            await super().commit(lease, superstep)

    def submit(
        self, lease: Lease, supersteps: Sequence[Superstep], records: Sequence[Record] = ()
    ) -> asyncio.Future[None]:
        with self:
            return super().submit(lease, supersteps, records)

    def transact(
        self, lease: Lease, checkpoint: Checkpoint, task_id: str, work: Callable[[], Transacted]
    ) -> Note:
        with self:
            return super().transact(lease, checkpoint, task_id, work)

    def __enter__(self) -> None:
        if self.dead:
            raise Killed
        self.calls += 1
        if self.calls == self._dies_at and not self._after:
            self.dead = True
            raise Killed

    def __exit__(self, *_: object) -> None:
        if self.calls == self._dies_at and self._after:
            self.dead = True
            raise Killed


class Files:
    """An artifact store in memory."""

    def write(self, data: bytes) -> Blob:
        return Blob(sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    def attach(self, ref: ArtifactRef) -> None:
        raise AssertionError("a journal in memory keeps no rows")


class LossyJournal(MortalJournal):
    """Writes a few calls later what nobody waits for; what is not written dies with its process."""

    BEHIND = 3

    def __init__(self, dies_at: int | None = None, *, after: bool = False) -> None:
        super().__init__(dies_at, after=after)
        self._waiting: deque[Callable[[], object]] = deque()

    def append(self, lease: Lease, *given: Any) -> None:
        with self:
            self._later(partial(MemoryJournal.append, self, lease, *given))

    def record(self, lease: Lease, *given: Any) -> None:
        with self:
            self._later(partial(MemoryJournal.record, self, lease, *given))

    async def settle(self, lease: Lease) -> None:
        self._write(0)
        await super().settle(lease)

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        self._write(0)
        await super().commit(lease, superstep)

    def submit(
        self, lease: Lease, supersteps: Sequence[Superstep], records: Sequence[Record] = ()
    ) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()

        def write() -> None:
            MemoryJournal.submit(self, lease, supersteps, records)
            done.set_result(None)

        with self:
            self._later(write)
        return done

    def _later(self, write: Callable[[], object]) -> None:
        self._waiting.append(write)
        self._write(self.BEHIND)

    def _write(self, left: int) -> None:
        if self.dead:
            self._waiting.clear()
            raise Killed
        while len(self._waiting) > left:
            self._waiting.popleft()()

    def __enter__(self) -> None:
        try:
            super().__enter__()
        except Killed:
            self._waiting.clear()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            super().__exit__()
        except Killed:
            self._waiting.clear()
            raise


class Hands:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


async def live(
    build: Callable[[], CompiledGraph],
    journal: MortalJournal,
    payload: dict[str, Any],
    durability: str = "sync",
) -> Any:
    """Run to the end, by a new process whenever one dies; every question is answered with its own
    text. The final state, or the name of what the graph raised."""
    clock = Hands()
    for attempt in range(1, 4 * STEPS):
        graph = build()
        lease = replace(LEASE, attempt=attempt)
        keeping = paced(journal, durability, lease)
        execution = Execution(
            graph=graph.graph,
            journal=keeping,
            lease=lease,
            clock=clock,
            step_limit=STEPS,
            artifacts=Files(),
        )
        try:
            outcome: Outcome | str = await _stopped(execution, keeping, payload)
        except Killed:
            await _end_of_its_tasks()
            journal.dead = False
            continue
        if isinstance(outcome, str):
            return outcome
        if outcome.status == "done":
            return graph.output(outcome.position)
        if outcome.until is not None:
            clock.time = max(clock.time, outcome.until)
        if outcome.interrupts:
            await _answer(graph, journal, outcome)
    raise AssertionError("it never ends")


async def _end_of_its_tasks() -> None:
    """What a dead process had begun does not go on beside the next one."""
    owned = {task for task in stopping._tasks if task.get_loop() is asyncio.get_running_loop()}
    left = (asyncio.all_tasks() | owned) - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)


async def _stopped(execution: Execution, journal: PacedJournal, payload: Any) -> Outcome | str:
    """How the run stopped, durably: where it stands, or the name of what the graph raised."""
    try:
        outcome: Outcome | str = await advance(execution, payload)
    except (NodeError, GraphRecursionError) as error:
        outcome = type(error.__cause__ or error).__name__
    journal.flush()
    await journal.settle(execution.lease)
    return outcome


async def _answer(graph: CompiledGraph, journal: MortalJournal, outcome: Outcome) -> None:
    saved = await MemoryJournal.load(journal, LEASE.thread_id)  # not by the process that dies
    assert saved is not None
    answers = {one.id: f"!{one.value}" for one in outcome.interrupts}
    known = note_book.read(saved.notes)
    said = note_book.resume(
        graph.graph, saved.checkpoint.run_id, saved.checkpoint, known, Command(resume=answers)
    )
    thread = journal._threads[saved.checkpoint.thread_id]
    kept = thread.notes[saved.checkpoint.run_id, saved.checkpoint.checkpoint_id]
    kept.update({(note.task_id, note.kind, note.idx): note for note in said})
