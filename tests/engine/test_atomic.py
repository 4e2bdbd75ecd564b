"""Atomic nodes without a database: what is refused, and what they are given in memory."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Literal, TypedDict

import pytest

from runs.engine import (
    END,
    START,
    CachePolicy,
    Command,
    CompiledGraph,
    InvalidGraphError,
    InvalidUpdateError,
    MemoryJournal,
    RetryPolicy,
    StateGraph,
    SyncContext,
    task,
)


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


def node(state: State) -> State:
    return {"log": ["node"]}


async def asynchronous(state: State) -> State:
    return {}


async def route(state: State) -> str:
    return END


def single(**options: Any) -> StateGraph:
    return StateGraph(State).add_node("node", **options).add_edge(START, "node")


def inner() -> CompiledGraph:
    return single(action=node).compile()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"action": asynchronous}, "make it a sync function"),
        ({"action": inner()}, "make it a sync function"),
        ({"action": node, "cache_policy": CachePolicy()}, "cache policy"),
    ],
    ids=["async", "graph", "cached"],
)
def test_what_cannot_be_atomic_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidGraphError, match=f"(?i)'node'.*{why}"):
        single(atomic=True, **options)


def test_an_async_router_after_one_is_refused() -> None:
    graph = single(action=node, atomic=True).add_conditional_edges("node", route, [END])
    with pytest.raises(InvalidGraphError, match="'route'"):
        graph.compile()


def test_a_task_cannot_be_atomic() -> None:
    with pytest.raises(InvalidGraphError, match="add_node"):
        task(atomic=True)(node)  # type: ignore[call-overload]


async def test_its_result_its_way_and_its_events_are_recorded_once() -> None:
    journal = MemoryJournal()

    def first(state: State, ctx: SyncContext) -> Command[Literal["second"]]:
        ctx.emit("said")
        return Command(update={"log": ["first"]}, goto="second")

    def second(state: State) -> State:
        return {"log": ["second"]}

    graph = StateGraph(State).add_node(first, atomic=True).add_node(second, atomic=True)
    graph.add_edge(START, "first").add_conditional_edges("second", lambda state: END)
    seen = [
        item
        async for item in graph.compile().astream(
            {"log": []}, stream_mode=["updates", "custom"], thread_id="t", journal=journal
        )
    ]
    assert seen == [
        ("custom", "said"),
        ("updates", {"first": {"log": ["first"]}}),
        ("updates", {"second": {"log": ["second"]}}),
    ]
    (run_id,) = journal._events
    names = [event["event"] for event in await journal.events(run_id)]
    step = ["node_started", "node_update", "checkpoint"]
    assert names == ["checkpoint", "node_started", "custom", *step[1:], *step]


async def test_what_an_attempt_that_failed_said_is_not_in_the_log() -> None:
    calls: list[int] = []

    def fails_once(state: State, ctx: SyncContext) -> State:
        calls.append(1)
        ctx.emit(len(calls))
        if len(calls) == 1:
            raise ConnectionError
        return {"log": ["done"]}

    policy = RetryPolicy(initial_interval=0, jitter=False)
    journal = MemoryJournal()
    graph = single(action=fails_once, atomic=True, retry_policy=policy).compile()
    answer = await graph.ainvoke({"log": []}, thread_id="t", journal=journal)
    assert answer == {"log": ["done"]}
    (run_id,) = journal._events
    said = [one["data"] for one in await journal.events(run_id) if one["event"] == "custom"]
    assert said == [2]


def calls_a_step(state: State, ctx: SyncContext) -> State:
    return {"log": [ctx.step("one", lambda: 1)]}


def sleeps(state: State, ctx: SyncContext) -> State:
    ctx.sleep(0.01)
    return {}


def calls_a_graph(state: State) -> State:
    inner().invoke({"log": []})
    return {}


def calls_a_task(state: State) -> State:
    task(node)(state).result()
    return {}


@pytest.mark.parametrize("action", [calls_a_step, sleeps, calls_a_graph, calls_a_task])
async def test_what_waits_for_the_journal_is_refused(action: Any) -> None:
    with pytest.raises(RuntimeError, match="'node' is atomic"):
        await single(action=action, atomic=True).compile().ainvoke({"log": []})


async def test_a_command_to_the_parent_is_refused() -> None:
    def up(state: State) -> Command[str]:
        return Command(update={"log": ["up"]}, graph=Command.PARENT)

    outer = single(action=single(action=up, atomic=True).compile()).compile()
    with pytest.raises(InvalidUpdateError, match="parent"):
        await outer.ainvoke({"log": []})
