"""Graphs that a node calls: part of its run, with LangGraph's usual call and any other."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    CompiledGraph,
    GraphRecursionError,
    MemoryJournal,
    StateGraph,
    interrupt,
)
from tests.engine.mortal import Hands


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


class Who(TypedDict):
    name: str


def only(node: Any, **options: Any) -> CompiledGraph:
    builder = StateGraph(State, **options).add_node("node", node)
    return builder.add_edge(START, "node").compile()


def two(second: Any, **options: Any) -> CompiledGraph:
    builder = StateGraph(State, **options).add_node("first", lambda s: {"log": ["first"]})
    builder.add_node("second", second).add_edge(START, "first").add_edge("first", "second")
    return builder.compile()


def asks(state: State) -> State:
    return {"log": [interrupt("name?")]}


async def with_config(graph: CompiledGraph, config: Any) -> Any:
    return await graph.ainvoke({"log": ["in"]}, config)


async def with_a_limit(graph: CompiledGraph, config: Any) -> Any:
    return await graph.ainvoke({"log": ["in"]}, {"recursion_limit": 9})


async def with_the_same_thread(graph: CompiledGraph, config: Any) -> Any:
    return await graph.ainvoke({"log": ["in"]}, thread_id=config["configurable"]["thread_id"])


async def with_a_clock(graph: CompiledGraph, config: Any) -> Any:
    return await graph.ainvoke({"log": ["in"]}, clock=Hands())


async def streamed(graph: CompiledGraph, config: Any) -> Any:
    seen = [one async for one in graph.astream({"log": ["in"]}, config, stream_mode="values")]
    return seen[-1]


def in_a_thread(graph: CompiledGraph, config: Any) -> Any:
    return graph.invoke({"log": ["in"]}, config)


CALLS = [with_config, with_a_limit, with_the_same_thread, with_a_clock, streamed, in_a_thread]


@pytest.mark.parametrize("call", CALLS)
async def test_it_is_a_part_of_the_run(call: Any) -> None:
    inner, journal = two(asks), MemoryJournal()

    async def node(state: State, config: Any) -> State:
        return {"log": (await call(inner, config))["log"]}

    def sync_node(state: State, config: Any) -> State:
        return {"log": call(inner, config)["log"]}

    graph = only(sync_node if call is in_a_thread else node)
    for _ in range(2):  # it does not pile up either
        (asked,) = (await graph.ainvoke({}, thread_id="t", journal=journal))["__interrupt__"]
        assert asked.value == "name?"
        assert asked.namespace.startswith("node:")
        assert await journal.history("t", namespace=asked.namespace)
        found = await graph.ainvoke(Command(resume="Bob"), thread_id="t", journal=journal)
        assert found["log"][-3:] == ["in", "first", "Bob"]


async def test_another_thread_or_journal_is_another_run() -> None:
    inner, journal = two(asks), MemoryJournal()

    async def node(state: State) -> State:
        one = await inner.ainvoke({}, thread_id="other")
        two = await inner.ainvoke({}, thread_id="t", journal=journal)
        return {"log": [len(found["__interrupt__"]) for found in (one, two)]}

    assert await only(node).ainvoke({}, thread_id="t") == {"log": [1, 1]}
    assert inner.get_state("other").next == ("second",)
    assert len(await journal.history("t")) == 2


async def test_its_options_are_its_own() -> None:
    async def says(state: State, ctx: Any) -> State:
        return {"log": [ctx.context and ctx.context["name"]]}

    inner = only(says, context_schema=Who)

    async def node(state: State) -> State:
        one = await inner.ainvoke({}, context={"name": "Eve"})
        two = await inner.ainvoke({})
        return {"log": [*one["log"], *two["log"]]}

    graph = only(node, context_schema=Who)
    assert (await graph.ainvoke({}, context={"name": "Adam"}))["log"] == ["Eve", "Adam"]

    async def limited(state: State) -> Any:
        return await two(lambda s: None).ainvoke({}, {"recursion_limit": 1})

    with pytest.raises(GraphRecursionError, match="took 1 supersteps"):
        await only(limited).ainvoke({})


async def test_streaming_it_shows_it_as_the_root() -> None:
    inner, seen = two(only(lambda s: {"log": ["deep"]})), []

    async def node(state: State, config: Any) -> None:
        for subgraphs in (False, True):
            stream = inner.astream({}, config, subgraphs=subgraphs)
            seen.append([one async for one in stream])

    outer = [one async for one in only(node).astream({}, subgraphs=True)]
    plain, deep = seen
    assert [next(iter(one)) for one in plain] == ["first", "second"]
    assert [(len(path), next(iter(shown))) for path, shown in deep] == [
        (0, "first"),
        (1, "node"),
        (0, "second"),
    ]
    assert [(len(path), next(iter(shown))) for path, shown in outer][-4:] == [
        (1, "first"),
        (2, "node"),
        (1, "second"),
        (0, "node"),
    ]


async def test_a_sync_node_streams_a_graph_as_a_part_of_its_run() -> None:
    inner = two(asks)

    def node(state: State) -> State:
        return {"log": [next(iter(shown)) for shown in inner.stream({"log": ["in"]})]}

    outer = only(node)
    waiting = await outer.ainvoke({}, thread_id="t")
    assert [one.value for one in waiting["__interrupt__"]] == ["name?"]
    ended = await outer.ainvoke(Command(resume="Ada"), thread_id="t")
    assert ended["log"] == ["second"]  # what had ended before is not told again


def test_a_sync_node_may_leave_a_stream_early() -> None:
    inner = two(lambda s: {"log": ["second"]})

    def node(state: State) -> State:
        for shown in inner.stream({}):
            return {"log": list(shown)}
        return {}

    assert only(node).invoke({}) == {"log": ["first"]}


async def test_an_async_node_is_to_stream_with_astream() -> None:
    inner = two(lambda s: {"log": ["second"]})

    async def node(state: State) -> State:
        return {"log": list(inner.stream({}))}

    with pytest.raises(RuntimeError, match=r"node 'node' would .*astream"):
        await only(node).ainvoke({})


async def test_stream_where_an_event_loop_runs() -> None:
    graph = two(lambda s: {"log": ["second"]})
    assert [list(shown) for shown in graph.stream({})] == [["first"], ["second"]]
