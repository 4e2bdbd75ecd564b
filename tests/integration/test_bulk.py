"""Batches of any size: few rows go one by one, many in one statement a table, with one outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from django.db import DataError, connection

from runs.db.postgres_bulk import COPY_MIN_ROWS
from runs.db.postgres_pipeline import PIPELINE_MAX_ROWS
from runs.engine.journal.ports import Lease, Record
from runs.journal import commit
from runs.journal.entry import Ending, Entry
from runs.lifecycle import transitions
from runs.models import Checkpoint, Event, PendingWrite, Run, RunStatus, State, Thread
from tests.contract.builders import NOW, checkpoint, custom, full, note, superstep, task_id

pytestmark = pytest.mark.django_db(transaction=True)


def running(count: int) -> list[Lease]:
    threads = [Thread.objects.create() for _ in range(count)]
    runs = [
        Run.objects.create(thread=t, workflow="w", status=RunStatus.RUNNING, attempt=1)
        for t in threads
    ]
    return [Lease(run_id=str(run.id), thread_id=str(run.thread_id)) for run in runs]


def write(entries: list[Entry]) -> None:
    assert commit.write(entries, lambda ref: None).fenced == {}


@pytest.mark.parametrize("count", [1, 3, 60])
def test_the_outcome_is_the_same(count: int) -> None:
    leases = running(count)
    first = [checkpoint(lease) for lease in leases]
    notes = [note(task_id(str(n)), n) for n in range(6)]
    begun: list[Any] = []
    for lease, made in zip(leases, first, strict=True):
        at = made.checkpoint_id
        kept = [Record(namespace="", checkpoint_id=at, notes=[*notes, notes[0]])]
        value = full("x", at, "\t\\N é\n\"'")
        begun.append(Entry(lease=lease, number=1, supersteps=[superstep(made, [value])]))
        begun.append(Entry(lease=lease, number=2, records=kept, events=[custom("\\.")]))
    write(begun)
    write(begun)  # again, as after an answer that was lost
    for lease, made in zip(leases, first, strict=True):
        own = PendingWrite.objects.filter(run_id=lease.run_id).order_by("id")
        assert [row.value for row in own] == [str(n) for n in range(6)], "in their order"
        run = Run.objects.get(id=lease.run_id)
        assert (run.seq, run.entries, run.step) == (2, 2, 0)
        assert str(run.checkpoint_id) == made.checkpoint_id
        assert str(Thread.objects.get(id=lease.thread_id).checkpoint_id) == made.checkpoint_id
        assert State.objects.get(thread_id=lease.thread_id).value == '"\\t\\\\N é\\n\\"\'"'
        said = Event.objects.filter(run_id=lease.run_id).order_by("seq")
        assert [(e.seq, e.name, e.data) for e in said] == [
            (1, "checkpoint", ""),
            (2, "custom", '"\\\\."'),
        ]
    ended = []
    for lease, made in zip(leases, first, strict=True):
        step = superstep(checkpoint(lease, 1, parent=made))
        ended.append(Entry(lease=lease, number=3, supersteps=[step]))
        ending = Ending(transition=transitions.FAIL, at=NOW, error={"type": "é"})
        ended.append(Entry(lease=lease, number=4, ending=ending))
    write(ended)
    assert not PendingWrite.objects.exists()
    assert Checkpoint.objects.count() == 2 * count
    for run in Run.objects.all():
        assert (run.status, run.seq, run.step, run.error) == ("failed", 3, 1, {"type": "é"})
        assert run.finished_at == NOW


@pytest.mark.parametrize("count", [2, 60])
def test_of_two_runs_on_one_thread_the_last_is_its_head(count: int) -> None:
    (one,) = running(1)
    leases = []
    for _ in range(count):
        run = Run.objects.create(thread_id=one.thread_id, workflow="w", status="running", attempt=1)
        leases.append(Lease(run_id=str(run.id), thread_id=one.thread_id))
    made = [checkpoint(lease) for lease in leases]
    entries = [
        Entry(lease=lease, number=1, supersteps=[superstep(at)])
        for lease, at in zip(leases, made, strict=True)
    ]
    write(entries)
    assert str(Thread.objects.get().checkpoint_id) == made[-1].checkpoint_id


@pytest.mark.parametrize("count", [1, 60])
def test_what_does_not_fit_is_told_and_nothing_is_kept(count: int) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no limits of length")
    leases = running(count)
    bad = replace(custom("x"), name="n" * 41)
    entries = [
        Entry(
            lease=lease,
            number=1,
            events=[custom("x"), bad],
            records=[
                Record(
                    namespace="",
                    checkpoint_id=checkpoint(lease).checkpoint_id,
                    notes=[note(task_id("t"), 1)],
                )
            ],
        )
        for lease in leases
    ]
    with pytest.raises(DataError, match="too long"):
        write(entries)
    assert not Event.objects.exists() and not PendingWrite.objects.exists()
    write([Entry(lease=lease, number=1, events=[custom("y")]) for lease in leases])
    assert Event.objects.count() == count


def test_many_rows_are_one_statement_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite is quickest with executemany")
    singly: list[int] = []

    class Counting(psycopg.Cursor[Any]):
        def executemany(self, query: Any, params_seq: Any, **kwargs: Any) -> None:
            singly.append(len(params_seq))
            super().executemany(query, params_seq, **kwargs)

    monkeypatch.setattr(psycopg, "Cursor", Counting)
    leases = running(60)
    write([Entry(lease=lease, number=1, events=[custom("x")]) for lease in leases])
    write([Entry(lease=leases[0], number=2, events=[custom("x")])])
    assert singly == [1, 1], "an event and a run, of the batch of one"
    assert COPY_MIN_ROWS < PIPELINE_MAX_ROWS
