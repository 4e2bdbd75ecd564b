"""Building a graph: what is refused, in which words, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict

import pytest

from runs.engine import END, START, Command, InvalidGraphError, StateGraph


class State(TypedDict, total=False):
    x: int
    y: int


def step(state: State) -> State:
    return {"x": 1}


def builder(*names: str) -> StateGraph:
    graph = StateGraph(State)
    for name in names:
        graph.add_node(name, step)
    return graph


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: builder("a").compile(), "Nothing leads from START: add_edge"),
        (lambda: builder("a").add_edge(START, END).compile(), "Nothing leads from START"),
        (lambda: builder("a", "b").add_edge(START, "a").compile(), "Nothing leads to node 'b'"),
        (lambda: builder("a").add_edge(START, "b").compile(), "'b', which is not a node: add_node"),
        (lambda: builder("a").add_edge(["a", "c"], "a").compile(), "'c', which is not a node"),
        (
            lambda: builder("a").add_conditional_edges("a", lambda s: "a", ["z"]).compile(),
            "'z', which is not a node: add_node",
        ),
        (
            lambda: builder("a").add_conditional_edges("z", lambda s: "a").compile(),
            "'z', which is not a node",
        ),
        (lambda: builder("a").add_edge(END, "a"), "Nothing comes after END"),
        (lambda: builder("a").add_edge("a", START), "Nothing comes before START"),
        (lambda: builder("a").add_edge([], "a"), "waits for no node"),
        (lambda: builder("a", "a"), "There is a node 'a' already"),
        (lambda: builder("a|b"), r"leave out '\|' and ':'"),
        (lambda: builder(""), "cannot be called ''"),
        (lambda: builder(START), "'__start__' is a reserved name"),
        (lambda: builder("__mine__"), "'__mine__' is a reserved name"),
        (lambda: StateGraph(State).add_node("a", 3), "Node 'a' needs a function"),  # type: ignore[arg-type]
        (lambda: StateGraph(State).add_node("a"), r"add_node\('a', function\)"),
        (lambda: StateGraph(State).add_node("a", lambda: None), "'a' takes no argument"),
        (
            lambda: StateGraph(State).add_node("a", lambda s, c, x: None),
            "'a' takes an argument 'x'",
        ),
        (lambda: StateGraph(int), "int is not a state"),
        (lambda: StateGraph(State).add_node("a", lambda s, store: None), "'a' takes a store, and"),
        (lambda: StateGraph(State).add_node("a", lambda s, *, store: None), "'a' takes a store"),
        (lambda: StateGraph(State).add_node("a", lambda s, *, x: None), "Give 'x' a default"),
        (
            lambda: builder("a").add_conditional_edges("a", lambda s, *, x: "a"),
            "Router '<lambda>' after 'a' takes an argument 'x'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidGraphError, match=words):
        build()


def test_a_function_goes_by_its_own_name() -> None:
    graph = StateGraph(State).add_node(step).add_edge(START, "step").compile()
    assert graph.invoke({}) == {"x": 1}


def test_entry_finish_and_sequence() -> None:
    graph = StateGraph(State).add_sequence([step, ("last", lambda s: {"y": s["x"] + 1})])
    graph.set_entry_point("step").set_finish_point("last")
    assert graph.compile().invoke({}) == {"x": 1, "y": 2}


def test_an_entry_may_be_conditional() -> None:
    graph = StateGraph(State).add_node(step).add_node("other", lambda s: {"y": 1})
    graph.set_conditional_entry_point(lambda s: s["y"] > 0, {True: "other", False: "step"})
    assert graph.compile().invoke({"y": 0}) == {"x": 1, "y": 0}
    assert graph.compile().invoke({"y": 5}) == {"y": 1}


def test_a_command_annotation_leads_to_nodes() -> None:
    def choose(state: State) -> Command[Literal["b"]]:
        return Command(goto="b")

    graph = builder("b").add_node(choose).add_edge(START, "choose").compile()
    assert graph.to_json()["edges"] == [
        {"source": START, "target": "choose", "conditional": False, "label": None},
        {"source": "choose", "target": "b", "conditional": True, "label": None},
    ]
    assert graph.invoke({}) == {"x": 1}


def test_a_routers_annotation_is_its_path_map() -> None:
    def route(state: State) -> Literal["a", "__end__"]:
        return END

    graph = builder("a", "b").add_conditional_edges(START, route)
    with pytest.raises(InvalidGraphError, match="Nothing leads to node 'b'"):
        graph.compile()


def test_the_drawing_quotes_what_a_name_may_hold() -> None:
    graph = builder('a"b<c').add_edge(START, 'a"b<c').add_edge('a"b<c', END).compile()
    assert graph.to_mermaid() == (
        "flowchart TD\n"
        '    n0(["start"])\n'
        '    n1["a&quot;b&lt;c"]\n'
        '    n2(["end"])\n'
        "    n0 --> n1\n"
        "    n1 --> n2\n"
    )


def test_conditional_edges_are_drawn_with_their_labels() -> None:
    graph = builder("a", "b").add_edge(START, "a")
    graph.add_conditional_edges("a", lambda s: True, {True: "b", False: END})
    edges = [edge for edge in graph.compile().to_json()["edges"] if edge["conditional"]]
    assert [(e["source"], e["target"], e["label"]) for e in edges] == [
        ("a", "b", "True"),
        ("a", END, "False"),
    ]


def test_graphs_in_nodes_are_drawn_inside_them() -> None:
    inner = builder("i").add_edge(START, "i").compile()
    graph = StateGraph(State).add_node("sub", inner).add_edge(START, "sub").compile()
    assert list(graph.to_json()["subgraphs"]) == ["sub"]
    assert "subgraphs" not in inner.to_json()
    assert graph.to_mermaid() == (
        "flowchart TD\n"
        '    n0(["start"])\n'
        '    subgraph n1["sub"]\n'
        '        n1_0(["start"])\n'
        '        n1_1["i"]\n'
        "        n1_0 --> n1_1\n"
        "    end\n"
        "    n0 --> n1\n"
    )
