"""What is seen of a thread and of a run from outside: what tasks gave in the past, which graphs
are in them, and what a call answers in another mode."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    MemoryJournal,
    Send,
    StateGraph,
    entrypoint,
    interrupt,
    task,
)


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    x: int


def one(state: State) -> State:
    return {"log": ["one"], "x": 1}


def two(state: State) -> State:
    return {"log": ["two"]}


def nothing(state: State) -> None:
    return None


def twice(state: State) -> list[State]:
    return [{"log": ["a"]}, {"log": ["b"]}]


def sequence(*nodes: Callable[..., Any]) -> Any:
    return StateGraph(State).add_sequence(nodes).add_edge(START, nodes[0].__name__).compile()


def results(history: list[Any]) -> list[dict[str, Any]]:
    return [{task.name: task.result for task in state.tasks} for state in history]


def test_the_history_says_what_each_task_gave() -> None:
    graph = sequence(one, nothing, twice)
    graph.invoke({}, thread_id="t")
    assert results(graph.get_state_history("t")) == [
        {},
        {"twice": {"log": {"$writes": [["a"], ["b"]]}}},
        {"nothing": {}},
        {"one": {"log": ["one"], "x": 1}},
    ]


def test_so_does_an_old_checkpoint_by_itself_and_next_stays() -> None:
    graph = sequence(one, two)
    graph.invoke({}, thread_id="t")
    middle = graph.get_state_history("t")[1]
    assert graph.get_state(middle.config) == middle
    assert middle.next == ("two",)
    assert results([middle]) == [{"two": {"log": ["two"]}}]


def test_each_send_has_its_own_result_and_each_run_its_own_tasks() -> None:
    graph = StateGraph(State).add_node("s", lambda given: {"log": [given]})
    graph.add_conditional_edges(START, lambda state: [Send("s", "a"), Send("s", "b")], ["s"])
    compiled = graph.compile()
    for _ in range(2):
        compiled.invoke({}, thread_id="t")
    given = [[t.result for t in state.tasks] for state in compiled.get_state_history("t")]
    assert given == [[], [{"log": ["a"]}, {"log": ["b"]}]] * 2


def test_what_waits_has_no_result_until_it_is_answered() -> None:
    def ask(state: State) -> State:
        return {"log": [interrupt("?")]}

    graph = sequence(one, ask)
    graph.invoke({}, thread_id="t")
    assert results(graph.get_state_history("t"))[0] == {"ask": None}
    graph.invoke(Command(resume="yes"), thread_id="t")
    assert results(graph.get_state_history("t"))[1] == {"ask": {"log": ["yes"]}}


def test_an_entrypoint_s_task_gave_what_the_function_returned() -> None:
    @entrypoint()
    def double(x: int) -> int:
        return 2 * x

    double.invoke(4, thread_id="t")
    assert results(double.get_state_history("t")) == [{}, {"double": 8}]


class Holder:
    def __init__(self, graph: Any) -> None:
        self.graphs = {"inner": graph}
        self.inner = graph

    async def method(self, state: State) -> Any:
        return await self.inner.ainvoke({})

    async def __call__(self, state: State) -> Any:
        return await self.inner.ainvoke({})


class Outer:
    def __init__(self, holder: Holder) -> None:
        self.holder = holder


def inner() -> Any:
    def ask(state: State) -> State:
        return {"log": [interrupt("?")]}

    return sequence(one, ask)


def closure(graph: Any) -> Callable[..., Any]:
    async def node(state: State) -> Any:
        return await graph.ainvoke({})

    return node


def chain(graph: Any) -> Callable[..., Any]:
    outer = Outer(Holder(graph))

    async def node(state: State) -> Any:
        return await outer.holder.inner.ainvoke({})

    return node


def chain_in_a_function(graph: Any) -> Callable[..., Any]:
    outer = Outer(Holder(graph))

    async def node(state: State) -> Any:
        async def call() -> Any:
            return await outer.holder.inner.ainvoke({})

        return await call()

    return node


def method(graph: Any) -> Callable[..., Any]:
    return Holder(graph).method


def wrapped(graph: Any) -> Callable[..., Any]:
    called = closure(graph)

    @functools.wraps(called)
    async def node(*args: Any) -> Any:
        return await called(*args)

    return node


def wrapped_by_hand(graph: Any) -> Callable[..., Any]:
    called = {"f": closure(graph)}

    async def node(state: State) -> Any:
        return await called["f"](state)

    node.__wrapped__ = called["f"]  # type: ignore[attr-defined]
    return node


def bound(graph: Any) -> Callable[..., Any]:
    async def node(given: Any, state: State) -> Any:
        return await given.ainvoke({})

    return functools.partial(node, graph)


def callable_object(graph: Any) -> Callable[..., Any]:
    return Holder(graph)


@pytest.mark.parametrize(
    "hold",
    [
        closure,
        chain,
        chain_in_a_function,
        method,
        wrapped,
        wrapped_by_hand,
        bound,
        callable_object,
    ],
)
def test_a_graph_is_seen_wherever_the_node_has_it_from(hold: Callable[..., Any]) -> None:
    outer = StateGraph(State).add_node("n", hold(inner())).add_edge(START, "n").compile()
    outer.invoke({}, thread_id="t")
    (waiting,) = outer.get_state("t", subgraphs=True).tasks
    assert waiting.state is not None
    assert (waiting.state.values, waiting.state.next) == ({"log": ["one"], "x": 1}, ("ask",))


def test_looking_for_graphs_runs_no_code_of_the_user_s() -> None:
    class Trap:
        @property
        def inner(self) -> Any:
            raise AssertionError("a property was asked")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError("an attribute was asked")

    trap = Trap()

    def node(state: State) -> State:
        return {"log": [interrupt("?")]} if state else {"log": [trap.inner.x, trap.other]}

    graph = StateGraph(State).add_node("n", node).add_edge(START, "n").compile()
    graph.invoke({"x": 1}, thread_id="t")
    (waiting,) = graph.get_state("t", subgraphs=True).tasks
    assert waiting.state is None


async def test_a_call_in_another_mode_answers_all_that_the_stream_gives() -> None:
    graph = sequence(one, two)
    updates = [{"one": {"log": ["one"], "x": 1}}, {"two": {"log": ["two"]}}]
    assert graph.invoke({}, stream_mode="updates") == updates
    assert await graph.ainvoke({}, stream_mode="updates") == updates
    both = graph.invoke({}, stream_mode=["updates", "values"])
    assert both == list(graph.stream({}, stream_mode=["updates", "values"]))
    assert graph.invoke({}, stream_mode="values", subgraphs=True) == graph.invoke({})


def test_so_it_does_with_subgraphs_and_for_functions() -> None:
    outer = StateGraph(State).add_node("in", sequence(one)).add_edge(START, "in").compile()
    found = outer.invoke({}, stream_mode="updates", subgraphs=True)
    assert [len(path) for path, _ in found] == [1, 0]

    @task
    def double(x: int) -> int:
        return 2 * x

    @entrypoint()
    def function(x: int) -> Any:
        return {"double": double(x).result(), **outer.invoke({"x": x})}

    seen = function.invoke(4, stream_mode="updates")
    assert seen[0] == {"double": 8} and list(seen[-1]) == ["function"]
    paths = [len(path) for path, _ in function.invoke(4, stream_mode="updates", subgraphs=True)]
    assert sorted(paths) == [0, 0, 1, 2]
    assert function.invoke(4, stream_mode="values", subgraphs=True)["double"] == 8


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'odd' is not a stream mode"):
        sequence(one).invoke({}, stream_mode="odd", journal=MemoryJournal())
