"""Random sequences of operations on real rows: a run's status changes by the table alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from django.utils import timezone
from django_q.models import OrmQ
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from runs.engine import Command, events
from runs.engine.events import Event
from runs.engine.ids import uuid7
from runs.engine.journal.ports import Lease
from runs.errors import Problem
from runs.journal import commit
from runs.journal.entry import Ending, Entry
from runs.lifecycle import transitions
from runs.lifecycle.transitions import Transition
from runs.models import Event as EventRow
from runs.models import Run, RunStatus, Thread, WorkflowPause
from runs.operations import (
    delete as operations_delete,
)
from runs.operations import (
    pause as operations_pause,
)
from runs.operations import (
    resume as operations_resume,
)
from runs.operations.cancel import cancel_run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.replay import replay_run
from runs.scheduling import claims, leases, recovery
from tests.contract import builders
from tests.integration.chain import Start, add

pytestmark = pytest.mark.django_db

#: The events that no transition appends.
BESIDE = {"created", "checkpoint", "unpaused", "custom"}
NUMBER = st.integers(0, 2)
STRATEGIES = st.sampled_from(["own", "own", "own", "enqueue", "interrupt", "rollback"])
#: Whether the writer may be one whose attempt is over.
LATE = st.sampled_from([False, False, False, True])
ENDINGS = (
    transitions.COMPLETE,
    transitions.FAIL,
    transitions.INTERRUPT,
    transitions.SLEEP,
    transitions.STOP,
)
REQUESTS = (
    "emit", "cancel", "pause", "unpause", "unpause", "pause_workflow", "unpause_workflow",
    "unpause_workflow", "replay", "delete", "stop_worker",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What was last seen of a run."""

    status: str
    attempt: int
    seq: int


def has(*statuses: str) -> Callable[[Any], bool]:
    """Whether a run has one of these statuses: what can change nothing is seldom drawn."""
    return lambda life: any(seen.status in statuses for seen in life.seen.values())


class Life(RuleBasedStateMachine):
    """Every operation that changes runs, in any order, on a few of them."""

    def __init__(self) -> None:
        super().__init__()
        self.worker = uuid7()
        self.leases: list[tuple[Lease, Iterator[int]]] = []
        self.seen: dict[UUID, Seen] = {}
        self.taken: set[str] = set()
        self.now = timezone.now()
        self.steps = 0

    @initialize()
    def begin(self) -> None:
        for _ in range(2):
            create_run(NewRun(workflow="chain", payload={"n": 0}))

    def teardown(self) -> None:
        Thread.objects.all().delete()
        WorkflowPause.objects.all().delete()
        OrmQ.objects.all().delete()

    def one(self, number: int, **having: str) -> UUID | None:
        """One of the newest runs, if there is one; one `having` these columns if there is one."""
        fitting = sorted(Run.objects.filter(**having).values_list("pk", flat=True))
        found = fitting or sorted(self.seen)
        return found[-1 - number % len(found)] if found else None

    def ask(self, number: int, action: Callable[[UUID], object], **having: str) -> None:
        """Do it with one of the runs; it may be refused."""
        if run_id := self.one(number, **having):
            try:
                action(run_id)
            except Problem as problem:
                assert problem.status in (404, 409, 422)

    def write(self, number: int, *, late: bool, **parts: Any) -> None:
        """An entry of one of the attempts that hold their runs; a `late` one of any attempt."""
        if held := self.attempt(number, late):
            entry = Entry(lease=held[0], number=next(held[1]), **parts)
            commit.write([entry], lambda ref: None)

    def attempt(self, number: int, late: bool) -> tuple[Lease, Iterator[int]] | None:
        running = Run.objects.filter(status="running").values_list("pk", "attempt")
        live = {(str(run_id), attempt) for run_id, attempt in running}
        found = [a for a in self.leases if late or (a[0].run_id, a[0].attempt) in live]
        return found[number % len(found)] if found else None

    @precondition(has("pending"))
    @rule(limit=st.integers(1, 3), isolated=st.sampled_from([False, False, True]))
    def claim(self, limit: int, isolated: bool) -> None:
        claimed = claims.claim(self.worker, limit, apart=isolated)
        self.leases += [(one.lease, count(1)) for one in claimed]

    @precondition(has("running"))
    @rule(number=NUMBER, transition=st.sampled_from(ENDINGS), waits=st.booleans(), late=LATE)
    def end_attempt(self, number: int, transition: Transition, waits: bool, late: bool) -> None:
        wakes = transition is transitions.SLEEP or (waits and transition is transitions.INTERRUPT)
        ending = Ending(
            transition=transition,
            at=self.now,
            error={"type": "E"} if transition is transitions.FAIL else None,
            wake_at=self.now + timedelta(hours=1) if wakes else None,
        )
        own = [Event(name=transition.event, ts=self.now)] if transition.event else []
        self.write(number, late=late, events=own, ending=ending)

    @precondition(has("running"))
    @rule(number=NUMBER, late=LATE)
    def step(self, number: int, late: bool) -> None:
        if held := self.attempt(number, late):
            self.steps += 1
            made = builders.checkpoint(held[0], self.steps)
            self.write(number, late=late, supersteps=[builders.superstep(made)])

    @precondition(has("interrupted"))
    @rule(number=NUMBER)
    def resume(self, number: int) -> None:
        command = Command[Any](resume=1)
        self.ask(number, lambda pk: operations_resume.resume_run(pk, command), status="interrupted")

    @precondition(has("running", "sleeping", "interrupted"))
    @rule(lapsed=st.booleans(), due=st.booleans())
    def sweep(self, lapsed: bool, due: bool) -> None:
        if lapsed:
            Run.objects.filter(status="running").update(lease_expires_at=self.now)
        recovery.sweep(timezone.now() + timedelta(hours=2) * due)

    @rule(number=NUMBER, request=st.sampled_from(REQUESTS))
    def request(self, number: int, request: str) -> None:
        getattr(self, request)(number)

    @rule(number=NUMBER, strategy=STRATEGIES)
    def create(self, number: int, strategy: str) -> None:
        new = NewRun(workflow="chain", payload={"n": 0})
        if strategy != "own" and (run_id := self.one(number)):
            thread = Run.objects.get(pk=run_id).thread_id
            new = replace(new, thread=thread, multitask_strategy=strategy)
        create_run(new)

    def emit(self, number: int) -> None:
        self.write(number, late=False, events=[Event(name=events.CUSTOM, ts=self.now)])

    def cancel(self, number: int) -> None:
        self.ask(number, lambda run_id: cancel_run(run_id, by="ann", reason="x"))

    def pause(self, number: int) -> None:
        self.ask(
            number, lambda run_id: operations_pause.pause_run(run_id, by="ann"), status="running"
        )

    def unpause(self, number: int) -> None:
        self.ask(number, operations_pause.unpause_run)

    def pause_workflow(self, number: int) -> None:
        operations_pause.pause_workflow("chain")

    def unpause_workflow(self, number: int) -> None:
        self.ask(number, lambda _: operations_pause.unpause_workflow("chain"))

    def replay(self, number: int) -> None:
        self.ask(number, replay_run)

    def delete(self, number: int) -> None:
        self.ask(number, operations_delete.delete_run, status="completed")

    def stop_worker(self, number: int) -> None:
        leases.give_back(self.worker)

    @invariant()
    def every_change_is_a_row_of_the_table(self) -> None:
        found = {run.pk: run for run in Run.objects.all()}
        for run_id, run in found.items():
            check_row(run)
            self.check_change(run, self.seen.get(run_id))
        for gone in self.seen.keys() - found.keys():
            assert self.seen[gone].status in ("completed", "failed", "cancelled"), "deleted"
        self.seen = {pk: Seen(run.status, run.attempt, run.seq) for pk, run in found.items()}

    def check_change(self, run: Run, before: Seen | None) -> None:
        log = list(EventRow.objects.filter(run=run).order_by("seq").values_list("seq", "name"))
        assert [seq for seq, _ in log] == list(range(1, run.seq + 1)), "gap-free"
        if before is None:
            assert (run.status, run.pending_reason) == ("pending", "created")
            assert log[0] == (1, "created")
            return
        new = [name for seq, name in log if seq > before.seq and name not in BESIDE]
        if run.status == before.status:
            assert run.attempt == before.attempt
            assert new in ([], ["paused"])
            return
        fitting = [row for row in transitions.TABLE if fits(row, before, run, new)]
        assert len(fitting) == 1, f"{before} -> {run.status} {run.pending_reason} with {new}"
        self.taken.add(fitting[0].name)
        assert run.attempt == before.attempt + (run.status == "running")


def fits(row: Transition, before: Seen, run: Run, new: list[str]) -> bool:
    if before.status not in row.sources or run.status != row.target:
        return False
    if run.pending_reason != (row.reason or ""):
        return False
    own = [row.event] if row.event else []
    # A paused run that its worker leaves, in whatever way, says so then.
    left = before.status == RunStatus.RUNNING and not row.is_terminal and run.paused_at
    return new in (own, [*own, events.PAUSED] if left else own)


def check_row(run: Run) -> None:
    """The columns that go with the status."""
    running = run.status == "running"
    assert (run.lease_owner is not None) == running
    assert (run.lease_expires_at is not None) == running
    assert bool(run.pending_reason) == (run.status == "pending")
    assert (run.finished_at is not None) == (run.status in ("completed", "failed", "cancelled"))
    if run.status != "interrupted":
        assert (run.wake_at is not None) == (run.status == "sleeping")


@pytest.fixture
def life(start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> type[Life]:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "max_attempts": 2}  # one crash makes a suspect
    start(add)
    Thread.objects.all().delete()
    # What the answer is does not matter here, only that it is recorded.
    monkeypatch.setattr(operations_resume, "_record", lambda run, command: None)
    return Life


@pytest.mark.timeout(600)  # many commits, each of which waits for the disk
def test_random_operations_change_a_status_by_a_row_of_the_table_only(life: type[Life]) -> None:
    run_state_machine_as_test(
        life,
        settings=hypothesis.settings(
            max_examples=int(os.environ.get("LIFECYCLE_EXAMPLES", "12")),
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_row_of_the_table_is_reached(life: type[Life]) -> None:
    walk = life()

    def claim(isolated: bool = False) -> None:
        walk.claim(1, isolated)

    def end(transition: Transition) -> None:
        walk.end_attempt(0, transition, waits=False, late=False)

    def step() -> None:
        walk.step(0, late=False)

    def create() -> None:
        walk.create(0, "own")

    for action in (
        create, claim, partial(end, transitions.INTERRUPT), partial(walk.resume, 0),
        claim, partial(end, transitions.SLEEP), partial(walk.sweep, lapsed=False, due=True),
        claim, partial(end, transitions.STOP), claim, partial(walk.pause, 0), step,
        partial(walk.unpause, 0), claim, partial(walk.sweep, lapsed=True, due=False),
        partial(claim, isolated=True), step, claim, partial(end, transitions.COMPLETE),
        create, claim, partial(end, transitions.FAIL), create, partial(walk.cancel, 0),
    ):  # fmt: skip
        action()
        walk.every_change_is_a_row_of_the_table()
    assert walk.taken == {row.name for row in transitions.TABLE}


def test_the_property_notices_a_status_that_is_set_by_hand(start: Start) -> None:
    run = start(add)
    life = Life()
    later = timezone.now() + timedelta(hours=1)
    life.every_change_is_a_row_of_the_table()
    Run.objects.filter(pk=run.pk).update(status="sleeping", pending_reason="", wake_at=later)
    with pytest.raises(AssertionError, match=r"pending.*sleeping"):
        life.every_change_is_a_row_of_the_table()
