"""Atomic nodes: what they do to the database and the record of their result, both or neither."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any, TypedDict

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from pytest_django import Settings

from artifacts.models import Artifact
from artifacts.store import store
from runs import workflows
from runs.engine import START, RetryPolicy, StateGraph, SyncContext, faults, interrupt
from runs.engine.ids import uuid7
from runs.journal import atomic_nodes
from runs.journal.journal import DurableJournal
from runs.models import Event, PendingWrite, Run, Thread
from runs.operations.cancel import cancel_run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.scheduling import claims
from runs.worker.executor import Executor
from tests.integration.chain import names
from tests.support.processes import wait_until
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    n: int
    log: Annotated[list[str], operator.add]


def pay(who: str = "ann") -> None:
    """The user's own row, of a table that takes it twice."""
    Thread.objects.create(metadata={"paid": who})


def paid() -> list[str]:
    found = (thread.metadata.get("paid") for thread in Thread.objects.all())
    return sorted(name for name in found if name)


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """Creates a run of a graph with one atomic node, and a plain one after it."""
    with workflows.temporary():

        async def after(state: State) -> State:
            return {"log": ["after"]}

        def started(node: Callable[..., Any], durability: str = "sync", **options: Any) -> Run:
            graph = StateGraph(State).add_node("node", node, atomic=True, **options)
            graph.add_node(after).add_edge(START, "node").add_edge("node", "after")
            workflows.unregister("under_test")
            workflows.register("under_test", graph.compile(), input_schema={"type": "object"})
            new = NewRun(workflow="under_test", payload={"n": 1}, durability=durability)
            return create_run(new)

        yield started


@pytest.fixture
def drain(settings: Settings) -> Callable[[], None]:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02, "cancel_seconds": 5.0}
    return run_pending


def error_of(run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    assert run.status == "failed"
    return dict(run.error)


def elsewhere(function: Callable[[], object]) -> None:
    """Do something on a connection of its own."""

    def done() -> None:
        try:
            function()
        finally:
            connections.close_all()

    thread = threading.Thread(target=done)
    thread.start()
    thread.join()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_rows_events_artifacts_and_result_are_one(
    start: Callable[..., Run], drain: Callable[[], None], durability: str
) -> None:
    def node(state: State, ctx: SyncContext) -> State:
        pay()
        ctx.emit("said")
        ctx.save_artifact("receipt.txt", "1")
        return {"log": ["node"]}

    run = start(node, durability)
    drain()
    run.refresh_from_db()
    assert run.status == "completed", run.error
    assert paid() == ["ann"]
    assert Artifact.objects.filter(run=run, name="receipt.txt", node="node").count() == 1
    assert names(run)[2:8] == [
        "checkpoint",
        "node_started",
        "custom",
        "artifact",
        "node_update",
        "checkpoint",
    ]
    assert PendingWrite.objects.count() == 0


def test_an_error_undoes_everything_and_a_retry_does_it_once(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    calls: list[int] = []

    def node(state: State, ctx: SyncContext) -> State:
        pay(f"call {len(calls)}")
        ctx.emit(len(calls))
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("again")
        return {"n": 2}

    run = start(node, retry_policy=RetryPolicy(initial_interval=0.01, jitter=False))
    drain()
    run.refresh_from_db()
    assert (run.status, paid()) == ("completed", ["call 2"])
    assert [e.decoded for e in Event.objects.filter(run=run, name="custom")] == [2]
    assert names(run).count("retry") == 2


def test_a_node_that_fails_leaves_nothing(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def node(state: State) -> State:
        pay()
        raise ValueError("no")

    run = start(node)
    drain()
    assert (error_of(run)["message"], paid()) == ("no", [])


def test_a_result_that_cannot_be_kept_leaves_nothing(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def node(state: State) -> Any:
        pay()
        return {"nope": 1}

    run = start(node)
    drain()
    assert (error_of(run)["type"], paid()) == ("InvalidUpdateError", [])


def test_a_question_undoes_what_came_before_it(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def node(state: State) -> State:
        pay()
        return {"log": [interrupt("sure?")]}

    run = start(node)
    drain()
    run.refresh_from_db()
    assert (run.status, paid()) == ("interrupted", [])


def test_a_broken_transaction_is_not_taken_for_a_good_one(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def node(state: State) -> State:
        pay()
        twice = Thread.objects.create()
        with suppress(IntegrityError):
            Thread.objects.create(id=twice.id)
        transaction.set_rollback(True)
        return {"n": 1}

    run = start(node)
    drain()
    assert paid() == []
    assert "transaction" in error_of(run)["message"]


@pytest.mark.parametrize("what", ["step", "sleep"])
def test_what_would_wait_for_the_journal_is_refused(
    start: Callable[..., Run], drain: Callable[[], None], what: str
) -> None:
    def node(state: State, ctx: SyncContext) -> State:
        pay()
        if what == "step":
            ctx.step("one", pay)
        else:
            ctx.sleep(60)
        return {}

    run = start(node)
    drain()
    assert "atomic" in error_of(run)["message"]
    assert paid() == []


def test_a_timeout_undoes_it(start: Callable[..., Run], drain: Callable[[], None]) -> None:
    seen = threading.Event()

    def node(state: State, ctx: SyncContext) -> State:
        pay()
        wait_until("the time is over", lambda: ctx.cancelled)
        seen.set()
        return {}

    run = start(node, timeout=0.05)
    drain()
    assert seen.wait(10)
    assert (error_of(run)["type"], paid()) == ("NodeTimeoutError", [])


def test_a_timeout_that_comes_too_late_changes_nothing(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    def node(state: State) -> State:
        pay()
        return {"log": ["node"]}

    run = start(node, timeout=1.0)
    over = threading.Event()

    def wait_for_the_end_of_its_time() -> None:
        over.wait(1.3)

    faults.arm("before_transaction", wait_for_the_end_of_its_time)
    try:
        drain()
    finally:
        faults.disarm()
    run.refresh_from_db()
    assert (run.status, paid()) == ("completed", ["ann"])


def test_a_cancellation_that_wins_undoes_it(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    """SQLite: asked for before the transaction, which locks out everybody else. Postgres: in it."""

    def node(state: State) -> State:
        pay()
        if connection.vendor == "postgresql":
            elsewhere(lambda: cancel_run(run.id, by="ann"))
        return {"n": 2}

    run = start(node)
    if connection.vendor == "sqlite":
        # The superstep before the node's is committed, and the worker has not looked yet.
        faults.arm("after_commit", lambda: elsewhere(lambda: cancel_run(run.id, by="ann")))
    try:
        drain()
    finally:
        faults.disarm()
    run.refresh_from_db()
    assert (run.status, paid()) == ("cancelled", [])
    assert names(run)[-1] == "cancelled"


def test_whoever_lost_the_run_changes_nothing(start: Callable[..., Run]) -> None:
    """A worker that froze in its node, and wakes up when another one has the run."""
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite nobody else writes while the node has its transaction")
    attempts: list[int] = []

    def node(state: State, ctx: SyncContext) -> State:
        pay(f"attempt {ctx.attempt}")
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            elsewhere(take_over)
        return {"n": 2}

    def take_over() -> None:
        Run.objects.filter(id=run.id).update(status="pending", lease_owner=None)
        asyncio.run(execute())

    run = start(node)
    asyncio.run(execute())
    run.refresh_from_db()
    assert (run.status, attempts, paid()) == ("completed", [1, 2], ["attempt 2"])


async def execute() -> None:
    """Claim and execute, as another worker does."""

    def claim() -> Any:
        try:
            return claims.claim(uuid7(), 1)[0]
        finally:
            connections.close_all()

    claimed = await asyncio.to_thread(claim)
    journal = DurableJournal(store().attach)
    with ThreadPoolExecutor(4) as threads:
        await Executor(journal=journal, artifacts=store(), threads=threads).execute(claimed)
    await asyncio.to_thread(journal.close)


def test_a_commit_whose_answer_was_lost_counts(
    start: Callable[..., Run], drain: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = atomic_nodes._transact

    def lost(*args: Any) -> Any:
        transact(*args)
        raise OperationalError("server closed the connection unexpectedly")

    def node(state: State) -> State:
        pay()
        return {"log": ["node"]}

    monkeypatch.setattr(atomic_nodes, "_transact", lost)
    run = start(node)
    drain()
    run.refresh_from_db()
    assert (run.status, paid()) == ("completed", ["ann"])


def test_a_database_that_is_not_there_yet_is_waited_for(
    start: Callable[..., Run], drain: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    find, asked = atomic_nodes._find, []

    def late(*args: Any) -> Any:
        asked.append(1)
        if len(asked) < 3:
            raise OperationalError("database is locked")
        return find(*args)

    def node(state: State) -> State:
        pay()
        return {"log": ["node"]}

    monkeypatch.setattr(atomic_nodes, "_find", late)
    run = start(node)
    drain()
    run.refresh_from_db()
    assert (run.status, paid()) == ("completed", ["ann"])


def test_many_at_once_beside_the_writer(
    drain: Callable[[], None], start: Callable[..., Run]
) -> None:
    """One file, one process: transactions of nodes and group commits wait for each other, and
    never in a circle."""

    def node(state: State, ctx: SyncContext) -> State:
        ctx.emit("before")
        pay(ctx.run_id)
        ctx.save_artifact("note.txt", ctx.run_id)
        return {"n": 2}

    run = start(node)
    new = NewRun(workflow="under_test", payload={"n": 1})
    others = [create_run(new) for _ in range(39)]
    drain()
    run_ids = sorted(str(one.id) for one in [run, *others])
    assert paid() == run_ids
    assert Run.objects.filter(status="completed").count() == 40


def test_a_record_that_is_there_is_the_answer_of_the_next_attempt(
    start: Callable[..., Run], drain: Callable[[], None]
) -> None:
    """Committed, and then the worker is gone before its superstep."""

    def node(state: State) -> State:
        pay()
        return {"log": ["node"]}

    class Gone(BaseException):
        pass

    def die() -> None:
        raise Gone

    run = start(node)
    faults.arm("after_transaction", die)
    try:
        drain()
    finally:
        faults.disarm()
    run.refresh_from_db()
    assert (run.status, paid()) == ("failed", ["ann"])
    Run.objects.filter(id=run.id).update(status="pending")
    drain()
    run.refresh_from_db()
    assert (run.status, paid()) == ("completed", ["ann"])
    assert names(run).count("node_update") == 2, "one of each node"
