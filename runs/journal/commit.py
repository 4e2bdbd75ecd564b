"""One batch of entries in one transaction: guard, number, write.

The number of statements is fixed, whatever the number of runs and rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from runs.db import statements
from runs.db.columns import column, table
from runs.db.dialect import dialect
from runs.db.transaction import fast_transaction
from runs.engine.errors import Fenced
from runs.engine.journal.ports import Lease
from runs.journal.batch_rows import Attach, Collected, Live, collected
from runs.journal.entry import Ending, Entry
from runs.lifecycle import cancellation, notification, pauses, transitions
from runs.models import Run, RunStatus, WorkflowPause

#: By the primary key, not by the index of all that run.
_STATUS = column(Run, "status")
#: A run's id and attempt.
_Key = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a batch: the entries (by position) of attempts that are over, of which nothing
    was written, and whether a run has ended."""

    fenced: Mapping[int, Fenced]
    ended: bool


def write(entries: Sequence[Entry], attach: Attach) -> Outcome:
    """Write all entries in one transaction, in order. Any database error leaves nothing written, or
    all of it when the connection broke after the commit: so an entry that is given again after an
    error is written once.

    A run that is to be cancelled ends with the next supersteps that it waits for, which are kept,
    or in place of any other end; of one that is rolled back not even these are kept. A run that is
    paused, or that is executed apart, goes back to the queue with its next superstep."""
    database = connections[DEFAULT_DB_ALIAS]  # found once: `connection` is looked up at each use
    with fast_transaction(database):
        leases = {(entry.lease.run_id, entry.lease.attempt): entry.lease for entry in entries}
        live = guard(database, leases.values())
        wanted = _Wanted.read(live) if any(run.wanted for run in live.values()) else None
        found = collected(database)
        fenced: dict[int, Fenced] = {}
        for position, entry in enumerate(entries):
            run = live.get((entry.lease.run_id, entry.lease.attempt))
            if run is None or run.end is not None:
                fenced[position] = Fenced(
                    f"Attempt {entry.lease.attempt} of run {entry.lease.run_id} is over."
                )
            elif entry.number > run.entries:
                run.entries = entry.number
                if (stopped := _take(found, run, entry, wanted)) is not None:
                    fenced[position] = stopped
        found.send(database, live.values(), attach)
        notification.notify(ended=found.ends_run, makes_work=found.makes_work)
    return Outcome(fenced=fenced, ended=found.ends_run)


def guard(connection: BaseDatabaseWrapper, leases: Iterable[Lease]) -> dict[_Key, Live]:
    """The runs that are still running under the attempt that writes. Their rows stay locked until
    the end of the transaction (on SQLite all of the database is), in the order of their ids, so
    that two writers cannot wait for each other."""
    known = dialect(connection)
    by_key = {(known.id(lease.run_id), lease.attempt): lease for lease in leases}
    keys = sorted({run_id for run_id, _ in by_key})
    live: dict[_Key, Live] = {}
    key, where = column(Run, "id"), f"{known.unindexed(_STATUS)} = '{RunStatus.RUNNING}'"
    question, params = known.lock_rows(_select(), key=key, where=where, ids=keys)
    for run_id, attempt, entries, seq, wanted in statements.fetch(connection, question, params):
        lease = by_key.get((str(run_id), attempt))
        if lease is not None:
            live[lease.run_id, attempt] = Live(lease, entries, seq, bool(wanted))
    return live


@cache
def _select() -> str:
    names = ", ".join(column(Run, name) for name in ("id", "attempt", "entries", "seq"))
    stops = [f"{column(Run, name)} IS NOT NULL" for name in ("cancel_requested_at", "paused_at")]
    return f"SELECT {names}, {' OR '.join([*stops, pauses.OF_WORKFLOW])} FROM {table(Run)}"  # noqa: S608


def _take(found: Collected, run: Live, entry: Entry, wanted: _Wanted | None) -> Fenced | None:
    """Write `entry`, in its place; Fenced for who goes on, if the run stops with it."""
    if run.wanted and wanted is not None:
        return wanted.stop(found, run, entry)
    # Who is ahead is at the next node already, and finishes it here.
    if entry.lease.apart and not entry.ahead and _ends_superstep(entry):
        now = timezone.now()
        back = Ending(transition=transitions.END_ISOLATION, at=now)
        _collect(found, run, replace(entry, ending=back))
        return Fenced(f"Run {entry.lease.run_id} goes on among the others.")
    _collect(found, run, entry)
    return None


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What somebody wants of runs that are being written, and which workflows are paused."""

    runs: Mapping[str, Run]
    workflows: Mapping[str, WorkflowPause]

    @staticmethod
    def read(live: Mapping[_Key, Live]) -> _Wanted:
        wanted = [UUID(run_id) for (run_id, _), run in live.items() if run.wanted]
        found = Run.objects.filter(id__in=wanted).only(
            "workflow", "cancel_requested_at", "cancel_by", "cancel_reason", "rolled_back",
            "paused_at", "pause_by", "pause_reason",
        )  # fmt: skip
        return _Wanted(runs={str(run.pk): run for run in found}, workflows=pauses.of_workflows())

    def stop(self, found: Collected, run: Live, entry: Entry) -> Fenced | None:
        """Write `entry` and, if the run stops with it, how it ends; Fenced for who goes on."""
        row = self.runs[run.lease.run_id]
        if row.cancel_requested_at is not None:
            fenced = Fenced(f"Run {row.pk} was cancelled.") if entry.supersteps else None
            # Who is ahead would not hear of it at once: the worker stops the run, which ends then.
            if entry.ahead and row.rolled_back:
                return fenced
            if entry.ahead or not (entry.supersteps or entry.ending):
                _collect(found, run, entry)
                return None
            _cancel(found, run, entry, row)
            return fenced
        if _ends_superstep(entry):
            self._pause(found, run, entry, row)
            return Fenced(f"Run {row.pk} was paused.")
        if row.paused_at and entry.ending and not entry.ending.transition.is_terminal:
            event = pauses.paused_event_of(row)
            entry = replace(entry, events=[*entry.events, event])
        _collect(found, run, entry)
        return None

    def _pause(self, found: Collected, run: Live, entry: Entry, row: Run) -> None:
        now = timezone.now()
        _collect(found, run, entry)
        if row.paused_at:
            event = pauses.paused_event_of(row)
        else:
            pause = self.workflows.get(row.workflow)
            by, reason = (pause.paused_by, pause.reason) if pause else ("", "")
            event = pauses.paused_event(by, reason, now, row.workflow)
        ending = Ending(transition=transitions.PAUSE, at=now)
        _collect(found, run, Entry(lease=entry.lease, events=[event], ending=ending))


def _cancel(found: Collected, run: Live, entry: Entry, row: Run) -> None:
    now = timezone.now()
    if entry.supersteps and not row.rolled_back:
        _collect(found, run, replace(entry, ending=None))
    event = cancellation.cancelled_event(row.cancel_by, row.cancel_reason, now)
    ending = Ending(transition=transitions.CANCEL, at=now)
    _collect(found, run, Entry(lease=entry.lease, events=[event], ending=ending))


def _ends_superstep(entry: Entry) -> bool:
    """Whether nothing of the run is under way behind it. That of a subgraph is not meant: beside it
    other nodes may be at work, which a pause must not make run twice; nor that of the input, which
    nobody waits for."""
    if not entry.supersteps or entry.records or entry.ending is not None:
        return False
    last = entry.supersteps[-1].checkpoint
    return not last.namespace and last.source != "input"


def _collect(found: Collected, run: Live, entry: Entry) -> None:
    run.changed = True
    found.add_events(run, entry.events)
    found.artifacts.extend(entry.artifacts)
    for superstep in entry.supersteps:
        found.stepped(run, superstep)
    for record in entry.records:
        found.noted(run, record)
    if entry.ending is not None:
        found.add_ending(run, entry.ending)
