"""A process that dies at any call of its journal, and one that takes over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runs.engine import Checkpoint, Command, CompiledGraph, MemoryJournal
from runs.engine import notes as note_book
from runs.engine.checkpoint import Note
from runs.engine.errors import GraphRecursionError, NodeError
from runs.engine.events import Event
from runs.engine.execution import Execution
from runs.engine.loop import Outcome, advance
from runs.engine.ports import ArtifactRef, Lease, Superstep

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


class Hands:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


async def live(
    build: Callable[[], CompiledGraph], journal: MortalJournal, payload: dict[str, Any]
) -> Any:
    """Run to the end, by a new process whenever one dies; every question is answered with its own
    text. The final state, or the name of what the graph raised."""
    clock = Hands()
    for attempt in range(1, 4 * STEPS):
        graph = build()
        lease = replace(LEASE, attempt=attempt)
        execution = Execution(
            graph=graph.graph, journal=journal, lease=lease, clock=clock, step_limit=STEPS
        )
        try:
            outcome = await advance(execution, payload)
        except (Killed, NodeError, GraphRecursionError) as error:
            if not journal.dead:
                return type(error.__cause__ or error).__name__
            journal.dead = False
            continue
        if outcome.status == "done":
            return graph.output(outcome.position)
        if outcome.until is not None:
            clock.time = max(clock.time, outcome.until)
        if outcome.interrupts:
            await _answer(graph, journal, outcome)
    raise AssertionError("it never ends")


async def _answer(graph: CompiledGraph, journal: MortalJournal, outcome: Outcome) -> None:
    saved = await journal.load(LEASE.thread_id)
    assert saved is not None
    answers = {one.id: f"!{one.value}" for one in outcome.interrupts}
    known = note_book.read(saved.notes)
    said = note_book.resume(
        graph.graph, saved.checkpoint.run_id, saved.checkpoint, known, Command(resume=answers)
    )
    thread = journal._threads[saved.checkpoint.thread_id]
    kept = thread.notes[saved.checkpoint.run_id, saved.checkpoint.checkpoint_id]
    kept.update({(note.task_id, note.kind, note.idx): note for note in said})
