"""The worker, in this process, on a real database: runs from claim to end."""

from __future__ import annotations

import asyncio
import json
import operator
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from django.db import IntegrityError, connections
from django.utils import timezone
from pytest_django import Settings

from artifacts.models import Artifact
from artifacts.store import read, store
from runs import leases, manager, recovery, shutdown, workflows
from runs.engine import END, START, Context, Send, StateGraph, SyncContext
from runs.engine.ids import uuid7
from runs.flags import Flag
from runs.models import Event, PendingWrite, Run, State, Thread, Worker
from runs.worker import Worker as RunsWorker

pytestmark = pytest.mark.django_db(transaction=True)

Register = Callable[[StateGraph], str]


class Count(TypedDict, total=False):
    n: int
    done: Annotated[list[int], operator.add]


async def add(state: Count) -> Count:
    return {"n": state.get("n", 0) + 1, "done": [state.get("n", 0)]}


def more(state: Count) -> str:
    return "add" if state["n"] < 3 else END


def counting() -> StateGraph:
    graph = StateGraph(Count).add_node("add", add).add_edge(START, "add")
    return graph.add_conditional_edges("add", more, ["add", END])


@pytest.fixture
def register() -> Iterator[Register]:
    before = dict(workflows._registry)
    yield lambda graph: workflows.register("under_test", graph.compile()).name
    workflows._registry.clear()
    workflows._registry.update(before)


@pytest.fixture
def drain(settings: Settings) -> Callable[[], None]:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02}
    return lambda: asyncio.run(RunsWorker(store()).drain())


def pending(workflow: str, payload: Any = None, thread: Thread | None = None) -> Run:
    thread = thread or Thread.objects.create()
    return Run.objects.create(
        thread=thread, workflow=workflow, payload={"n": 0} if payload is None else payload
    )


def log(run: Run) -> list[tuple[int, str, str]]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("seq", "name", "node"))


def error_of(run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    assert run.status == "failed"
    assert run.error is not None
    return dict(run.error)


def result(run: Run) -> Any:
    artifact = Artifact.objects.get(run=run, name="result.json")
    return json.loads(read(artifact.id))


def test_it_works(register: Register, drain: Callable[[], None]) -> None:
    run = pending(register(counting()))
    drain()
    run.refresh_from_db()
    assert (run.status, run.attempt, run.step, run.error) == ("completed", 1, 3, None)
    assert (run.lease_owner, run.lease_expires_at) == (None, None)
    step = [("node_started", "add"), ("node_update", "add"), ("checkpoint", "")]
    names = ["started", "checkpoint", *3 * step, "artifact", "completed"]
    expected = [(name, "") if isinstance(name, str) else name for name in names]
    assert log(run) == [(seq, *entry) for seq, entry in enumerate(expected, start=1)]
    assert run.seq == len(expected)
    assert result(run) == {"n": 3, "done": [0, 1, 2]}
    assert not PendingWrite.objects.exists()
    assert list(Worker.objects.values_list("awake", flat=True)) == [False]
    assert leases.in_flight() == {}


def test_many_runs_at_once(register: Register, drain: Callable[[], None]) -> None:
    name = register(counting())
    runs = [pending(name, {"n": -i}) for i in range(30)]
    drain()
    for i, run in enumerate(runs):
        assert result(run)["done"] == list(range(-i, 3))


def test_a_thread_goes_on_where_its_last_run_ended(
    register: Register, drain: Callable[[], None]
) -> None:
    name, thread = register(counting()), Thread.objects.create()
    first = pending(name, {"n": 0}, thread)
    second = pending(name, {"n": 1}, thread)
    drain()
    assert result(first)["done"] == [0, 1, 2]
    assert result(second)["done"] == [0, 1, 2, 1, 2]
    # one after the other, in the order of their creation
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.finished_at is not None and second.started_at is not None
    assert first.finished_at <= second.started_at


def test_what_a_node_raises_ends_the_run(register: Register, drain: Callable[[], None]) -> None:
    async def boom(state: Count) -> None:
        raise ValueError("no \x00 good \ud800")

    graph = StateGraph(Count).add_node("add", add).add_node("boom", boom)
    graph.add_edge(START, "add").add_edge("add", "boom")
    run = pending(register(graph))
    drain()
    error = error_of(run)
    assert (error["type"], error["node"]) == ("ValueError", "boom")
    assert error["message"] == "no \\x00 good ?"
    assert "raise ValueError" in error["traceback"]
    assert "/runs/engine/" not in error["traceback"]
    last = Event.objects.filter(run=run).latest("seq")
    assert (last.name, last.node) == ("failed", "boom")
    assert set(last.decoded) == {"type", "message", "node"}
    # the state of the last good checkpoint is kept
    assert run.step == 1
    assert State.objects.filter(thread=run.thread, channel="done").count() == 1


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1)])
def test_no_error_of_a_node_ends_the_worker(
    register: Register, drain: Callable[[], None], error: BaseException
) -> None:
    def boom(state: Count) -> None:
        raise error

    run = pending(register(StateGraph(Count).add_node("boom", boom).add_edge(START, "boom")))
    drain()
    run.refresh_from_db()
    assert run.status == "failed"


def test_an_unknown_workflow_fails_with_a_sentence(drain: Callable[[], None]) -> None:
    run = pending("gone")
    drain()
    assert "no workflow named 'gone'" in error_of(run)["message"]


def test_artifacts_of_nodes(register: Register, drain: Callable[[], None]) -> None:
    async def write(state: Count, ctx: Context) -> None:
        await ctx.save_artifact("a.txt", "first")
        await ctx.save_artifact("a.txt", "second")
        ctx.emit({"i": 1})

    def write_sync(state: Count, ctx: SyncContext) -> None:
        ctx.emit({"i": 2})
        ref = ctx.save_artifact("b.bin", b"\x00\xff")
        assert ref.size == 2

    graph = StateGraph(Count).add_node("write", write).add_node("write_sync", write_sync)
    graph.add_edge(START, "write").add_edge("write", "write_sync")
    run = pending(register(graph))
    drain()
    run.refresh_from_db()
    assert run.status == "completed", run.error
    saved = {artifact.name: read(artifact.id) for artifact in Artifact.objects.filter(run=run)}
    assert saved["a.txt"] == b"second"
    assert saved["b.bin"] == b"\x00\xff"
    assert json.loads(saved["result.json"]) == {"n": 0, "done": []}
    names = [(name, node) for _, name, node in log(run) if name in ("artifact", "custom")]
    assert names == [
        ("artifact", "write"),
        ("artifact", "write"),
        ("custom", "write"),
        ("custom", "write_sync"),
        ("artifact", "write_sync"),
        ("artifact", ""),
    ]


def test_finished_siblings_do_not_run_again(register: Register, drain: Callable[[], None]) -> None:
    calls: list[int] = []
    broken = True

    async def one(state: Count) -> Count:
        calls.append(state["n"])
        if state["n"] == 2 and broken:
            await asyncio.sleep(0.05)  # the siblings finish first
            raise RuntimeError("later")
        return {"done": [state["n"]]}

    def fan(state: Count) -> list[Send]:
        return [Send("one", {"n": i}) for i in range(4)]

    graph = StateGraph(Count).add_node("one", one).add_conditional_edges(START, fan, ["one"])
    run = pending(register(graph))
    drain()
    assert PendingWrite.objects.count() == 3
    # what an operator would do: the cause is mended, and the run goes on
    broken = False
    Run.objects.filter(id=run.id).update(status="pending", error=None)
    drain()
    assert sorted(calls) == [0, 1, 2, 2, 3]
    assert result(run)["done"] == [0, 1, 2, 3]
    assert not PendingWrite.objects.exists()


def test_a_run_whose_worker_died_goes_on(register: Register, drain: Callable[[], None]) -> None:
    run = pending(register(counting()))
    assert len(leases.claim(uuid7(), 10)) == 1  # by a worker that is never heard of again
    recovery.sweep(timezone.now())
    run.refresh_from_db()
    assert run.status == "running"
    recovery.sweep(timezone.now() + timedelta(minutes=1))
    drain()
    run.refresh_from_db()
    assert (run.status, run.attempt, run.crashes) == ("completed", 2, 0)
    assert [name for _, name, _ in log(run)][:3] == ["started", "recovered", "checkpoint"]


def test_a_stopping_cluster_gets_its_runs_back_in_the_queue(
    register: Register, drain: Callable[[], None]
) -> None:
    flag = Flag()
    shutdown.arm(flag)

    async def stop(state: Count) -> None:
        flag.set()
        await asyncio.sleep(60)

    graph = StateGraph(Count).add_node("add", add).add_node("stop", stop)
    graph.add_edge(START, "add").add_edge("add", "stop")
    run = pending(register(graph))
    try:
        drain()
    finally:
        shutdown._flag = None
    run.refresh_from_db()
    assert (run.status, run.step, run.lease_owner) == ("pending", 1, None)
    assert run.crashes == 0


def test_a_value_that_cannot_be_stored_fails_its_node(
    register: Register, drain: Callable[[], None]
) -> None:
    async def bad(state: Count) -> Any:
        return {"n": object()}

    run = pending(register(StateGraph(Count).add_node("bad", bad).add_edge(START, "bad")))
    drain()
    error = error_of(run)
    assert error["type"] == "NotStorableError"
    assert "Key 'n' of node 'bad'" in error["message"]


def test_claims_go_by_priority_then_age() -> None:
    runs = [pending("x") for _ in range(3)]
    Run.objects.filter(id=runs[2].id).update(priority=1)
    worker: UUID = uuid7()
    order = [UUID(leases.claim(worker, 1)[0].lease.run_id) for _ in range(3)]
    assert order == [runs[2].id, runs[0].id, runs[1].id]
    assert leases.claim(worker, 1) == []
    assert leases.in_flight() == {worker: 3}


def test_a_replay_goes_on_from_a_step_and_a_fork_with_other_values(
    register: Register, drain: Callable[[], None]
) -> None:
    run = pending(register(counting()))
    drain()
    again = manager.replay_run(run.id, from_step=1)
    forked = manager.replay_run(run.id, from_step=1, changes={"n": 2, "done": [7]})
    whole = manager.replay_run(run.id)
    drain()
    assert result(again) == {"n": 3, "done": [0, 1, 2]}
    assert result(forked) == {"n": 3, "done": [7, 2]}
    assert result(whole) == result(run)
    assert [event for event in log(again) if event[1] == "node_update"] == [
        (4, "node_update", "add"),
        (7, "node_update", "add"),
    ]
    # the run that was replayed is as it was
    assert result(run) == {"n": 3, "done": [0, 1, 2]}


def test_a_worker_that_cannot_begin_leaves_no_thread(
    drain: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(worker: RunsWorker) -> None:
        raise IntegrityError("no such row")

    monkeypatch.setattr(RunsWorker, "_register", refuse)
    before = threading.active_count()
    with pytest.raises(IntegrityError):
        drain()
    assert threading.active_count() == before


def test_a_sync_node_that_outlives_its_run_holds_nobody_up(
    register: Register, drain: Callable[[], None]
) -> None:
    go_on = threading.Event()

    def linger(state: Count) -> None:
        go_on.wait(60)

    async def boom(state: Count) -> None:
        raise RuntimeError

    graph = StateGraph(Count).add_node("linger", linger).add_node("boom", boom)
    run = pending(register(graph.add_edge(START, "linger").add_edge(START, "boom")))
    try:
        drain()  # returns, although the thread of `linger` is still there
        assert error_of(run)["type"] == "RuntimeError"
    finally:
        go_on.set()


def leave(*args: Any) -> Any:
    raise SystemExit(5)


class Leaving(TypedDict, total=False):
    n: Annotated[int, leave]


async def write(state: Leaving) -> Leaving:
    return {"n": 1}


@pytest.mark.parametrize("where", ["router", "reducer"])
def test_no_router_or_reducer_ends_the_worker(
    register: Register, drain: Callable[[], None], where: str
) -> None:
    graph = StateGraph(Leaving if where == "reducer" else Count).add_node("write", write)
    if where == "router":
        graph.add_conditional_edges(START, leave, ["write"])
    else:
        graph.add_edge(START, "write")
    run = pending(register(graph), payload={})
    drain()
    assert error_of(run)["type"] == "SystemExit"


def test_a_suspect_is_claimed_alone(settings: Settings) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "max_attempts": 3}
    runs = [pending("x") for _ in range(3)]
    Run.objects.filter(id=runs[1].id).update(crashes=2)
    worker = uuid7()
    first = leases.claim(worker, 10)
    assert [claimed.lease.run_id for claimed in first] == [str(runs[0].id)]
    assert leases.claim(worker, 10, idle=False) == []  # it waits for an idle worker, and others too
    (alone,) = leases.claim(worker, 10, idle=True)
    assert (alone.lease.run_id, alone.suspect) == (str(runs[1].id), True)
    assert not leases.cleared([str(runs[1].id)])
    Run.objects.filter(id=runs[1].id).update(crashes=0)  # as its next superstep does
    assert leases.cleared([str(runs[1].id)])


def test_a_run_that_was_taken_away_is_stopped_and_what_is_left_lapses(
    register: Register, drain: Callable[[], None], settings: Settings
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "lease_seconds": 0.4}
    stopped: list[bool] = []

    def take_away() -> None:
        try:
            Run.objects.filter(id=run.id).update(attempt=7, lease_owner=uuid7())
        finally:
            connections.close_all()

    async def wait(state: Count) -> None:
        try:
            # what a sweep does when the lease has lapsed, and another worker after it
            await asyncio.to_thread(take_away)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    run = pending(register(StateGraph(Count).add_node("wait", wait).add_edge(START, "wait")))
    drain()
    run.refresh_from_db()
    assert stopped == [True]
    assert (run.status, run.attempt) == ("running", 7)  # not ours to touch
