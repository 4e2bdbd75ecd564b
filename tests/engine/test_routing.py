"""Routing: edges, routers, Command, Send, joins and deferred nodes, in superstep order."""

from __future__ import annotations

import asyncio
import operator
import threading
import time
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    END,
    START,
    Command,
    Context,
    EmptyInputError,
    GraphRecursionError,
    InvalidUpdateError,
    Send,
    StateGraph,
)


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    n: int


def says(name: str, *, goto: Any = None) -> Any:
    def node(state: State) -> Any:
        update = {"log": [name]}
        return update if goto is None else Command(update=update, goto=goto)

    return node


def graph_of(*names: str) -> StateGraph:
    builder = StateGraph(State)
    for name in names:
        builder.add_node(name, says(name))
    return builder


def log(builder: StateGraph, **given: Any) -> list[str]:
    found: list[str] = builder.compile().invoke(given)["log"]
    return found


def test_parallel_writes_are_in_the_order_of_names_whatever_finishes_first() -> None:
    def slow(name: str, before: asyncio.Event, after: asyncio.Event) -> Any:
        async def node(state: State) -> State:
            await before.wait()
            after.set()
            return {"log": [name]}

        return node

    one, two, three = asyncio.Event(), asyncio.Event(), asyncio.Event()
    one.set()
    builder = StateGraph(State)
    builder.add_node("c", slow("c", one, two))
    builder.add_node("a", slow("a", two, three))
    builder.add_node("b", slow("b", three, asyncio.Event()))
    for name in "bca":
        builder.add_edge(START, name)
    assert log(builder) == ["a", "b", "c"]


def test_a_join_waits_for_all_of_its_sources_and_a_fork_does_not() -> None:
    builder = graph_of("a", "b", "b2", "join", "each")
    for name in "ab":
        builder.add_edge(START, name).add_edge(name, "each")
    builder.add_edge("b", "b2").add_edge(["a", "b2"], "join")
    assert log(builder) == ["a", "b", "b2", "each", "join"]


def test_a_join_can_be_passed_again() -> None:
    builder = graph_of("a", "b", "join").add_edge(["a", "b"], "join")
    for name in "ab":
        builder.add_edge(START, name)
    builder.add_conditional_edges("join", lambda s: ["a", "b"] if len(s["log"]) < 6 else END)
    assert log(builder) == ["a", "b", "join"] * 2


def test_a_deferred_node_runs_when_nothing_else_is_left() -> None:
    builder = graph_of("a", "b", "c").add_node("last", says("last"), defer=True)
    builder.add_edge(START, "a").add_edge(START, "last").add_edge("a", "b").add_edge("b", "c")
    assert log(builder) == ["a", "b", "c", "last"]


@pytest.mark.parametrize(
    ("goto", "expected"),
    [
        ("b", ["a", "b"]),
        (["c", "b"], ["a", "b", "c"]),
        (Send("b", {}), ["a", "b"]),
        ([Send("b", {}), "c", Send("b", {})], ["a", "c", "b", "b"]),
        (END, ["a"]),
        ([], ["a"]),
    ],
)
def test_goto(goto: Any, expected: list[str]) -> None:
    builder = graph_of("b", "c").add_node("a", says("a", goto=goto)).add_edge(START, "a")
    assert log(builder) == expected


def test_goto_goes_beside_the_nodes_own_edges() -> None:
    builder = graph_of("b", "c").add_node("a", says("a", goto="c")).add_edge(START, "a")
    assert log(builder.add_edge("a", "b")) == ["a", "b", "c"]


def test_sends_have_their_own_arguments_and_come_after_pulled_nodes_in_order() -> None:
    def worker(arg: Any) -> State:
        return {"log": [f"w{arg}"]}

    builder = graph_of("z").add_node("w", worker)
    builder.add_conditional_edges(START, lambda s: ["z", *(Send("w", i) for i in (3, 1, 2))])
    assert log(builder) == ["z", "w3", "w1", "w2"]


def test_a_router_sees_the_writes_of_its_own_node_only() -> None:
    seen: dict[str, Any] = {}

    def look(name: str) -> Any:
        def route(state: State) -> str:
            seen[name] = list(state["log"])
            return END

        return route

    builder = graph_of("a", "b")
    for name in "ab":
        builder.add_edge(START, name).add_conditional_edges(name, look(name))
    assert log(builder, log=["in"]) == ["in", "a", "b"]
    assert seen == {"a": ["in", "a"], "b": ["in", "b"]}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("nowhere", r"'a' goes on to 'nowhere', which is not a node.*'a'"),
        (Send("nowhere", 1), r"'a' goes on to 'nowhere'"),
        (7, "'a' goes on to 7"),
        (None, "'a' goes on to None: name a node, or END"),
        ([None], "'a' goes on to None"),
        (iter(["a"]), "'a' goes on to <list_iterator"),
        ({"a": 1}, "'a' goes on to {'a': 1}"),
        (b"a", "'a' goes on to b'a'"),
    ],
)
def test_a_router_that_leads_nowhere_is_refused(answer: Any, words: str) -> None:
    builder = graph_of("a").add_edge(START, "a").add_conditional_edges("a", lambda s: answer)
    with pytest.raises(InvalidUpdateError, match=words):
        log(builder)


def test_a_path_map_translates_and_refuses_what_it_does_not_have() -> None:
    def route(state: State) -> Any:
        return len(state["log"])

    builder = graph_of("a", "b").add_edge(START, "a")
    builder.add_conditional_edges("a", route, {1: "b"}).add_conditional_edges("b", route, {2: END})
    assert log(builder) == ["a", "b"]
    with pytest.raises(InvalidUpdateError, match=r"'route' after 'a' answered 2.*; it has 1"):
        log(builder, log=["x"])


async def test_routers_may_be_async_and_may_raise() -> None:
    async def route(state: State) -> str:
        if state["n"]:
            raise ZeroDivisionError
        return "a"

    graph = graph_of("a").add_conditional_edges(START, route).compile()
    assert (await graph.ainvoke({"n": 0}))["log"] == ["a"]
    with pytest.raises(ZeroDivisionError):
        await graph.ainvoke({"n": 1})


def test_a_loop_without_an_end_is_stopped() -> None:
    graph = graph_of("a").add_edge(START, "a").add_edge("a", "a").compile()
    with pytest.raises(GraphRecursionError, match=r"5 supersteps without.*never routes to END"):
        graph.invoke({}, recursion_limit=5)


def test_the_last_allowed_step_is_allowed() -> None:
    graph = graph_of("a", "b").add_sequence([("c", says("c")), ("d", says("d"))])
    graph.add_edge(START, "a").add_edge("a", "b").add_edge("b", "c")
    assert graph.compile().invoke({}, recursion_limit=4)["log"] == ["a", "b", "c", "d"]
    with pytest.raises(GraphRecursionError):
        graph.compile().invoke({}, recursion_limit=3)


def test_nothing_to_begin_with_is_refused() -> None:
    graph = graph_of("a").add_edge(START, "a").compile()
    with pytest.raises(EmptyInputError, match="give an input"):
        graph.invoke(None)
    with pytest.raises(EmptyInputError):
        graph.invoke(None, thread_id="new")


async def test_sync_router_runs_on_the_event_loop_however_slow_it_is() -> None:
    threads: list[int] = []

    def route(state: State) -> str:
        threads.append(threading.get_ident())
        if len(threads) <= 4:
            time.sleep(0.005)
        return "a" if len(threads) < 8 else END

    builder = graph_of("a").add_edge(START, "a").add_conditional_edges("a", route)
    await builder.compile().ainvoke({})
    assert set(threads) == {threading.get_ident()}


async def test_sync_router_with_a_context_runs_in_a_thread() -> None:
    threads: list[int] = []

    def route(state: State, ctx: Context) -> str:
        threads.append(threading.get_ident())
        return END

    builder = graph_of("a").add_edge(START, "a").add_conditional_edges("a", route)
    await builder.compile().ainvoke({})
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_router_whose_graph_sends_a_command_to_its_parent_is_named(swallows: bool) -> None:
    def leave(state: State) -> Any:
        return Command(graph=Command.PARENT, goto="b")

    inner = StateGraph(State).add_node("leave", leave).add_edge(START, "leave").compile()

    async def route(state: State) -> str:
        try:
            await inner.ainvoke({})
        except BaseException:
            if not swallows:
                raise
        return END

    builder = StateGraph(State).add_node("a", lambda state: {}).add_node("b", lambda state: {})
    builder.add_edge(START, "a").add_conditional_edges("a", route, ["b", END])
    with pytest.raises(InvalidUpdateError, match=r"A router after 'a' called a graph .* in a node"):
        await builder.compile().ainvoke({})


def test_a_node_that_calls_a_graph_may_go_wherever_that_sends_it() -> None:
    def leave(state: State) -> Any:
        return Command(graph=Command.PARENT, goto="b")

    inner = StateGraph(State).add_node("leave", leave).add_edge(START, "leave").compile()

    def calls(state: State) -> State:  # says of itself that it returns a state
        inner.invoke({})
        return {"log": ["not here"]}

    builder = StateGraph(State).add_node("a", calls).add_node("b", lambda state: {"log": ["b"]})
    assert builder.add_edge(START, "a").compile().invoke({}) == {"log": ["b"]}
