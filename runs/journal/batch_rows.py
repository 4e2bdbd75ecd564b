"""The rows of one batch: what its entries say, put into the form of the database, and sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from runs.db import statements
from runs.db.columns import Row
from runs.db.dialect import Dialect, dialect
from runs.engine import serde
from runs.engine.events import Event as Told
from runs.engine.journal.ports import ArtifactRef, Lease, Record, Superstep
from runs.fields import indexed, stored_name
from runs.journal.entry import Ending
from runs.lifecycle import event_log
from runs.lifecycle.transitions import columns
from runs.models import LARGE, Checkpoint, Event, PendingWrite, Run, State, Thread

Attach = Callable[[ArtifactRef], None]

STATE = (
    "thread_id",
    "namespace",
    "channel",
    "version",
    "base",
    "previous",
    "value",
    "size",
    "given",
)
CHECKPOINT = (
    "id",
    "thread_id",
    "run_id",
    "namespace",
    "full_namespace",
    "parent_id",
    "step",
    "source",
    "versions",
    "frontier",
    "created_at",
)
PENDING = (
    "thread_id",
    "run_id",
    "namespace",
    "checkpoint_id",
    "task_id",
    "node",
    "kind",
    "idx",
    "value",
)
_HEAD = ("checkpoint_id", "updated_at")

_KIND, _ASKED = PENDING.index("kind"), "interrupt"


@dataclass(slots=True)
class Live:
    """A run of the batch whose attempt still holds it: the numbers of its last entry and its last
    event, and whether somebody wants it to stop. Then what the batch makes of it; `moved_to` is of
    the graph itself: supersteps of a subgraph are progress, but leave the run where it is."""

    lease: Lease
    entries: int
    seq: int
    wanted: bool
    changed: bool = False
    progressed: bool = False
    moved_to: Row | None = None
    #: The new values of the row that its transition has; None while the attempt goes on.
    end: dict[str, Any] | None = None


@dataclass
class Collected:
    """The rows of one batch so far."""

    form: Dialect
    events: list[Row] = field(default_factory=list)
    states: list[Row] = field(default_factory=list)
    checkpoints: list[Row] = field(default_factory=list)
    pending: dict[Row, list[Row]] = field(default_factory=dict)
    over: list[Row] = field(default_factory=list)
    artifacts: list[ArtifactRef] = field(default_factory=list)
    #: Whether a run may be claimed at once: workers are notified.
    makes_work: bool = False
    #: Whether a run has ended.
    ends_run: bool = False

    def add_events(self, run: Live, events: Sequence[Told]) -> None:
        """The next events of a run."""
        if events:
            self.events += event_log.rows(self.form, run.lease.run_id, run.seq, events)
            run.seq = event_log.seq_after(run.seq, events)

    def noted(self, run: Live, record: Record) -> None:
        """What is recorded of a superstep before its end."""
        at = (self.form.id(record.checkpoint_id), self.form.id(run.lease.run_id))
        self.pending.setdefault(at, []).extend(note_rows(self.form, run.lease, record))

    def stepped(self, run: Live, superstep: Superstep) -> None:
        """The end of a superstep."""
        as_id, checkpoint = self.form.id, superstep.checkpoint
        thread_id, own_id = as_id(run.lease.thread_id), as_id(checkpoint.checkpoint_id)
        run_id = as_id(checkpoint.run_id)
        parent_id = as_id(checkpoint.parent_id) if checkpoint.parent_id else None
        namespace = stored_name(checkpoint.namespace)
        self.add_events(run, superstep.events)
        # Whoever begins again and again gets as far as the input each time.
        run.progressed |= checkpoint.source != "input"
        if not checkpoint.namespace:
            run.moved_to = (checkpoint.step, own_id)
        self.checkpoints.append(
            (
                own_id,
                thread_id,
                run_id,
                *_place(checkpoint.namespace),
                parent_id,
                checkpoint.step,
                checkpoint.source,
                serde.dumps(dict(checkpoint.versions)).decode(),
                checkpoint.frontier.dumps().decode(),
                self.form.time(checkpoint.created_at),
            )
        )
        for change in superstep.changes:
            given = change.channel in superstep.given and len(change.value) > LARGE
            self.states.append(
                (
                    thread_id,
                    namespace,
                    stored_name(change.channel),
                    as_id(change.version),
                    as_id(change.base),
                    as_id(change.previous) if change.previous else None,
                    "" if given else change.value.decode(),
                    len(change.value),
                    given,
                )
            )
        if parent_id is not None:
            self._end((parent_id, run_id))

    def _end(self, over: Row) -> None:
        """A superstep is over: what was recorded of it in this same batch never needs to be stored.
        What was asked stays, for a fork to answer."""
        asked = [row for row in self.pending.pop(over, ()) if row[_KIND] == _ASKED]
        if asked:
            self.pending[over] = asked
        self.over.append(over)

    def add_ending(self, run: Live, ending: Ending) -> None:
        """The end of an attempt."""
        transition = ending.transition
        self.ends_run |= transition.is_terminal
        self.makes_work |= transition.makes_work
        more = {} if ending.error is None else {"error": json.dumps(ending.error)}
        run.end = columns(transition, now=ending.at, wake_at=ending.wake_at, **more)

    def send(self, connection: BaseDatabaseWrapper, runs: Iterable[Live], attach: Attach) -> None:
        """Write it all; the caller owns the transaction."""
        statements.insert(connection, Event, event_log.EVENT_COLUMNS, self.events)
        statements.insert(connection, State, STATE, self.states)
        statements.insert(connection, Checkpoint, CHECKPOINT, self.checkpoints)
        but = ("kind", _ASKED)
        statements.delete(connection, PendingWrite, ("checkpoint_id", "run_id"), self.over, but=but)
        pending = [row for group in self.pending.values() for row in group]
        statements.insert(connection, PendingWrite, PENDING, pending, or_ignore=True)
        self._send_runs(connection, [run for run in runs if run.changed])
        for ref in self.artifacts:
            attach(ref)

    def _send_runs(self, connection: BaseDatabaseWrapper, runs: Sequence[Live]) -> None:
        now = self.form.time(timezone.now())
        changes: dict[tuple[str, ...], list[Row]] = {}
        heads: dict[str, Row] = {}
        for run in runs:
            values = {} if run.end is None else self._adapted(run.end)
            values |= {"seq": run.seq, "entries": run.entries, "updated_at": now}
            if run.progressed:
                values["crashes"] = 0
            if run.moved_to is not None:
                values["step"], values["checkpoint_id"] = run.moved_to
                thread_id = self.form.id(run.lease.thread_id)
                heads[thread_id] = (run.moved_to[1], now, thread_id)
            row = (*values.values(), self.form.id(run.lease.run_id))
            changes.setdefault(tuple(values), []).append(row)
        for names, given in changes.items():
            statements.update(connection, Run, names, given)
        statements.update(connection, Thread, _HEAD, list(heads.values()))

    def _adapted(self, values: dict[str, Any]) -> dict[str, Any]:
        as_time = self.form.time
        return {k: as_time(v) if isinstance(v, datetime) else v for k, v in values.items()}


def collected(connection: BaseDatabaseWrapper) -> Collected:
    """An empty batch for the database of `connection`."""
    return Collected(form=dialect(connection))


def _place(namespace: str) -> tuple[str, str | None]:
    """The columns `namespace` and `full_namespace` of a checkpoint."""
    short = indexed(namespace)
    return stored_name(short), None if short is namespace else stored_name(namespace)


def note_rows(form: Dialect, lease: Lease, record: Record) -> list[Row]:
    """The rows of a record's notes."""
    thread_id, run_id = form.id(lease.thread_id), form.id(lease.run_id)
    checkpoint_id, namespace = form.id(record.checkpoint_id), stored_name(record.namespace)
    return [
        (
            thread_id,
            run_id,
            namespace,
            checkpoint_id,
            form.id(note.task_id),
            stored_name(note.node),
            note.kind,
            note.idx,
            note.dumps().decode(),
        )
        for note in record.notes
    ]
