"""MemoryJournal: the journal for scripts and tests. Same contract as the durable one, gone with
the process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import serde
from .checkpoint import Change, Checkpoint, Saved, TaskWrites
from .errors import Fenced
from .events import CHECKPOINT, Event
from .ports import ArtifactRef, Lease, Superstep


@dataclass
class _Thread:
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    changes: dict[tuple[str, str, str], Change] = field(default_factory=dict)
    pending: dict[str, dict[str, tuple[str, bytes]]] = field(default_factory=dict)
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
        thread = self._threads.get(thread_id)
        if thread is None:
            return None
        at = checkpoint_id or thread.heads.get(namespace)
        checkpoint = thread.checkpoints.get(at) if at else None
        if checkpoint is None:
            return None
        pending = thread.pending.get(checkpoint.checkpoint_id, {})
        return Saved(
            checkpoint=checkpoint,
            chains={
                channel: self._chain(thread, namespace, channel, version)
                for channel, version in checkpoint.versions.items()
            },
            done={
                task_id: TaskWrites.loads(task_id, node, data)
                for task_id, (node, data) in pending.items()
            },
            heard=_heard(self._events.get(run_id or "", ())),
            entered=_entered(thread.checkpoints.values(), checkpoint.run_id, namespace),
        )

    def append(
        self, lease: Lease, events: Sequence[Event], artifacts: Sequence[ArtifactRef] = ()
    ) -> None:
        self._guard(lease)
        self._events.setdefault(lease.run_id, []).extend(events)

    def record(self, lease: Lease, checkpoint: Checkpoint, task: TaskWrites, path: str) -> None:
        self._guard(lease)
        pending = self._thread(lease).pending.setdefault(checkpoint.checkpoint_id, {})
        pending[task.task_id] = (task.node, task.dumps())

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        self._guard(lease)
        thread, checkpoint = self._thread(lease), superstep.checkpoint
        thread.checkpoints[checkpoint.checkpoint_id] = checkpoint
        thread.heads[checkpoint.namespace] = checkpoint.checkpoint_id
        for change in superstep.changes:
            thread.changes[checkpoint.namespace, change.channel, change.version] = change
        if checkpoint.parent_id is not None:
            thread.pending.pop(checkpoint.parent_id, None)
        self._events.setdefault(lease.run_id, []).extend(superstep.events)

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
                "data": serde.loads(event.data) if event.data else None,
            }
            for seq, event in enumerate(self._events.get(run_id, ()), start=1)
        ]

    async def delete(self, thread_id: str) -> None:
        thread = self._threads.pop(thread_id, _Thread())
        for run_id in thread.runs:
            self._events.pop(run_id, None)
            self._attempts.pop(run_id, None)

    def _guard(self, lease: Lease) -> None:
        newest = self._attempts.setdefault(lease.run_id, lease.attempt)
        if lease.attempt < newest:
            raise Fenced(f"Attempt {lease.attempt} of run {lease.run_id} is over.")
        self._attempts[lease.run_id] = lease.attempt

    def _thread(self, lease: Lease) -> _Thread:
        thread = self._threads.setdefault(lease.thread_id, _Thread())
        thread.runs.add(lease.run_id)
        return thread

    @staticmethod
    def _chain(thread: _Thread, namespace: str, channel: str, version: str) -> list[Change]:
        chain = [thread.changes[namespace, channel, version]]
        while chain[-1].is_delta:
            previous = chain[-1].previous
            assert previous is not None
            chain.append(thread.changes[namespace, channel, previous])
        return chain[::-1]


def _heard(events: Iterable[Event]) -> dict[str, list[tuple[str, bytes]]]:
    """What tasks stated since the last checkpoint."""
    heard: dict[str, list[tuple[str, bytes]]] = {}
    for event in events:
        if event.name == CHECKPOINT:
            heard.clear()
        elif event.task_id is not None:
            heard.setdefault(event.task_id, []).append((event.name, event.data))
    return heard


def _entered(checkpoints: Iterable[Checkpoint], run_id: str, namespace: str) -> int:
    own = [c for c in checkpoints if c.run_id == run_id and c.namespace == namespace]
    first = min(own, key=lambda checkpoint: checkpoint.step)
    return first.step if first.source in ("input", "fork") else first.step - 1
