"""The worker, in this process, on a real database: runs from claim to end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from artifacts.models import Artifact
from artifacts.store import read
from runs.engine import START, Context, Send, StateGraph, SyncContext
from runs.models import PendingWrite, Run, Thread, Worker
from runs.operations.replay import replay_run
from runs.scheduling import leases
from tests.integration.counting import Count, Register, counting, log, pending, result

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_a_replay_goes_on_from_a_step_and_a_fork_with_other_values(
    register: Register, drain: Callable[[], None]
) -> None:
    run = pending(register(counting()))
    drain()
    again = replay_run(run.id, from_step=1)
    forked = replay_run(run.id, from_step=1, changes={"n": 2, "done": [7]})
    whole = replay_run(run.id)
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
