"""Tales of subgraphs that keep their state from call to call."""

from __future__ import annotations

from typing import Any

from tests.engine.differential.libs import From, Lib, answer
from tests.engine.differential.tales.words import State, chain, says, tale


def counting(lib: Lib, *more: Any, keeps: bool | None = True) -> Any:
    """A graph whose log tells how long it was, and then what `more` nodes say."""
    builder = lib.StateGraph(State).add_node("i0", lambda s: {"log": [f"i{len(s['log'])}"]})
    builder.add_edge(lib.START, "i0")
    for number, node in enumerate(more, start=1):
        builder.add_node(f"i{number}", node).add_edge(f"i{number - 1}", f"i{number}")
    return builder.compile(checkpointer=keeps)


def calling(sub: Any, word: str = "n") -> Any:
    async def call(state: State) -> Any:
        return {"log": [(await sub.ainvoke({"log": [word]}))["log"]]}

    return call


def node(lib: Lib, run: Any) -> Any:
    return lib.compile(lib.StateGraph(State).add_node("a", run).add_edge(lib.START, "a"))


TWICE = [{"x": 1}, {"x": 2}]


@tale
def a_graph_that_is_called_remembers(lib: Lib) -> Any:
    return node(lib, calling(counting(lib))), [*TWICE, {"x": 3}]


@tale
def a_graph_that_is_a_node_remembers(lib: Lib) -> Any:
    return node(lib, counting(lib)), [{"log": ["a"]}, {"log": ["b"]}]


@tale
def a_graph_that_does_not_remember(lib: Lib) -> Any:
    return node(lib, calling(counting(lib, keeps=None))), TWICE


@tale
def a_graph_remembers_in_a_loop(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("a", calling(counting(lib))).add_edge(lib.START, "a")
    builder.add_conditional_edges("a", lambda s: "a" if len(s["log"]) < 3 else lib.END)
    return lib.compile(builder), TWICE


@tale
def each_call_in_a_node_has_its_own_memory(lib: Lib) -> Any:
    one, other = counting(lib), counting(lib)

    async def a(state: State) -> Any:
        said = [await sub.ainvoke({"log": [w]}) for sub, w in ((one, "1"), (one, "2"), (other, 3))]
        return {"log": [each["log"] for each in said]}

    return node(lib, a), TWICE


@tale
def each_node_has_its_own_memory(lib: Lib) -> Any:
    sub = counting(lib)
    builder = lib.StateGraph(State).add_node("a", calling(sub, "a")).add_edge(lib.START, "a")
    builder.add_node("b", calling(sub, "b")).add_edge("a", "b")
    return lib.compile(builder), TWICE


@tale
def a_memory_that_asks(lib: Lib) -> Any:
    sub = counting(lib, lambda s: {"log": [lib.interrupt("?")]})
    return node(lib, calling(sub)), [{"x": 1}, answer("A"), {"x": 2}, answer("B"), {"x": 3}]


@tale
def a_memory_in_a_memory(lib: Lib) -> Any:
    return node(lib, calling(counting(lib, calling(counting(lib))))), TWICE


@tale
def a_memory_in_a_graph_without(lib: Lib) -> Any:
    return node(lib, calling(counting(lib, calling(counting(lib)), keeps=None))), [*TWICE, {"x": 3}]


@tale
def a_graph_without_in_a_memory(lib: Lib) -> Any:
    return node(lib, calling(counting(lib, calling(counting(lib, keeps=None))))), TWICE


@tale
def a_memory_that_fails_and_goes_on(lib: Lib) -> Any:
    tries: list[int] = []

    def fails_once(state: State) -> Any:
        tries.append(1)
        if len(tries) == 2:
            raise KeyError
        return {"log": [len(tries)]}

    return node(lib, calling(counting(lib, fails_once))), [{"x": 1}, {"x": 2}, None, {"x": 3}]


@tale
def a_memory_that_is_left(lib: Lib) -> Any:
    def leave(state: State) -> Any:
        told = {"log": [list(state["log"])]}
        return lib.Command(graph=lib.Command.PARENT, goto="b", update=told)

    builder = lib.StateGraph(State).add_edge(lib.START, "sub")
    builder.add_node("sub", counting(lib, leave), destinations=("b",))
    return lib.compile(builder.add_node("b", says("b"))), [{"log": ["1"]}, {"log": ["2"]}]


@tale
def a_memory_beside_a_node_that_asks(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("sub", calling(counting(lib))).add_edge("a", "sub")
    builder.add_node("ask", lambda s: {"log": [lib.interrupt("?")]}).add_edge("a", "ask")
    return lib.compile(builder), [{"x": 1}, answer("y"), {"x": 2}, answer("z")]


@tale
def a_fork_has_the_memory_of_its_branch(lib: Lib) -> Any:
    graph = node(lib, calling(counting(lib)))
    return graph, [*TWICE, From(["a"], None), {"x": 5}]


@tale
def a_send_has_the_memory_of_its_node(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", calling(counting(lib)))
    builder.add_conditional_edges(lib.START, lambda s: [lib.Send("w", s["x"])], ["w"])
    return lib.compile(builder), TWICE
