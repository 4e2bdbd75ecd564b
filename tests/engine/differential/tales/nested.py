"""Tales of graphs inside nodes."""

from __future__ import annotations

from typing import Any

from tests.engine.differential.libs import Lib, answer
from tests.engine.differential.tales.words import Given, State, Told, chain, says, tale


def inner(lib: Lib, *nodes: Any) -> Any:
    builder = lib.StateGraph(Given)
    before = lib.START
    for number, node in enumerate(nodes):
        builder.add_node(f"i{number}", node).add_edge(before, f"i{number}")
        before = f"i{number}"
    return builder.compile()


def around(lib: Lib, sub: Any) -> Any:
    builder = chain(lib, "a").add_node("sub", sub).add_edge("a", "sub")
    return lib.compile(builder.add_node("z", lambda s: {"log": [s["x"]]}).add_edge("sub", "z"))


@tale
def a_subgraph(lib: Lib) -> Any:
    sub = inner(lib, lambda s: {"x": s["x"] + 1}, lambda s: {"x": s["x"] * 2})
    return around(lib, sub), [{"x": 3}, {"x": 5}]


@tale
def a_subgraph_that_asks(lib: Lib) -> Any:
    sub = inner(lib, lambda s: {"x": s["x"] + 1}, lambda s: {"x": (s["x"], lib.interrupt("?"))})
    return around(lib, sub), [{"x": 3}, answer("a")]


@tale
def a_subgraph_that_asks_twice(lib: Lib) -> Any:
    def ask(word: str) -> Any:
        return lambda s: {"x": f"{s['x']}{lib.interrupt(word)}"}

    return around(lib, inner(lib, ask("1"), ask("2"))), [{"x": ""}, answer("a"), answer("b")]


@tale
def a_subgraph_in_a_subgraph_that_asks(lib: Lib) -> Any:
    sub = inner(lib, lambda s: {"x": (s["x"], lib.interrupt("?"))})
    return around(lib, inner(lib, sub)), [{"x": 1}, answer("a")]


@tale
def a_subgraph_that_fails(lib: Lib) -> Any:
    return around(lib, inner(lib, lambda s: s["nothing"])), [{"x": 1}]


@tale
def a_subgraph_with_a_reducer_of_the_same_name(lib: Lib) -> Any:
    sub = lib.StateGraph(State).add_node("i", says("i")).add_edge(lib.START, "i").compile()
    return around(lib, sub), [{"x": 1, "log": ["in"]}]


@tale
def a_subgraph_by_send(lib: Lib) -> Any:
    def i(state: Any) -> Any:
        return {"log": [state["x"]]}

    sub = lib.StateGraph(State, input_schema=Given, output_schema=Told)
    sub = sub.add_node("i", i).add_edge(lib.START, "i").compile()
    builder = lib.StateGraph(State).add_node("sub", sub)
    builder.add_conditional_edges(
        lib.START, lambda s: [lib.Send("sub", {"x": n}) for n in (2, 1)], ["sub"]
    )
    return lib.compile(builder), [{}]


@tale
def leaving_a_subgraph(lib: Lib) -> Any:
    def leave(state: Any) -> Any:
        return lib.Command(graph=lib.Command.PARENT, goto="b", update={"log": ["left"]})

    builder = lib.StateGraph(State).add_edge(lib.START, "sub")
    builder.add_node("sub", inner(lib, leave), destinations=("b",)).add_node("b", says("b"))
    return lib.compile(builder), [{"x": 1}]
