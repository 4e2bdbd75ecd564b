"""Tales of what a node chooses itself: Sends and Commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.engine.differential.libs import Lib
from tests.engine.differential.tales.words import State, says, tale


@tale
def map_and_reduce(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda s: {"log": [s["i"] * 2], "total": s["i"]})
    builder.add_node("r", lambda s: {"x": sum(s["log"])}).add_edge("w", "r")
    builder.add_conditional_edges(
        lib.START, lambda s: [lib.Send("w", {"i": i}) for i in (5, 3, 9, 12, 1)], ["w"]
    )
    return lib.compile(builder), [{}]


@tale
def many_sends_keep_their_order(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda i: {"log": [i]})
    builder.add_conditional_edges(
        lib.START, lambda s: [lib.Send("w", i) for i in range(23, 0, -1)], ["w"]
    )
    return lib.compile(builder), [{}]


@tale
def sends_beside_names(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda s: {"log": [s.get("i", "state")]})
    builder.add_node("z", says("z"))
    builder.add_conditional_edges(
        lib.START, lambda s: [lib.Send("w", {"i": 1}), "z", "w"], ["w", "z"]
    )
    return lib.compile(builder), [{}]


@tale
def sends_from_parallel_nodes(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda s: {"log": [s]})
    for name in "ba":
        builder.add_node(name, says(name)).add_edge(lib.START, name)
        builder.add_conditional_edges(
            name, lambda s, n=name: [lib.Send("w", f"{n}{i}") for i in range(2)], ["w"]
        )
    return lib.compile(builder), [{}]


def choosing(lib: Lib, goto: Callable[[], Any], **update: Any) -> Any:
    def a(state: State) -> Any:
        return lib.Command(update={"log": ["a"], **update}, goto=goto())

    builder = lib.StateGraph(State).add_node("a", a, destinations=("b", "c"))
    builder.add_edge(lib.START, "a").add_node("b", says("b")).add_node("c", says("c"))
    return builder


@tale
def a_command_goes(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: "b")), [{}]


@tale
def a_command_goes_several_ways(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: ["c", "b"])), [{}]


@tale
def a_command_goes_nowhere(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: ())), [{}]


@tale
def a_command_sends(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: [lib.Send("b", {}), "c", lib.Send("b", {})])), [{}]


@tale
def a_command_goes_beside_edges(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: "b").add_edge("a", "c")), [{}]


@tale
def a_list_of_updates_and_commands(lib: Lib) -> Any:
    def a(state: State) -> Any:
        return [{"log": [1]}, lib.Command(update={"log": [2]}, goto="b"), {"total": 3}]

    builder = lib.StateGraph(State).add_node("a", a, destinations=("b",)).add_edge(lib.START, "a")
    return lib.compile(builder.add_node("b", says("b"))), [{}]


@tale
def a_node_returns_a_send(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_edge(lib.START, "a").add_node("b", says("b"))
    builder.add_node("a", lambda state: lib.Send("b", {}), destinations=("b",))
    return lib.compile(builder), [{}]
