"""Graphs in graphs: shared and private keys, namespaces, interrupts inside, Command.PARENT."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    InvalidUpdateError,
    MemoryJournal,
    RetryPolicy,
    StateGraph,
    interrupt,
)


class Outer(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    shared: str


class Inner(TypedDict, total=False):
    shared: str
    own: str


def inner_of(*nodes: Any, **options: Any) -> Any:
    builder = StateGraph(Inner).add_sequence(list(nodes))
    return builder.add_edge(START, nodes[0].__name__).compile(**options)


def outer_of(inner: Any) -> Any:
    builder = StateGraph(Outer).add_node("sub", inner).add_edge(START, "sub")
    builder.add_node("after", lambda s: {"log": [sorted(s), s.get("shared")]})
    return builder.add_edge("sub", "after").compile()


def first(state: Inner) -> Inner:
    assert "log" not in state
    return {"own": "private", "shared": state["shared"] + "!"}


def ask(state: Inner) -> Inner:
    return {"shared": f"{state['shared']}{interrupt('name?')}"}


def twice(state: Inner) -> Inner:
    return {"shared": f"{interrupt('one')}{interrupt('two')}"}


def test_shared_keys_come_back_and_private_ones_stay() -> None:
    graph = outer_of(inner_of(first))
    assert graph.invoke({"shared": "a"}) == {"log": [["log", "shared"], "a!"], "shared": "a!"}


async def test_a_subgraph_has_a_namespace_of_its_own() -> None:
    journal = MemoryJournal()
    graph = outer_of(inner_of(first))
    await graph.ainvoke({"shared": "a"}, thread_id="t", journal=journal)
    (*_, newest) = reversed(await journal.history("t"))
    told = await journal.events(newest.run_id)
    spaces = {event["namespace"] for event in told if event["node"] == "first"}
    assert len(spaces) == 1
    (namespace,) = spaces
    assert namespace.startswith("sub:")
    assert [c.step for c in await journal.history("t", namespace=namespace)] == [1, 0]
    assert {event["namespace"] for event in told} == {"", namespace}


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_interrupt_inside_is_answered_from_outside(depth: int) -> None:
    graph = inner_of(first, ask)
    for _ in range(depth - 1):
        graph = StateGraph(Inner).add_node("deeper", graph).add_edge(START, "deeper").compile()
    graph = outer_of(graph)
    (asked,) = graph.invoke({"shared": "a"}, thread_id="t")["__interrupt__"]
    assert asked.value == "name?"
    assert asked.node == "ask"
    assert asked.namespace.count("|") == depth - 1
    assert graph.invoke(Command(resume="Bob"), thread_id="t")["shared"] == "a!Bob"


def test_several_interrupts_inside_and_beside() -> None:
    builder = StateGraph(Outer).add_node("sub", inner_of(twice)).add_edge(START, "sub")
    builder.add_node("other", lambda s: {"log": [interrupt("three")]}).add_edge(START, "other")
    graph = builder.compile()
    seen = [graph.invoke({"shared": ""}, thread_id="t")["__interrupt__"]]
    for answer in ("c", "a", "b"):
        seen.append(graph.invoke(Command(resume=answer), thread_id="t").get("__interrupt__", []))
    assert [[i.value for i in asked] for asked in seen] == [
        ["three", "one"],
        ["one"],
        ["two"],
        [],
    ]
    assert graph.get_state("t").values == {"log": ["c"], "shared": "ab"}


def test_stopping_inside_a_subgraph() -> None:
    graph = outer_of(inner_of(first, ask, interrupt_before=["ask"]))
    assert "__interrupt__" not in graph.invoke({"shared": "a"}, thread_id="t")
    (asked,) = graph.invoke(None, thread_id="t")["__interrupt__"]
    assert asked.value == "name?"
    assert graph.invoke(Command(resume="B"), thread_id="t")["shared"] == "a!B"


def test_a_node_inside_commands_the_graph_around_it() -> None:
    def leave(state: Inner) -> Any:
        return Command(graph=Command.PARENT, goto="other", update={"log": ["left"]})

    def never(state: Inner) -> Any:
        raise AssertionError("the subgraph is over")

    builder = StateGraph(Outer).add_node("sub", inner_of(leave, never)).add_edge(START, "sub")
    builder.add_node("other", lambda s: {"log": ["other"]})
    assert builder.compile().invoke({"shared": "a"}) == {"log": ["left", "other"], "shared": "a"}


def test_there_is_no_graph_around_the_outermost() -> None:
    def leave(state: Inner) -> Any:
        return Command(graph=Command.PARENT, goto="x")

    with pytest.raises(InvalidUpdateError, match=r"'leave'.*parent graph, and there is none"):
        inner_of(leave).invoke({"shared": "a"})


def test_an_error_inside_comes_out_and_a_retry_goes_on_inside() -> None:
    tries: list[str] = []

    def counted(state: Inner) -> None:
        tries.append("counted")

    def fails(state: Inner) -> Inner:
        tries.append("fails")
        if tries.count("fails") < 2:
            raise ConnectionError("once")
        return {"shared": "ok"}

    inner = inner_of(counted, fails)
    with pytest.raises(ConnectionError, match="once"):
        outer_of(inner).invoke({"shared": "a"})
    tries.clear()
    policy = RetryPolicy(initial_interval=0, jitter=False)
    builder = StateGraph(Outer).add_node("sub", inner, retry_policy=policy)
    assert builder.add_edge(START, "sub").compile().invoke({"shared": "a"})["shared"] == "ok"
    assert tries == ["counted", "fails", "fails"]


async def test_a_graph_called_in_a_node_is_a_part_of_its_run() -> None:
    inner = inner_of(first, ask)

    async def node(state: Outer) -> Outer:
        one = await inner.ainvoke({"shared": "1"})
        two = await inner.ainvoke({"shared": "2"})
        return {"log": [one["shared"], two["shared"]]}

    graph = StateGraph(Outer).add_node(node).add_edge(START, "node").compile()
    await graph.ainvoke({}, thread_id="t")
    await graph.ainvoke(Command(resume="a"), thread_id="t")
    assert await graph.ainvoke(Command(resume="b"), thread_id="t") == {"log": ["1!a", "2!b"]}


def test_a_graph_called_in_a_sync_node_is_a_part_of_its_run() -> None:
    inner = inner_of(ask)

    def node(state: Outer) -> Outer:
        return {"log": [inner.invoke({"shared": "1"})["shared"]]}

    graph = StateGraph(Outer).add_node(node).add_edge(START, "node").compile()
    graph.invoke({}, thread_id="t")
    assert graph.invoke(Command(resume="a"), thread_id="t") == {"log": ["1a"]}


def ask_more(state: Inner) -> Inner:
    return {"own": interrupt("more?")}


def test_where_the_graphs_inside_stand_is_seen_when_asked_for() -> None:
    journal = MemoryJournal()
    graph = outer_of(inner_of(first, ask))
    graph.invoke({"shared": "a"}, thread_id="t", journal=journal)
    assert graph.get_state("t", journal=journal).tasks[0].state is None
    state = graph.get_state("t", subgraphs=True, journal=journal).tasks[0].state
    assert state is not None
    assert (state.values, state.next) == ({"shared": "a!", "own": "private"}, ("ask",))
    assert [one.value for one in state.interrupts] == ["name?"]
    assert state.config["configurable"]["checkpoint_ns"].startswith("sub:")


def test_one_that_has_not_begun_is_empty() -> None:
    journal = MemoryJournal()
    graph = outer_of(inner_of(first))
    graph.invoke({"shared": "a"}, thread_id="t", journal=journal, interrupt_before=["sub"])
    state = graph.get_state("t", subgraphs=True, journal=journal).tasks[0].state
    assert state is not None
    assert (state.values, state.next, state.tasks) == ({}, (), ())


def test_of_a_function_that_knows_several_graphs_none_is_shown() -> None:
    journal = MemoryJournal()
    one, other = inner_of(first, ask), inner_of(first, ask_more)

    def sub(state: Outer) -> Outer:
        picked = one if state["shared"] == "a" else other
        return {"shared": picked.invoke({"shared": state["shared"]})["shared"]}

    graph = outer_of(sub)
    graph.invoke({"shared": "a"}, thread_id="t", journal=journal)
    (task,) = graph.get_state("t", subgraphs=True, journal=journal).tasks
    assert (len(task.interrupts), task.state) == (1, None)


@pytest.mark.parametrize("look", ["get_state", "get_state_history", "update_state"])
def test_a_graph_inside_is_not_a_thread_of_its_own(look: str) -> None:
    journal = MemoryJournal()
    graph = outer_of(inner_of(first, ask))
    graph.invoke({"shared": "a"}, thread_id="t", journal=journal)
    state = graph.get_state("t", subgraphs=True, journal=journal).tasks[0].state
    assert state is not None
    more = ({"shared": "b"},) if look == "update_state" else ()
    with pytest.raises(ValueError, match="subgraphs=True"):
        getattr(graph, look)(state.config, *more, journal=journal)
