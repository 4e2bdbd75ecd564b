"""Cancelling a run in every kind of node, and at every fault point: it ends as cancelled, nothing
runs after it, and nothing is written after its last event."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypedDict

import pytest
from django.db import connection, connections
from pytest_django import Settings

from runs import workflows
from runs.engine import (
    START,
    Command,
    Context,
    RetryPolicy,
    StateGraph,
    SyncContext,
    faults,
    interrupt,
)
from runs.errors import Problem
from runs.models import Event, PendingWrite, Run
from runs.operations.cancel import cancel_run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.resume import resume_run
from tests.support.processes import wait_until
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    n: int
    m: int


Node = Callable[..., Any]


class Scene:
    """One run: what it did, and how to cancel it from within."""

    def __init__(self) -> None:
        self.went_on = False
        self.run: Run

    def begin(self, graph: StateGraph) -> None:
        workflows.register("under_test", graph.compile(), input_schema={"type": "object"})
        self.run = create_run(NewRun(workflow="under_test", payload={"n": 0}))

    def begin_with(self, node: Any, **more: Any) -> None:
        """`node`, and one after it that must never run."""
        graph = StateGraph(State).add_node("node", node, **more).add_node("after", self.after)
        self.begin(graph.add_edge(START, "node").add_edge("node", "after"))

    async def after(self, state: State) -> None:
        self.went_on = True

    def cancel(self) -> None:
        with suppress(Problem):  # it has ended already
            cancel_run(self.run.id, by="ann", reason="enough")

    def cancel_from_within(self) -> None:
        """In a thread with a connection of its own, and to the end."""
        beside = self.beside(self.cancel)
        beside.join()

    def cancel_beside(self) -> threading.Thread:
        """The same for who holds the lock of the run's row: returns as soon as Postgres says that
        the cancel waits for a lock."""
        backend: list[int] = []

        def cancels() -> None:
            connection.ensure_connection()
            backend.append(connection.connection.info.backend_pid)
            self.cancel()

        beside = self.beside(cancels)
        wait_until("the cancel waits for a lock", lambda: bool(backend) and _waits(*backend), 20)
        return beside

    def beside(self, function: Callable[[], object]) -> threading.Thread:
        def done() -> None:
            try:
                function()
            finally:
                connections.close_all()

        thread = threading.Thread(target=done)
        thread.start()
        return thread

    def has(self, name: str) -> bool:
        return Event.objects.filter(run=self.run, name=name).exists()

    def assert_cancelled(self) -> None:
        self.run.refresh_from_db()
        assert self.run.status == "cancelled", self.run.error
        assert not self.went_on
        names = list(Event.objects.filter(run=self.run).order_by("seq").values_list("seq", "name"))
        assert [seq for seq, _ in names] == list(range(1, self.run.seq + 1))
        assert [name for _, name in names].count("cancelled") == 1
        assert names[-1][1] == "cancelled"
        assert (self.run.lease_owner, self.run.wake_at) == (None, None)


def _waits(backend: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", [backend])
        return cursor.fetchone() is not None


@pytest.fixture
def scene() -> Iterator[Scene]:
    with workflows.temporary():
        yield Scene()
        faults.disarm()


@pytest.fixture
def drain(settings: Settings) -> Callable[[], None]:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02, "cancel_seconds": 30.0}
    return run_pending


def node_kinds(scene: Scene) -> dict[str, Node]:
    """Nodes that are under way, each in another way, when they are cancelled."""

    async def in_async(state: State) -> None:
        scene.cancel_from_within()
        await asyncio.sleep(60)

    def in_sync(state: State, ctx: SyncContext) -> None:
        scene.cancel_from_within()
        wait_until("the node is told", lambda: ctx.cancelled, 20)

    async def in_step(state: State, ctx: Context) -> None:
        async def long() -> None:
            scene.cancel_from_within()
            await asyncio.sleep(60)

        await ctx.step("long", long)

    def in_step_of_sync(state: State, ctx: SyncContext) -> None:
        def long() -> None:
            scene.cancel_from_within()
            wait_until("the node is told", lambda: ctx.cancelled, 20)

        ctx.step("long", long)

    async def in_short_sleep(state: State, ctx: Context) -> None:
        scene.cancel_from_within()
        await ctx.sleep(0.9)

    async def before_interrupt(state: State) -> None:
        scene.cancel_from_within()
        interrupt("sure?")

    return {
        "async": in_async,
        "sync": in_sync,
        "step": in_step,
        "step of sync": in_step_of_sync,
        "short sleep": in_short_sleep,
        "about to ask": before_interrupt,
    }


KINDS = ("async", "sync", "step", "step of sync", "short sleep", "about to ask")


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_node(scene: Scene, drain: Callable[[], None], kind: str) -> None:
    scene.begin_with(node_kinds(scene)[kind])
    drain()
    scene.assert_cancelled()


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_node_of_a_subgraph(scene: Scene, drain: Callable[[], None], kind: str) -> None:
    inner = StateGraph(State).add_node("inner", node_kinds(scene)[kind]).add_edge(START, "inner")
    scene.begin_with(inner.compile())
    drain()
    scene.assert_cancelled()


def test_in_the_pause_before_a_retry(scene: Scene, drain: Callable[[], None]) -> None:
    tries: list[int] = []

    async def fails(state: State) -> None:
        tries.append(1)
        raise ConnectionError("not there")

    def when_it_waits() -> None:
        wait_until("a retry is announced", lambda: scene.has("retry"), 20)
        scene.cancel()

    policy = RetryPolicy(initial_interval=60.0, max_interval=60.0, jitter=False)
    scene.begin_with(fails, retry_policy=policy)
    beside = scene.beside(when_it_waits)
    drain()
    beside.join()
    scene.assert_cancelled()
    assert tries == [1]


@pytest.mark.parametrize("status", ["sleeping", "interrupted"])
@pytest.mark.parametrize("nested", [False, True], ids=["node", "subgraph"])
def test_while_it_waits(scene: Scene, drain: Callable[[], None], status: str, nested: bool) -> None:
    async def waits(state: State, ctx: Context) -> None:
        if status == "sleeping":
            await ctx.sleep(3600)
        else:
            interrupt("sure?")

    inner = StateGraph(State).add_node("inner", waits).add_edge(START, "inner").compile()
    scene.begin_with(inner if nested else waits)
    drain()
    scene.run.refresh_from_db()
    assert scene.run.status == status
    scene.cancel()
    scene.assert_cancelled()
    if status == "interrupted":
        with pytest.raises(Problem) as refused:
            resume_run(scene.run.id, Command(resume="yes"))
        assert refused.value.status == 409
    drain()
    scene.assert_cancelled()


def every_point(scene: Scene) -> StateGraph:
    """A graph that comes by every fault point: two tasks at once, then a file, then a node with a
    transaction, then an end."""

    async def left(state: State) -> State:
        return {"n": 1}

    def right(state: State) -> State:
        return {"m": 1}

    async def files(state: State, ctx: Context) -> None:
        await ctx.save_artifact("note.txt", "kept")

    graph = StateGraph(State).add_node("left", left).add_node("right", right)
    graph.add_node("files", files).add_edge(START, "left").add_edge(START, "right")
    graph.add_node("atomic", right, atomic=True).add_edge("files", "atomic")
    return graph.add_edge(["left", "right"], "files")


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", faults.POINTS)
def test_at_a_fault_point(scene: Scene, drain: Callable[[], None], point: str, nth: int) -> None:
    in_transaction = point == "before_transaction"
    if in_transaction and connection.vendor == "sqlite":
        pytest.skip("on SQLite nobody else writes while the node has its transaction")
    reached = 0
    waiting: list[threading.Thread] = []

    def once() -> None:
        nonlocal reached
        reached += 1
        if reached == nth:
            if in_transaction:  # it holds the run's row: a cancel waits for its end
                waiting.append(scene.cancel_beside())
            else:
                scene.cancel_from_within()

    def let_it_cancel() -> None:
        for beside in waiting:
            beside.join()

    scene.begin(every_point(scene))
    faults.arm(point, once)
    if in_transaction:
        faults.arm("after_transaction", let_it_cancel)  # or the run might end before it
    drain()
    assert reached >= 1
    scene.run.refresh_from_db()
    if scene.run.cancel_requested_at is None:  # it had ended, or never came by a second time
        assert scene.run.status == "completed"
        assert point == "after_finish" or reached < nth
    else:
        scene.assert_cancelled()
        assert not scene.has("completed")
    assert not PendingWrite.objects.filter(run=scene.run, kind="interrupt").exists()
