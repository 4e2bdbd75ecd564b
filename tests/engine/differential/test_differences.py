"""Where we chose otherwise than LangGraph: each difference by name, with its reason, and shown on
both sides. docs/engine-differences.md lists the same names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from fastgraph_site.environment import BASE_DIR
from tests.engine.differential.libs import OURS, THEIRS, From, Lib, Tale, answer, tell
from tests.engine.differential.tales.memories import calling, counting, node
from tests.engine.differential.tales.questions import asking
from tests.engine.differential.tales.words import State, chain, says

DIFFERENCES: dict[str, tuple[Tale, Any, Any]] = {}

EMPTY = {"log": [], "total": 0, "table": {}}


def difference(*, ours: Any, theirs: Any) -> Callable[[Tale], Tale]:
    def add(tale: Tale) -> Tale:
        DIFFERENCES[tale.__name__] = (tale, ours, theirs)
        return tale

    return add


def ended(*log: Any, **more: Any) -> tuple[Any, list[str], list[str]]:
    return ({**EMPTY, "log": list(log), **more}, [], [])


@difference(ours=["InvalidUpdateError"], theirs=[ended("in")])
def unknown_keys_are_refused(lib: Lib) -> Any:
    """LangGraph drops an update to a key that the state does not have: a typing error is silent."""
    builder = lib.StateGraph(State).add_node("a", lambda s: {"typo": 1}).add_edge(lib.START, "a")
    return lib.compile(builder), [{"log": ["in"]}]


@difference(ours=["InvalidUpdateError"], theirs=[ended("a")])
def unknown_input_keys_are_refused(lib: Lib) -> Any:
    """The same for the input of a run."""
    return lib.compile(chain(lib, "a")), [{"typo": 1}]


@difference(ours=["InvalidUpdateError"], theirs=["KeyError"])
def a_path_map_without_the_answer_is_explained(lib: Lib) -> Any:
    """LangGraph raises the KeyError of its own dictionary; ours names router and answers."""
    builder = chain(lib, "a").add_node("b", says("b"))
    builder.add_conditional_edges("a", lambda s: "c", {"b": "b"})
    return lib.compile(builder), [{}]


@difference(ours=["InvalidUpdateError"], theirs=[ended("a")])
def a_target_that_is_not_there_is_refused(lib: Lib) -> Any:
    """LangGraph goes on without it: the run ends early, and looks completed."""
    builder = lib.StateGraph(State).add_edge(lib.START, "a")
    builder.add_node("a", lambda s: lib.Command(goto="typo", update={"log": ["a"]}))
    return lib.compile(builder), [{}]


@difference(
    ours=[
        ({**EMPTY}, ["1", "2"], ["a", "b"]),
        ({**EMPTY, "log": ["x"]}, ["2"], ["b"]),
        ended("x", "y"),
    ],
    theirs=[({**EMPTY}, ["1", "2"], ["a", "b"]), "RuntimeError", "RuntimeError"],
)
def parallel_questions_can_be_answered_in_order(lib: Lib) -> Any:
    """LangGraph wants ids as soon as two wait; ours answers the first that is open."""
    builder = lib.StateGraph(State)
    for name, question in (("a", "1"), ("b", "2")):
        builder.add_node(name, asking(lib, question)).add_edge(lib.START, name)
    return lib.compile(builder), [{}, answer("x"), answer("y")]


@difference(
    ours=[({**EMPTY}, ["?"], ["a"]), ended("yes")], theirs=[ended("swallowed"), ended("swallowed")]
)
def except_exception_does_not_swallow_a_question(lib: Lib) -> Any:
    """LangGraph's GraphInterrupt is an Exception, so a careful node never asks."""

    def a(state: State) -> Any:
        try:
            return {"log": [lib.interrupt("?")]}
        except Exception:
            return {"log": ["swallowed"]}

    builder = lib.StateGraph(State).add_node("a", a).add_edge(lib.START, "a")
    return lib.compile(builder), [{}, answer("yes")]


@difference(ours=[ended("a", "w1", "w2", "z")], theirs=[ended("a", "z", "w1", "w2")])
def deferred_nodes_wait_for_sends_too(lib: Lib) -> Any:
    """LangGraph runs a deferred node beside the Sends it should have waited for."""
    builder = chain(lib, "a").add_node("w", lambda i: {"log": [f"w{i}"]})
    builder.add_node("z", says("z"), defer=True).add_edge(lib.START, "z")
    builder.add_conditional_edges("a", lambda s: [lib.Send("w", 1), lib.Send("w", 2)], ["w"])
    return lib.compile(builder), [{}]


@difference(ours=[({**EMPTY}, [], ["a"])], theirs=["TypeError"])
def a_stop_before_the_first_node_returns_the_state(lib: Lib) -> Any:
    """LangGraph returns None there, which is no mapping."""
    return lib.compile(chain(lib, "a"), interrupt_before="*"), [{}]


@difference(ours=[ended("a"), "InvalidUpdateError"], theirs=[ended("a"), ended("a")])
def an_answer_that_nothing_waits_for_is_refused(lib: Lib) -> Any:
    """LangGraph keeps it for a question that may come later, or never."""
    return lib.compile(chain(lib, "a")), [{}, answer("x")]


@difference(
    ours=[({**EMPTY, "log": ["a"]}, ["?"], ["ask"]), ended("a", "1"), ended("a", "2")],
    theirs=[({**EMPTY, "log": ["a"]}, ["?"], ["ask"]), ended("a", "1"), ended("a", "1")],
)
def a_fork_takes_its_own_answer(lib: Lib) -> Any:
    """LangGraph hands out the answer of the first time again, and drops the new one silently."""
    builder = chain(lib, "a").add_node("ask", asking(lib, "?")).add_edge("a", "ask")
    return lib.compile(builder), [{}, answer("1"), From(["ask"], answer("2"))]


def asking_inside(*log: Any) -> tuple[Any, ...]:
    return (EMPTY, ["?"], ["a"], ("a", {**EMPTY, "log": list(log)}, ["i1"], []))


@difference(
    ours=[asking_inside("n", "i1"), asking_inside("n", "i1"), ended(["n", "i1", "B"])],
    theirs=[
        asking_inside("n", "i1"),
        asking_inside("n", "i1", "n", "i3"),
        ended(["n", "i1", "n", "i3", "B"]),
    ],
)
def an_unfinished_superstep_leaves_nothing_in_a_subgraph(lib: Lib) -> Any:
    """In LangGraph a subgraph that keeps its state remembers what its caller never finished."""
    sub = counting(lib, lambda s: {"log": [lib.interrupt("?")]})
    return node(lib, calling(sub)), [{}, {}, answer("B")]


@difference(
    ours=[
        ended(["1", "i1"], ["2", "i1"]),
        ended(["1", "i1"], ["2", "i1"], ["1", "i1", "1", "i3"], ["2", "i1", "2", "i3"]),
    ],
    theirs=[
        ended(["1", "i1"], ["2", "i1"]),
        ended(["1", "i1"], ["2", "i1"], ["2", "i1", "1", "i3"], ["2", "i1", "2", "i3"]),
    ],
)
def tasks_of_one_node_do_not_share_a_memory(lib: Lib) -> Any:
    """In LangGraph Sends to one node at once write over each other's kept subgraph."""
    sub = counting(lib)

    async def w(word: str) -> Any:
        return {"log": [(await sub.ainvoke({"log": [word]}))["log"]]}

    builder = lib.StateGraph(State).add_node("w", w)
    builder.add_conditional_edges(lib.START, lambda s: [lib.Send("w", i) for i in "12"], ["w"])
    return lib.compile(builder), [{}, {}]


@difference(ours=[ended("i0")], theirs=["RuntimeError"])
def a_graph_that_keeps_its_state_can_be_run_alone(lib: Lib) -> Any:
    """LangGraph refuses to run it outside of another graph; ours keeps a thread's state anyway."""
    return counting(lib), [{}]


@difference(
    ours=[
        ({**EMPTY, "log": ["a"]}, [], ["q"]),
        ({**EMPTY, "log": ["a"]}, ["?"], ["q"]),
        ended("a", "y"),
    ],
    theirs=[({**EMPTY, "log": ["a"]}, [], ["q"]), ended("a", "x"), ended("a", "x")],
)
def an_answer_at_a_stop_only_lets_it_go_on(lib: Lib) -> Any:
    """LangGraph takes it as the answer to the next question, which nobody has seen yet."""
    builder = chain(lib, "a").add_node("q", asking(lib, "?")).add_edge("a", "q")
    return lib.compile(builder, interrupt_before=["q"]), [{}, answer("x"), answer("y")]


@difference(
    ours=[
        ({**EMPTY}, ["what?"], ["a"]),
        ({**EMPTY}, ["where?"], ["a"]),
        ended("this", "b"),
    ],
    theirs=[
        ({**EMPTY}, ["what?"], ["a"]),
        ({**EMPTY, "log": ["this"]}, ["where?"], ["a"]),
        ended("this", "b"),
    ],
)
def what_a_node_wrote_is_seen_when_its_router_has_answered(lib: Lib) -> Any:
    """LangGraph shows the writes of a node whose router asks, and runs the node again after."""
    builder = lib.StateGraph(State).add_node("a", asking(lib, "what?")).add_edge(lib.START, "a")
    builder.add_node("b", says("b"))
    builder.add_conditional_edges("a", lambda state: lib.interrupt("where?"), ["b"])
    return lib.compile(builder), [{}, answer("this"), answer("b")]


@difference(
    ours=[({**EMPTY}, ["?"], ["a"]), ended({})],
    theirs=[({**EMPTY}, ["?"], ["a"]), ({**EMPTY}, ["?"], ["a"])],
)
def an_empty_mapping_is_an_answer(lib: Lib) -> Any:
    """LangGraph takes it for answers by id, of which there are none, and asks again."""
    builder = lib.StateGraph(State).add_node("a", asking(lib, "?")).add_edge(lib.START, "a")
    return lib.compile(builder), [{}, answer({})]


@difference(
    ours=[({**EMPTY}, ["?"], ["a"]), ended(None)],
    theirs=[({**EMPTY}, ["?"], ["a"]), "UnboundLocalError"],
)
def none_is_an_answer(lib: Lib) -> Any:
    """LangGraph takes it for a Command that says nothing, and fails with an error of its own."""
    builder = lib.StateGraph(State).add_node("a", asking(lib, "?")).add_edge(lib.START, "a")
    return lib.compile(builder), [{}, answer(None)]


@difference(
    ours=[({**EMPTY}, ["?"], ["a"]), ended("yes")],
    theirs=[ended("nobody"), ended("nobody")],
)
def a_question_that_was_caught_is_asked(lib: Lib) -> Any:
    """In LangGraph nobody is asked: what catches all, as gather(return_exceptions=True), eats
    it."""

    def careful(state: State) -> State:
        try:
            return {"log": [lib.interrupt("?")]}
        except BaseException:
            return {"log": ["nobody"]}

    builder = lib.StateGraph(State).add_node("a", careful).add_edge(lib.START, "a")
    return lib.compile(builder), [{}, answer("yes")]


@pytest.mark.parametrize("name", DIFFERENCES)
async def test_a_chosen_difference(name: str) -> None:
    tale, ours, theirs = DIFFERENCES[name]
    assert tale.__doc__
    assert await tell(OURS, tale) == ours
    assert await tell(THEIRS, tale) == theirs


def test_the_differences_are_written_down() -> None:
    text = (BASE_DIR / "docs" / "engine-differences.md").read_text()
    listed = re.findall(r"^\| `(\w+)`", text, re.MULTILINE)
    assert sorted(listed) == sorted(DIFFERENCES)
