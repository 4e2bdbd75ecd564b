"""What the journal's writer promises when the database answers late, twice or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast
from uuid import UUID

import pytest
from django.db import InternalError, OperationalError, connections
from django.db.models import Q
from django.utils import timezone

from artifacts.store import store
from runs.engine.checkpoint import Change, Checkpoint, Frontier
from runs.engine.errors import Fenced
from runs.engine.events import Event
from runs.engine.ids import checkpoint_id, uuid7
from runs.engine.journal.ports import Lease, Superstep
from runs.journal import commit
from runs.journal.entry import Ending, Entry
from runs.journal.journal import DurableJournal
from runs.lifecycle import transitions
from runs.models import Checkpoint as CheckpointRow
from runs.models import Event as EventRow
from runs.models import Run, Thread
from runs.scheduling import claims

T = TypeVar("T")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lease() -> Lease:
    Run.objects.create(thread=Thread.objects.create(), workflow="any", payload={})
    (claimed,) = claims.claim(uuid7(), 1)
    return claimed.lease


@pytest.fixture
def journal() -> Iterator[DurableJournal]:
    journal = DurableJournal(store().attach)
    yield journal
    journal.close()


def said(name: str) -> Event:
    return Event(name=name, ts=timezone.now())


def superstep(lease: Lease, step: int) -> Superstep:
    own = checkpoint_id(run_id=lease.run_id, millis=1, namespace="", step=step)
    change = Change(channel="n", version=own, base=own, previous=None, value=b"1")
    checkpoint = Checkpoint(
        checkpoint_id=own,
        thread_id=lease.thread_id,
        run_id=lease.run_id,
        namespace="",
        parent_id=None,
        step=step,
        source="loop",
        versions={"n": own},
        frontier=Frontier(),
        created_at=timezone.now(),
    )
    return Superstep(checkpoint=checkpoint, changes=[change], events=[said("checkpoint")])


def names(lease: Lease) -> list[str]:
    events = EventRow.objects.filter(run_id=UUID(lease.run_id)).order_by("seq")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.name for event in events]


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call in a thread that leaves no connection open."""

    def call() -> T:
        try:
            return function(*args)
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)


@pytest.fixture
def lost_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks right after the first commit: it was made, and nobody is told."""
    write = commit.write
    lost: list[object] = []

    def break_after(*args: Any) -> Any:
        answer = write(*args)
        if not lost:
            lost.append(answer)
            raise OperationalError("server closed the connection unexpectedly")
        return answer

    monkeypatch.setattr(commit, "write", break_after)


@pytest.mark.usefixtures("lost_answer")
async def test_a_commit_whose_answer_was_lost_is_made_once(
    lease: Lease, journal: DurableJournal
) -> None:
    journal.append(lease, [said("custom")])
    await journal.commit(lease, superstep(lease, 0))
    await journal.commit(lease, superstep(lease, 1))
    found = await in_thread(names, lease)
    assert found == ["started", "custom", "checkpoint", "checkpoint"]


async def test_what_was_committed_counts_when_the_run_is_put_back_in_the_same_breath(
    lease: Lease,
) -> None:
    """As when a worker stops while a superstep is on its way to the disk."""
    ending = Ending(transition=transitions.STOP, at=timezone.now())
    entries = [
        Entry(lease=lease, number=1, supersteps=[superstep(lease, 0)]),
        Entry(lease=lease, number=2, ending=ending),
        Entry(lease=lease, number=3, events=[said("custom")]),
    ]
    outcome = await in_thread(commit.write, entries, store().attach)
    assert {position: type(error) for position, error in outcome.fenced.items()} == {2: Fenced}
    run = await in_thread(Run.objects.get, Q(id=lease.run_id))
    row = await in_thread(CheckpointRow.objects.get, Q(run=run))
    assert (run.status, run.checkpoint_id, run.step) == ("pending", row.id, 0)


async def test_a_number_is_written_once(lease: Lease) -> None:
    entry = Entry(lease=lease, number=1, events=[said("custom")])
    write: Callable[..., Any] = commit.write
    for _ in range(2):
        assert (await in_thread(write, [entry], store().attach)).fenced == {}
    assert await in_thread(names, lease) == ["started", "custom"]


def test_a_read_waits_for_a_database_that_is_away(
    lease: Lease, journal: DurableJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is taken up while the database restarts has done nothing wrong."""
    tries: list[str] = []

    def load(*args: object) -> str:
        tries.append("load")
        if len(tries) < 3:
            raise OperationalError("connection refused")
        return "found"

    monkeypatch.setattr("runs.journal.reading.load", load)
    assert asyncio.run(cast(Any, journal.load(lease.thread_id))) == "found"
    assert len(tries) == 3


def test_a_read_that_can_never_be_done_is_told(
    lease: Lease, journal: DurableJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TooMuch(Exception):
        sqlstate = "54000"

    def load(*args: object) -> None:
        raise OperationalError("over a limit") from TooMuch()

    monkeypatch.setattr("runs.journal.reading.load", load)
    with pytest.raises(OperationalError):
        asyncio.run(journal.load(lease.thread_id))


def test_a_connection_that_was_cut_off_is_no_fault_of_the_data(
    lease: Lease, journal: DurableJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres ended the transaction because it stood still: an internal error, for Python."""
    write, tries = commit.write, []

    class CutOff(Exception):
        sqlstate = "25P03"

    def cut_off(*args: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise InternalError("terminating connection") from CutOff()
        return write(*args)

    monkeypatch.setattr(commit, "write", cut_off)
    asyncio.run(journal.commit(lease, superstep(lease, 0)))
    assert (names(lease)[-1], len(tries)) == ("checkpoint", 2)
