"""Each call of a node has a standing of its own: what is left of an earlier one changes nothing."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    CompiledGraph,
    Context,
    MemoryJournal,
    NodeTimeoutError,
    RetryPolicy,
    StateGraph,
    SyncContext,
    entrypoint,
    interrupt,
    task,
)
from runs.engine.errors import CallOver

SECONDS = 20
AGAIN = RetryPolicy(initial_interval=0, jitter=False, retry_on=TimeoutError)


class State(TypedDict, total=False):
    x: Any


def only(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node").compile()


class Late:
    """A sync node whose first call takes too long, and then uses `late` of what it was given,
    while the second call waits for that."""

    def __init__(self, late: Any) -> None:
        self._late = late
        self.calls = 0
        self.over, self.used = threading.Event(), threading.Event()
        self.refused: list[BaseException] = []
        self.saw: list[bool] = []

    def __call__(self, state: State, ctx: SyncContext) -> State:
        self.calls += 1
        if self.calls == 1:
            self.saw.append(ctx.cancelled)
            self.over.wait(SECONDS)
            self.saw.append(ctx.cancelled)
            try:
                self._late(ctx)
            except BaseException as error:
                self.refused.append(error)
            self.used.set()
            return {"x": "late"}
        self.over.set()
        assert self.used.wait(SECONDS)
        return {"x": [ctx.step("s", lambda: self.calls), interrupt("ok?")]}


@pytest.mark.parametrize(
    "late",
    [
        lambda ctx: interrupt("late"),
        lambda ctx: ctx.step("s", lambda: "late"),
        lambda ctx: ctx.emit("late"),
        lambda ctx: ctx.sleep(0),
        lambda ctx: ctx.save_artifact("late.txt", "late"),
        lambda ctx: only(lambda s: {"x": "late"}).invoke({}),
    ],
    ids=["interrupt", "step", "emit", "sleep", "artifact", "invoke"],
)
async def test_a_call_whose_time_is_over_is_refused(late: Any) -> None:
    node, journal = Late(late), MemoryJournal()
    graph = only(node, timeout=0.5, retry_policy=AGAIN)
    found = await graph.ainvoke({}, thread_id="t", journal=journal)
    assert len(found["__interrupt__"]) == 1
    assert [type(error) for error in node.refused] == [CallOver]
    assert node.saw == [False, True]
    found = await graph.ainvoke(Command(resume="yes"), thread_id="t", journal=journal)
    assert found == {"x": [2, "yes"]}
    (newest, *_) = await journal.history("t")
    told = [event["event"] for event in await journal.events(newest.run_id)]
    assert told.count("retry") == 1
    assert not {"custom", "artifact"} & set(told)


async def test_what_waits_when_its_time_is_over_is_let_go() -> None:
    let_go = threading.Event()

    def node(state: State, ctx: SyncContext) -> None:
        try:
            only(never).invoke({})
        finally:
            let_go.set()

    async def never(state: State) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await only(node, timeout=0.05).ainvoke({})
    assert await asyncio.to_thread(let_go.wait, SECONDS)


async def test_nothing_is_stated_after_the_run() -> None:
    journal, contexts = MemoryJournal(), []

    async def node(state: State, ctx: Context) -> None:
        contexts.append(ctx)
        raise KeyError("n")

    with pytest.raises(KeyError):
        await only(node).ainvoke({}, thread_id="t", journal=journal)
    (newest, *_) = await journal.history("t")
    before = await journal.events(newest.run_id)
    (ctx,) = contexts
    with pytest.raises(CallOver, match=r"This call of node 'node' is over"):
        ctx.emit("late")
    with pytest.raises(CallOver):
        await ctx.step("s", str)
    assert ctx.cancelled
    assert await journal.events(newest.run_id) == before


async def test_a_step_of_an_earlier_call_counts_for_the_next() -> None:
    calls: list[str] = []

    def counted() -> int:
        calls.append("step")
        return len(calls)

    async def node(state: State, ctx: Context) -> State:
        number = await ctx.step("s", counted)
        calls.append("node")
        if calls.count("node") == 1:
            raise TimeoutError
        return {"x": [number, await ctx.step("s", lambda: "second")]}

    assert await only(node, retry_policy=AGAIN).ainvoke({}) == {"x": [1, "second"]}
    assert calls == ["step", "node", "node"]


@pytest.mark.parametrize("form", ["node", "entrypoint"])
async def test_tasks_that_nobody_waited_for_are_waited_for(form: str) -> None:
    """As LangGraph does."""
    done: list[int] = []

    @task
    async def slow(number: int) -> None:
        await asyncio.sleep(0.01)
        done.append(number)

    async def begins(given: Any) -> None:
        slow(1)

    graph = only(begins) if form == "node" else entrypoint()(begins)
    await graph.ainvoke({})
    assert done == [1]


async def test_what_runs_beside_a_question_is_recorded_before_the_run_stops() -> None:
    """Or the answer would find a step that was done, and not recorded."""
    paid: list[str] = []

    async def pay(who: str) -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        paid.append(who)
        return who

    async def ask() -> Any:
        return interrupt("sure?")

    async def buys(state: State, ctx: Context) -> State:
        return {"x": await ctx.step("pay", pay, "inner")}

    inner = only(buys)

    async def node(state: State, ctx: Context) -> State:
        both = asyncio.gather(ctx.step("pay", pay, "own"), inner.ainvoke({}), ask())
        return {"x": await both}

    graph = only(node)
    await graph.ainvoke({}, thread_id="t")
    assert sorted(paid) == ["inner", "own"]
    ended = await graph.ainvoke(Command(resume="yes"), thread_id="t")
    assert ended["x"] == ["own", {"x": "inner"}, "yes"]
    assert sorted(paid) == ["inner", "own"]


async def test_a_graph_that_a_call_began_ends_with_it() -> None:
    begun, hold = [], asyncio.Event()

    async def holds(state: State) -> None:
        begun.append("holds")
        await hold.wait()

    async def never(state: State) -> None:
        begun.append("never")

    inner = StateGraph(State).add_node("holds", holds).add_node("never", never)
    graph = inner.add_edge(START, "holds").add_edge("holds", "never").compile()
    left: list[asyncio.Task[Any]] = []

    async def node(state: State) -> State:
        left.append(asyncio.create_task(graph.ainvoke({})))
        while not begun:
            await asyncio.sleep(0)
        return {"x": 1}

    assert await only(node).ainvoke({}) == {"x": 1}
    hold.set()
    with pytest.raises(asyncio.CancelledError):
        await left[0]
    assert begun == ["holds"]


async def test_the_time_of_a_node_is_that_of_its_routers_too() -> None:
    async def waits(state: State) -> str:
        await asyncio.Event().wait()
        return "node"

    builder = StateGraph(State).add_node("node", lambda s: {"x": 1}, timeout=0.05)
    builder.add_edge(START, "node").add_conditional_edges("node", waits, ["node"])
    with pytest.raises(NodeTimeoutError, match="took longer than its timeout"):
        await asyncio.wait_for(builder.compile().ainvoke({}), SECONDS)
