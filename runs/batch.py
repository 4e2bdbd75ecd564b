"""One batch of entries in one transaction: guard, number, write.

The number of statements is fixed, whatever the number of runs and rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from runs import cancellation, doorbell, rows
from runs.engine import serde
from runs.engine.errors import Fenced
from runs.engine.ports import ArtifactRef
from runs.entries import Ending, Entry
from runs.models import TERMINAL, Checkpoint, Event, PendingWrite, Run, RunStatus, State, Thread

Attach = Callable[[ArtifactRef], None]


#: An id comes by several times: as a version, as a parent, with every entry of its run.
_id = lru_cache(maxsize=10_000)(UUID)


def _uuid(stored: UUID | str) -> UUID:
    return stored if isinstance(stored, UUID) else _id(stored)


@dataclass
class _Live:
    """A run of the batch whose attempt still holds it. `step` and `checkpoint_id` are of the graph
    itself: supersteps of a subgraph are progress, but leave them where they are."""

    entries: int
    seq: int
    thread_id: UUID
    step: int
    checkpoint_id: UUID | None
    cancel_requested_at: object
    cancel_by: str
    cancel_reason: str
    changed: bool = False
    progressed: bool = False
    moved: bool = False
    ended: bool = False


#: What the guard reads: the first fields of _Live.
_LIVE = (
    "entries",
    "seq",
    "thread_id",
    "step",
    "checkpoint_id",
    "cancel_requested_at",
    "cancel_by",
    "cancel_reason",
)


@dataclass
class _Rows:
    events: list[rows.Row] = field(default_factory=list)
    states: list[rows.Row] = field(default_factory=list)
    checkpoints: list[rows.Row] = field(default_factory=list)
    pending: dict[tuple[UUID, UUID], list[rows.Row]] = field(default_factory=dict)
    over: list[tuple[UUID, UUID]] = field(default_factory=list)
    artifacts: list[ArtifactRef] = field(default_factory=list)
    endings: list[rows.Row] = field(default_factory=list)


def write(entries: Sequence[Entry], attach: Attach) -> dict[int, Fenced]:
    """Write all entries in one transaction, in order. Answers the ones (by position) of attempts
    that are over; nothing of those was written. Any database error leaves nothing written, or all
    of it when the connection broke after the commit: so an entry that is given again after an
    error is written once.

    A run that is to be cancelled ends with its next superstep, which is kept, or in place of any
    other end."""
    with transaction.atomic():
        live = _guard({(_id(e.lease.run_id), e.lease.attempt) for e in entries})
        fenced: dict[int, Fenced] = {}
        found = _Rows()
        for position, entry in enumerate(entries):
            run = live.get((_id(entry.lease.run_id), entry.lease.attempt))
            if run is None or run.ended:
                fenced[position] = Fenced(
                    f"Attempt {entry.lease.attempt} of run {entry.lease.run_id} is over."
                )
                continue
            if entry.number <= run.entries:
                continue
            run.entries = entry.number
            if run.cancel_requested_at and (entry.superstep or entry.ending):
                _cancel(found, run, entry)
                if entry.superstep is not None:
                    fenced[position] = Fenced(f"Run {entry.lease.run_id} was cancelled.")
            else:
                _collect(found, run, entry)
        _send(found, {run_id: run for (run_id, _), run in live.items()}, attach)
        doorbell.announce()
    return fenced


def _guard(wanted: Iterable[tuple[UUID, int]]) -> dict[tuple[UUID, int], _Live]:
    """The runs that are still running under the attempt that writes. Their rows stay locked until
    the end of the transaction (on SQLite all of the database is), in the order of their ids, so
    that two writers cannot wait for each other."""
    keys = sorted({run_id for run_id, _ in wanted})
    found = rows.locked(connection, Run, ("id", "attempt", *_LIVE), RunStatus.RUNNING, keys)
    live: dict[tuple[UUID, int], _Live] = {}
    for run_id, attempt, entries, seq, thread_id, step, checkpoint_id, *cancel in found:
        live[_uuid(run_id), attempt] = _Live(
            entries,
            seq,
            _uuid(thread_id),
            step,
            _uuid(checkpoint_id) if checkpoint_id else None,
            *cancel,
        )
    return live


def _cancel(found: _Rows, run: _Live, entry: Entry) -> None:
    now = timezone.now()
    if entry.superstep is not None:
        _collect(found, run, replace(entry, ending=None))
    event = cancellation.told(run.cancel_by, run.cancel_reason, now)
    ending = Ending(status=RunStatus.CANCELLED, at=now)
    _collect(found, run, Entry(lease=entry.lease, events=[event], ending=ending))


def _collect(found: _Rows, run: _Live, entry: Entry) -> None:
    run_id = _id(entry.lease.run_id)
    run.changed = True
    superstep = entry.superstep
    for event in (*entry.events, *(superstep.events if superstep else ())):
        run.seq += 1
        found.events.append(
            (
                run_id,
                run.seq,
                event.name,
                event.ts,
                event.node,
                event.step,
                event.namespace,
                _id(event.task_id) if event.task_id else None,
                event.data,
            )
        )
    found.artifacts.extend(entry.artifacts)
    if entry.record is not None:
        _collect_record(found, run, entry)
    if superstep is not None:
        _collect_superstep(found, run, entry)
    if entry.ending is not None:
        run.ended = True
        found.endings.append(_ending(run_id, run, entry))


def _collect_record(found: _Rows, run: _Live, entry: Entry) -> None:
    record = entry.record
    assert record is not None
    run_id, checkpoint_id = _id(entry.lease.run_id), _id(record.checkpoint_id)
    found.pending.setdefault((checkpoint_id, run_id), []).extend(
        (
            run.thread_id,
            run_id,
            record.namespace,
            checkpoint_id,
            _id(note.task_id),
            note.node,
            note.kind,
            note.idx,
            note.dumps(),
        )
        for note in record.notes
    )


def _collect_superstep(found: _Rows, run: _Live, entry: Entry) -> None:
    superstep = entry.superstep
    assert superstep is not None
    checkpoint = superstep.checkpoint
    checkpoint_id = _id(checkpoint.checkpoint_id)
    run.progressed = True
    if not checkpoint.namespace:
        run.checkpoint_id, run.step, run.moved = checkpoint_id, checkpoint.step, True
    parent = _id(checkpoint.parent_id) if checkpoint.parent_id else None
    found.checkpoints.append(
        (
            checkpoint_id,
            run.thread_id,
            _id(checkpoint.run_id),
            checkpoint.namespace,
            parent,
            checkpoint.step,
            checkpoint.source,
            serde.dumps(dict(checkpoint.versions)),
            checkpoint.frontier.dumps(),
            checkpoint.created_at,
        )
    )
    for change in superstep.changes:
        found.states.append(
            (
                run.thread_id,
                checkpoint.namespace,
                change.channel,
                _id(change.version),
                _id(change.base),
                _id(change.previous) if change.previous else None,
                change.value,
                len(change.value),
            )
        )
    if parent is not None:
        # Writes that were recorded in this same batch never need to be stored: their superstep
        # is over with it.
        over = (parent, _id(checkpoint.run_id))
        found.pending.pop(over, None)
        found.over.append(over)


def _ending(run_id: UUID, run: _Live, entry: Entry) -> rows.Row:
    ending = entry.ending
    assert ending is not None
    finished = ending.at if ending.status in TERMINAL else None
    error: Any = None if ending.error is None else json.dumps(ending.error)
    return (
        ending.status,
        run.seq,
        error,
        finished,
        None,
        None,
        ending.wake_at,
        ending.at,
        run_id,
    )


def _send(found: _Rows, live: dict[UUID, _Live], attach: Attach) -> None:
    now = timezone.now()
    rows.insert(connection, Event, rows.EVENT, found.events)
    rows.insert(connection, State, rows.STATE, found.states)
    rows.insert(connection, Checkpoint, rows.CHECKPOINT, found.checkpoints)
    rows.delete(connection, PendingWrite, ("checkpoint_id", "run_id"), found.over)
    pending = [row for group in found.pending.values() for row in group]
    rows.insert(connection, PendingWrite, rows.PENDING, pending, or_ignore=True)
    changed = {
        run_id: run
        for run_id, run in live.items()
        if run.changed and (run.progressed or not run.ended)
    }
    rows.update(
        connection,
        Run,
        rows.RUN_SEQ,
        [
            (run.seq, run.entries, now, run_id)
            for run_id, run in changed.items()
            if not run.progressed
        ],
    )
    rows.update(
        connection,
        Run,
        rows.RUN_PROGRESS,
        [
            (run.seq, run.entries, run.step, run.checkpoint_id, 0, now, run_id)
            for run_id, run in changed.items()
            if run.progressed
        ],
    )
    rows.update(
        connection,
        Thread,
        rows.THREAD_HEAD,
        [(run.checkpoint_id, now, run.thread_id) for run in changed.values() if run.moved],
    )
    rows.update(connection, Run, rows.RUN_END, found.endings)
    for ref in found.artifacts:
        attach(ref)
