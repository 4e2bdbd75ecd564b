"""The specification finds what it is there to find: journals with one fault each fail it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from runs.engine import MemoryJournal
from runs.engine.checkpoint import Checkpoint, Note, Saved
from runs.engine.events import Event
from runs.engine.journal.ports import ArtifactRef, Lease, Superstep, Transacted
from tests.contract.journal_spec import SPEC
from tests.contract.worlds import MemoryWorld


class LosesOrder(MemoryJournal):
    """Keeps the events of a call in reverse."""

    def append(
        self, lease: Lease, events: Sequence[Event], artifacts: Sequence[ArtifactRef] = ()
    ) -> None:
        super().append(lease, events[::-1], artifacts)


class ForgetsNamespaces(MemoryJournal):
    """Has one head for all namespaces."""

    async def load(self, thread_id: str, *, namespace: str = "", **options: Any) -> Saved | None:
        return await super().load(thread_id, **options)


class NeverFences(MemoryJournal):
    """Takes what an old attempt writes."""

    def _guard(self, lease: Lease) -> None:
        self._attempts.pop(lease.run_id, None)
        events = self._events.get(lease.run_id)
        super()._guard(lease)
        if events is not None:
            self._events[lease.run_id] = events


class KeepsNotes(MemoryJournal):
    """Does not end notes with their superstep."""

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        notes = dict(self._thread(lease).notes)
        await super().commit(lease, superstep)
        self._thread(lease).notes.update(notes)


class ForgetsQuestions(MemoryJournal):
    """Keeps nothing of a superstep that is over."""

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        await super().commit(lease, superstep)
        parent_id = superstep.checkpoint.parent_id
        self._thread(lease).notes.pop((lease.run_id, parent_id or ""), None)


class SharesSubgraphs(MemoryJournal):
    """Finds the subgraphs of other runs."""

    async def load(self, thread_id: str, **options: Any) -> Saved | None:
        if options.get("namespace"):
            options.pop("run_id", None)
        return await super().load(thread_id, **options)


class TakesTheLastNote(MemoryJournal):
    """Writes over a note that is there."""

    def record(self, lease: Lease, checkpoint: Checkpoint, notes: Sequence[Note]) -> None:
        super().record(lease, checkpoint, notes)
        known = self._thread(lease).notes[lease.run_id, checkpoint.checkpoint_id]
        known.update({(note.task_id, note.kind, note.idx): note for note in notes})


class MixesBranches(MemoryJournal):
    """Gives every delta that was written to a full value."""

    async def load(self, thread_id: str, **options: Any) -> Saved | None:
        saved = await super().load(thread_id, **options)
        if saved is None:
            return None
        stored = self._threads[thread_id].changes.values()
        chains = {
            name: [change for change in stored if change.base == chain[0].base]
            for name, chain in saved.chains.items()
        }
        return replace(saved, chains=chains)


class WritesLate(MemoryJournal):
    """Keeps what a transaction gives without a look at who holds the run."""

    def transact(
        self, lease: Lease, checkpoint: Checkpoint, task_id: str, work: Callable[[], Transacted]
    ) -> Note:
        newest = self._attempts.get(lease.run_id, lease.attempt)
        return super().transact(replace(lease, attempt=newest), checkpoint, task_id, work)


class RepeatsTransactions(MemoryJournal):
    """Does not look whether a transaction is on record."""

    def transact(
        self, lease: Lease, checkpoint: Checkpoint, task_id: str, work: Callable[[], Transacted]
    ) -> Note:
        return super().transact(lease, checkpoint, "", work)


class HearsTooLittle(MemoryJournal):
    """Takes what was announced for kept."""

    async def heard(self, run_id: str) -> Any:
        return {}


class MixesRuns(MemoryJournal):
    """Takes the tasks of all runs for those of one."""

    async def updates(self, run_id: str) -> Any:
        each = [await MemoryJournal.updates(self, one) for one in self._events]
        return {task_id: data for told in each for task_id, data in told.items()}


class DeletesTooMuch(MemoryJournal):
    """Forgets everybody's events with a thread."""

    async def delete(self, thread_id: str) -> None:
        await super().delete(thread_id)
        self._events.clear()


class MakesRoom(MemoryJournal):
    """Has room because it gives up what was written."""

    async def room(self) -> None:
        for events in self._events.values():
            events.clear()


class WakesOne(MemoryJournal):
    """Lets on the first who asks for room, and nobody after that."""

    _asked = False

    async def room(self) -> None:
        if self._asked:
            await asyncio.Event().wait()
        self._asked = True


@pytest.mark.parametrize(
    "journal",
    [
        LosesOrder,
        ForgetsNamespaces,
        NeverFences,
        KeepsNotes,
        ForgetsQuestions,
        SharesSubgraphs,
        TakesTheLastNote,
        MixesBranches,
        WritesLate,
        RepeatsTransactions,
        HearsTooLittle,
        MixesRuns,
        DeletesTooMuch,
        MakesRoom,
        WakesOne,
    ],
)
async def test_a_broken_journal_is_found(
    journal: type[MemoryJournal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.contract.journal_spec.events.LONG", 0.2)
    failed = []
    for promise in SPEC:
        try:
            await promise(MemoryWorld(journal()))
        except (AssertionError, pytest.fail.Exception):
            failed.append(promise)
    assert failed, f"no promise finds a journal that {journal.__doc__}"
    assert len(failed) < len(SPEC), "it is broken in one place, not everywhere"
