"""Sync nodes that wait for the event loop: for artifacts, steps, tasks and graphs of their own."""

from __future__ import annotations

import asyncio
import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    CompiledGraph,
    Context,
    MemoryJournal,
    NodeTimeoutError,
    Send,
    StateGraph,
    SyncContext,
    entrypoint,
    task,
)
from runs.engine.clock import SystemClock
from runs.engine.concurrency.thread_pool import Pool
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import advance
from tests.engine.mortal import LEASE, Files

SECONDS = 30
MANY = 40


class State(TypedDict, total=False):
    x: Any
    log: Annotated[list[Any], operator.add]


def one(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node").compile()


def double(state: State) -> State:
    return {"x": state["x"] * 2}


async def double_later(state: State) -> State:
    await asyncio.sleep(0)
    return double(state)


@task
def doubled(number: int) -> int:
    return number * 2


@task
async def doubled_later(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


@entrypoint()
def doubling(number: int) -> int:
    return int(doubled(number).result())


def saves(number: int, ctx: SyncContext) -> State:
    return {"log": [ctx.save_artifact("file", str(number)).size and number * 2]}


def steps(number: int, ctx: SyncContext) -> State:
    return {"log": [ctx.step("double", lambda: number * 2)]}


def invokes(number: int) -> State:
    return {"log": [one(double).invoke({"x": number})["x"]]}


def invokes_twice_over(number: int) -> State:
    return {"log": [one(lambda s: one(double).invoke(s)).invoke({"x": number})["x"]]}


def invokes_async(number: int) -> State:
    return {"log": [one(double_later).invoke({"x": number})["x"]]}


def calls_a_task(number: int) -> State:
    return {"log": [doubled(number).result()]}


def calls_an_async_task(number: int) -> State:
    begun = doubled_later(number)
    return {"log": [begun.exception() or begun.result()]}


def calls_an_entrypoint(number: int) -> State:
    return {"log": [doubling.invoke(number)]}


@pytest.mark.parametrize(
    "node",
    [
        saves,
        steps,
        invokes,
        invokes_twice_over,
        invokes_async,
        calls_a_task,
        calls_an_async_task,
        calls_an_entrypoint,
    ],
)
@pytest.mark.parametrize("threads", [1, 4])
async def test_more_of_them_than_threads(node: Any, threads: int) -> None:
    builder = StateGraph(State).add_node("node", node)
    builder.add_conditional_edges(START, lambda s: [Send("node", n) for n in range(MANY)], ["node"])
    graph = builder.compile().graph
    with Pool(threads) as pool:
        execution = Execution(
            graph=graph, journal=MemoryJournal(), lease=LEASE, threads=pool, artifacts=Files()
        )
        outcome = await asyncio.wait_for(advance(execution, {}), SECONDS)
    assert outcome.position.values["log"] == [n * 2 for n in range(MANY)]


def test_more_of_them_than_this_process_has_threads() -> None:
    builder = StateGraph(State).add_node("node", invokes)
    builder.add_conditional_edges(START, lambda s: [Send("node", n) for n in range(MANY)], ["node"])
    assert builder.compile().invoke({})["log"] == [n * 2 for n in range(MANY)]


async def test_invoke_on_the_event_loop_answers() -> None:
    async def node(state: State) -> State:
        inner = [one(double).invoke({"x": n})["x"] for n in range(3)]
        return {"log": [*inner, doubling.invoke(5)]}

    async with asyncio.timeout(SECONDS):
        assert (await one(node).ainvoke({}))["log"] == [0, 2, 4, 10]
    assert one(double).invoke({"x": 2})["x"] == 4  # in no node at all, as in a notebook


async def test_invoke_on_the_event_loop_when_no_thread_is_free() -> None:
    """The threads all wait for the event loop, which waits for the graph."""
    size, asked = 2, asyncio.Event()

    class Gate(SystemClock):
        async def sleep(self, seconds: float) -> None:
            await asked.wait()

    with Pool(size) as pool:

        def waits(state: State, ctx: SyncContext) -> State:
            ctx.sleep(0.01)
            return {"log": ["waited"]}

        async def asks(state: State) -> State:
            while pool._aside[0] < size:
                await asyncio.sleep(0)
            found = one(double).invoke({"x": 1})["x"]
            asked.set()
            return {"log": [found]}

        builder = StateGraph(State).add_node(asks).add_edge(START, "asks")
        for number in range(size):
            builder.add_node(f"waits{number}", waits).add_edge(START, f"waits{number}")
        graph = builder.compile().graph
        execution = Execution(
            graph=graph, journal=MemoryJournal(), lease=LEASE, threads=pool, clock=Gate()
        )
        outcome = await asyncio.wait_for(advance(execution, {}), SECONDS)
    assert outcome.position.values["log"] == [2, "waited", "waited"]


def routed_late() -> CompiledGraph:
    async def route(state: State) -> str:
        return "end"

    builder = StateGraph(State).add_node("node", double).add_node("end", double)
    return builder.add_edge(START, "node").add_conditional_edges("node", route, ["end"]).compile()


@pytest.mark.parametrize(
    ("inner", "part"),
    [(one(double_later), "node"), (one(one(double_later)), "node"), (routed_late(), "route")],
    ids=["node", "inner node", "router"],
)
async def test_invoke_of_async_parts_on_the_event_loop_is_refused(
    inner: CompiledGraph, part: str
) -> None:
    async def node(state: State) -> Any:
        return inner.invoke({"x": 1})

    wanted = rf"async part '{part}': write `await graph\.ainvoke"
    with pytest.raises(RuntimeError, match=wanted):
        await one(node).ainvoke({})
    with pytest.raises(RuntimeError, match=wanted):
        inner.invoke({"x": 1})


def test_a_router_may_invoke_a_graph() -> None:
    def route(state: State) -> str:
        return "four" if one(double).invoke(state)["x"] == 4 else "other"

    builder = StateGraph(State).add_node("start", lambda s: {"log": ["start"]})
    builder.add_node("four", lambda s: {"log": ["four"]}).add_node("other", lambda s: None)
    builder.add_edge(START, "start").add_conditional_edges("start", route, ["four", "other"])
    assert builder.compile().invoke({"x": 2})["log"] == ["start", "four"]


async def test_waiting_for_the_loop_on_the_loop_is_refused() -> None:
    async def node(state: State, ctx: Context) -> None:
        ctx.in_thread.step("s", str)

    with pytest.raises(RuntimeError, match=r"Node 'node' cannot wait here .* with await"):
        await one(node).ainvoke({})


def test_a_timeout_ends_the_call_and_not_when_its_thread_ends() -> None:
    may_end, ended = threading.Event(), threading.Event()

    def slow(state: State) -> None:
        may_end.wait(SECONDS)
        ended.set()

    with pytest.raises(NodeTimeoutError):
        one(slow, timeout=0.05).invoke({})
    assert not ended.is_set()
    may_end.set()
    assert ended.wait(SECONDS)
