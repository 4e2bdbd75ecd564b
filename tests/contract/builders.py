"""Small values of the engine, as a journal is given them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from runs.engine import Checkpoint, ids, serde
from runs.engine.checkpoint import Change, Frontier, Note, NoteKind, Source
from runs.engine.events import CHECKPOINT, CUSTOM, Event
from runs.engine.journal.ports import Lease, Superstep

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)


def checkpoint(
    lease: Lease,
    step: int = 0,
    *,
    parent: Checkpoint | None = None,
    namespace: str = "",
    versions: Mapping[str, str] | None = None,
    frontier: Frontier | None = None,
    source: Source = "loop",
) -> Checkpoint:
    return Checkpoint(
        checkpoint_id=ids.checkpoint_id(
            run_id=lease.run_id, millis=lease.created_ms, namespace=namespace, step=step
        ),
        thread_id=lease.thread_id,
        run_id=lease.run_id,
        namespace=namespace,
        parent_id=parent.checkpoint_id if parent else None,
        step=step,
        source=source,
        versions=dict(versions or {}),
        frontier=frontier or Frontier(nodes=("next",)),
        created_at=NOW + timedelta(seconds=step),
    )


def full(channel: str, version: str, value: Any) -> Change:
    return Change(
        channel=channel, version=version, base=version, previous=None, value=serde.dumps(value)
    )


def delta(channel: str, version: str, value: Any, *, after: Change) -> Change:
    return Change(
        channel=channel,
        version=version,
        base=after.base,
        previous=after.version,
        value=serde.dumps(value),
    )


def superstep(
    made: Checkpoint, changes: Sequence[Change] = (), events: Sequence[Event] | None = None
) -> Superstep:
    said = Event(name=CHECKPOINT, ts=NOW, step=made.step, namespace=made.namespace)
    return Superstep(checkpoint=made, changes=changes, events=[said] if events is None else events)


def announced(made: Checkpoint) -> Event:
    """The event of a checkpoint, as the engine states it."""
    data = serde.dumps({"checkpoint_id": made.checkpoint_id, "next": []})
    return Event(name=CHECKPOINT, ts=NOW, step=made.step, namespace=made.namespace, data=data)


def custom(data: Any, *, task_id: str | None = None, namespace: str = "") -> Event:
    return Event(
        name=CUSTOM,
        ts=NOW,
        node="n",
        step=3,
        namespace=namespace,
        task_id=task_id,
        data=serde.dumps(data),
    )


def note(task_id: str, value: Any, *, kind: NoteKind = "step", idx: int = 0) -> Note:
    return Note(task_id=task_id, node="n", kind=kind, idx=idx, body=serde.dumps(value))


def task_id(name: str) -> str:
    return str(ids.derived("task", name))
