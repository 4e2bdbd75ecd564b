"""Tales of states that are changed by hand, and of runs that go on from there."""

from __future__ import annotations

from typing import Any

from tests.engine.differential.libs import Edit, Lib, answer
from tests.engine.differential.tales.questions import asking
from tests.engine.differential.tales.words import State, chain, says, tale


def beside(lib: Lib) -> Any:
    """A node `b` that ends and a node `c` that asks, at once."""
    builder = lib.StateGraph(State)
    builder.add_node("b", says("b")).add_node("c", asking(lib, "?"))
    return builder.add_edge(lib.START, "b").add_edge(lib.START, "c")


@tale
def an_edit_after_the_end(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a", "b")), [{}, Edit({"log": ["by hand"]}), None]


@tale
def an_edit_as_a_node(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a", "b", "c")), [{}, Edit({"log": ["by hand"]}, "a"), None]


@tale
def an_edit_as_the_end(lib: Lib) -> Any:
    graph = lib.compile(chain(lib, "a", "b"), interrupt_before=["b"])
    return graph, [{}, Edit({"x": 1}), None]


@tale
def an_edit_where_a_question_waits(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("q", asking(lib, "?")).add_edge("a", "q")
    return lib.compile(builder), [{}, Edit({"x": 1}), None]


@tale
def an_edit_as_who_asks(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("q", asking(lib, "?")).add_edge("a", "q")
    builder.add_node("z", says("z")).add_edge("q", "z")
    return lib.compile(builder), [{}, Edit({"log": ["for q"]}, "q"), None]


@tale
def an_edit_beside_a_finished_node(lib: Lib) -> Any:
    return lib.compile(beside(lib)), [{}, Edit({"x": 1}), None]


@tale
def an_edit_beside_a_finished_node_after_another(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", says("b")).add_node("c", asking(lib, "?"))
    builder.add_edge("a", "b").add_edge("a", "c").add_node("z", says("z")).add_edge("b", "z")
    return lib.compile(builder), [{}, Edit({"x": 1}), None]


@tale
def an_edit_beside_a_node_that_sent(lib: Lib) -> Any:
    builder = beside(lib).add_node("w", lambda i: {"log": [f"w{i}"]})
    builder.add_conditional_edges("b", lambda s: [lib.Send("w", 1), lib.Send("w", 2)], ["w"])
    return lib.compile(builder), [{}, Edit({"x": 1}), None]


@tale
def an_edit_beside_several_finished_nodes(lib: Lib) -> Any:
    builder = beside(lib).add_node("d", says("d")).add_edge(lib.START, "d")
    return lib.compile(builder), [{}, Edit({"x": 1}), None]


@tale
def an_edit_as_the_node_before(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", says("b")).add_node("c", asking(lib, "?"))
    builder.add_edge("a", "b").add_edge("a", "c")
    return lib.compile(builder), [{}, Edit({"x": 1}, "a"), None]


@tale
def an_edit_of_a_thread_that_has_nothing(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a", "b")), [Edit({"log": ["by hand"]}, "a"), None]


@tale
def an_edit_as_one_of_a_join(lib: Lib) -> Any:
    builder = beside(lib).add_node("z", says("z")).add_edge(["b", "c"], "z")
    return lib.compile(builder), [{}, Edit({"log": ["for c"]}, "c"), None]


@tale
def an_edit_and_then_the_answer(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("q", asking(lib, "1", "2")).add_edge("a", "q")
    return lib.compile(builder), [{}, Edit({"x": 9}), answer("one"), answer("two")]


@tale
def an_edit_and_then_the_answer_inside(lib: Lib) -> Any:
    inner = lib.StateGraph(State).add_node("q", asking(lib, "?")).add_edge(lib.START, "q")
    builder = chain(lib, "a").add_node("sub", inner.compile()).add_edge("a", "sub")
    return lib.compile(builder), [{}, Edit({"x": 9}), answer("one")]


def forked(lib: Lib, *, entry: str = "") -> Any:
    """A router after START, which goes by `x`, and an edge from there if there is an `entry`."""
    builder = lib.StateGraph(State).add_node("a", says("a")).add_node("b", says("b"))
    builder.add_conditional_edges(
        lib.START, lambda state: "b" if state.get("x") else "a", ["a", "b"]
    )
    return builder.add_edge(lib.START, entry) if entry else builder


@tale
def an_edit_as_the_start_of_a_new_thread(lib: Lib) -> Any:
    return lib.compile(forked(lib)), [Edit({"x": 1}, lib.START), None]


@tale
def an_edit_of_a_new_thread_as_nobody(lib: Lib) -> Any:
    return lib.compile(forked(lib)), [Edit({"x": 1}), None]


@tale
def an_edit_of_nothing_as_the_start(lib: Lib) -> Any:
    return lib.compile(forked(lib)), [Edit(None, lib.START), None]


@tale
def an_edit_as_the_start_after_the_end(lib: Lib) -> Any:
    return lib.compile(forked(lib)), [{}, Edit({"x": 1}, lib.START), None]


@tale
def an_edit_as_the_start_where_a_question_waits(lib: Lib) -> Any:
    builder = forked(lib).add_node("q", asking(lib, "?")).add_edge("a", "q")
    return lib.compile(builder), [{}, Edit({"x": 1}, lib.START), None]


@tale
def an_edit_as_the_start_with_an_edge_too(lib: Lib) -> Any:
    return lib.compile(forked(lib, entry="a")), [Edit({"x": 1}, lib.START), None]


@tale
def an_edit_as_the_start_that_sends(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda i: {"log": [i]})
    builder.add_conditional_edges(lib.START, lambda s: [lib.Send("w", s["x"])], ["w"])
    return lib.compile(builder), [Edit({"x": 1}, lib.START), None]


@tale
def an_edit_as_the_start_that_says_where_to_go(lib: Lib) -> Any:
    edit = Edit(lib.Command(update={"x": 0}, goto="b"), lib.START)
    return lib.compile(forked(lib)), [edit, None]
