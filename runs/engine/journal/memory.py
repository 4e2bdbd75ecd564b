"""MemoryJournal: the journal for scripts and tests. Same contract as the durable one, gone with
the process. It has no transaction that a node's own writes could be part of: `transact` keeps
what the journal is given together or not at all, and undoes nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runs.engine import serde
from runs.engine.checkpoint import Change, Checkpoint, Note, Saved
from runs.engine.errors import Fenced
from runs.engine.events import CHECKPOINT, NODE_UPDATE, RETRY, Event, checkpoint_id_of
from runs.engine.journal.ports import ArtifactRef, Lease, Record, Superstep, Transacted
from runs.engine.journal.replayed_events import forget_inside

#: Notes of one run on one superstep, by task, kind and number.
_Notes = dict[tuple[str, str, int], Note]


@dataclass
class _Thread:
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    heads: dict[tuple[str, str], str] = field(default_factory=dict)
    changes: dict[tuple[str, str, str], Change] = field(default_factory=dict)
    notes: dict[tuple[str, str], _Notes] = field(default_factory=dict)
    entered: dict[tuple[str, str], int] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)


class MemoryJournal:
    """Keeps threads in this process. What it stores is encoded, so no caller can change it."""

    def __init__(self) -> None:
        self._threads: dict[str, _Thread] = {}
        self._events: dict[str, list[Event]] = {}
        self._attempts: dict[str, int] = {}

    async def load(
        self,
        thread_id: str,
        *,
        namespace: str = "",
        checkpoint_id: str | None = None,
        run_id: str | None = None,
    ) -> Saved | None:
        thread = self._threads.get(thread_id, _Thread())
        newest = thread.heads.get((namespace, run_id or "" if namespace else ""), "")
        checkpoint = thread.checkpoints.get(checkpoint_id or newest)
        if checkpoint is None or checkpoint.namespace != namespace:
            return None
        run_id = run_id or checkpoint.run_id
        return Saved(
            checkpoint=checkpoint,
            chains={
                channel: self._chain(thread, namespace, channel, version)
                for channel, version in checkpoint.versions.items()
            },
            notes=list(thread.notes.get((run_id, checkpoint.checkpoint_id), {}).values()),
            heard={} if namespace else _heard(self._events.get(run_id, ()), thread.checkpoints),
            entered=thread.entered[checkpoint.run_id, namespace],
        )

    def append(
        self, lease: Lease, events: Sequence[Event], artifacts: Sequence[ArtifactRef] = ()
    ) -> None:
        self._guard(lease)
        self._events[lease.run_id].extend(events)

    def record(self, lease: Lease, checkpoint: Checkpoint, notes: Sequence[Note]) -> None:
        self._guard(lease)
        self._note(lease, checkpoint.checkpoint_id, notes)

    async def room(self) -> None:
        """There always is: what it keeps it keeps in memory anyway."""

    async def settle(self, lease: Lease) -> None:
        self._guard(lease)

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        self._guard(lease)
        self._keep(lease, superstep)

    def submit(
        self, lease: Lease, supersteps: Sequence[Superstep], records: Sequence[Record] = ()
    ) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._guard(lease)
        except Fenced as error:
            done.set_exception(error)
            return done
        for superstep in supersteps:
            self._keep(lease, superstep)
        for record in records:
            self._note(lease, record.checkpoint_id, record.notes)
        done.set_result(None)
        return done

    def transact(
        self, lease: Lease, checkpoint: Checkpoint, task_id: str, work: Callable[[], Transacted]
    ) -> Note:
        thread = self._threads.get(lease.thread_id, _Thread())
        known = thread.notes.get((lease.run_id, checkpoint.checkpoint_id), {})
        if (found := known.get((task_id, "writes", 0))) is not None:
            return found
        done = work()
        self.append(lease, done.events, done.artifacts)
        self.record(lease, checkpoint, [done.note])
        return done.note

    async def updates(self, run_id: str) -> Mapping[str, bytes]:
        told = self._events.get(run_id, ())
        return {e.task_id: e.data for e in told if e.name == NODE_UPDATE and e.task_id}

    async def heard(self, run_id: str) -> Mapping[str, Sequence[tuple[str, bytes]]]:
        return _heard(self._events.get(run_id, ()), ())

    def _note(self, lease: Lease, checkpoint_id: str, notes: Sequence[Note]) -> None:
        kept, place = self._thread(lease).notes, (lease.run_id, checkpoint_id)
        known = kept.get(place)
        if known is None:
            known = kept[place] = {}
        for note in notes:
            known.setdefault((note.task_id, note.kind, note.idx), note)

    def _keep(self, lease: Lease, superstep: Superstep) -> None:
        thread, checkpoint = self._thread(lease), superstep.checkpoint
        thread.checkpoints[checkpoint.checkpoint_id] = checkpoint
        thread.heads[checkpoint.namespace, ""] = checkpoint.checkpoint_id
        thread.heads[checkpoint.namespace, checkpoint.run_id] = checkpoint.checkpoint_id
        entered = (checkpoint.run_id, checkpoint.namespace)
        begins = checkpoint.source in ("input", "fork")
        if begins or entered not in thread.entered:
            thread.entered[entered] = checkpoint.step if begins else checkpoint.step - 1
        for change in superstep.changes:
            thread.changes[checkpoint.namespace, change.channel, change.version] = change
        if checkpoint.parent_id is not None:
            over = (lease.run_id, checkpoint.parent_id)
            asked = {
                key: note
                for key, note in thread.notes.pop(over, {}).items()
                if note.kind == "interrupt"
            }
            if asked:
                thread.notes[over] = asked
        self._events[lease.run_id].extend(superstep.events)

    async def history(
        self, thread_id: str, *, namespace: str = "", limit: int | None = None
    ) -> Sequence[Checkpoint]:
        thread = self._threads.get(thread_id, _Thread())
        found = [c for c in thread.checkpoints.values() if c.namespace == namespace]
        found.sort(key=lambda checkpoint: checkpoint.checkpoint_id, reverse=True)
        return found[:limit]

    async def events(self, run_id: str) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "seq": seq,
                "event": event.name,
                "node": event.node,
                "step": event.step,
                "namespace": event.namespace,
                "data": serde.show(event.data) if event.data else None,
            }
            for seq, event in enumerate(self._events.get(run_id, ()), start=1)
        ]

    async def delete(self, thread_id: str) -> None:
        thread = self._threads.pop(thread_id, _Thread())
        for run_id in thread.runs:
            self._events.pop(run_id, None)
            self._attempts.pop(run_id, None)

    def _guard(self, lease: Lease) -> None:
        newest = self._attempts.get(lease.run_id)
        if newest == lease.attempt:
            return
        if newest is not None and lease.attempt < newest:
            raise Fenced(f"Attempt {lease.attempt} of run {lease.run_id} is over.")
        self._attempts[lease.run_id] = lease.attempt
        self._events.setdefault(lease.run_id, [])
        self._thread(lease).runs.add(lease.run_id)

    def _thread(self, lease: Lease) -> _Thread:
        thread = self._threads.get(lease.thread_id)
        if thread is None:
            thread = self._threads[lease.thread_id] = _Thread()
        return thread

    @staticmethod
    def _chain(thread: _Thread, namespace: str, channel: str, version: str) -> list[Change]:
        chain = [thread.changes[namespace, channel, version]]
        while chain[-1].is_delta:
            previous = chain[-1].previous
            assert previous is not None
            chain.append(thread.changes[namespace, channel, previous])
        return chain[::-1]


def _heard(events: Iterable[Event], kept: Container[str]) -> dict[str, list[tuple[str, bytes]]]:
    """What tasks stated since the last checkpoint of their namespace that is `kept`, and the
    checkpoints that were announced since."""
    heard: dict[str, dict[str, list[tuple[str, bytes]]]] = {}
    for event in events:
        if event.name == CHECKPOINT:
            announced = checkpoint_id_of(event.data)
            if announced is None or announced in kept:
                heard.pop(event.namespace, None)
            else:
                heard.setdefault(event.namespace, {})[announced] = [(CHECKPOINT, event.data)]
        elif event.task_id is not None:
            told = heard.setdefault(event.namespace, {}).setdefault(event.task_id, [])
            told.append((event.name, event.data))
            if event.name == RETRY:
                forget_inside(heard, event.namespace, event.node, event.task_id)
    return {task_id: told for tasks in heard.values() for task_id, told in tasks.items()}
