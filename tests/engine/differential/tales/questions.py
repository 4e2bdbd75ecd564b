"""Tales of runs that wait: questions, answers and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.engine.differential.libs import Answers, Lib, answer
from tests.engine.differential.tales.words import State, chain, says, tale


def asking(lib: Lib, *questions: str) -> Callable[[Any], Any]:
    return lambda state: {"log": [lib.interrupt(question) for question in questions]}


@tale
def a_question(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("q", asking(lib, "?")).add_edge("a", "q")
    return lib.compile(builder), [{}, answer("yes")]


@tale
def questions_in_a_row(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("q", asking(lib, "1", "2", "3"))
    graph = lib.compile(builder.add_edge(lib.START, "q"))
    return graph, [{}, answer("a"), answer("b"), answer("c")]


@tale
def questions_at_once_by_id(lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    for name in "cab":
        builder.add_node(name, asking(lib, name)).add_edge(lib.START, name)
    builder.add_node("f", says("f")).add_edge(lib.START, "f")
    return lib.compile(builder), [{}, Answers({"c": 3, "b": 2}), Answers({"a": 1})]


@tale
def an_answer_with_an_update(lib: Lib) -> Any:
    def q(state: State) -> Any:
        return {"log": [state.get("x"), lib.interrupt("?")]}

    builder = lib.StateGraph(State).add_node("q", q).add_edge(lib.START, "q")
    return lib.compile(builder), [{"x": 1}, answer("a", update={"x": 2, "log": ["cmd"]})]


@tale
def an_answer_with_a_way(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_edge(lib.START, "q")
    builder.add_node("q", asking(lib, "?"), destinations=("side",))
    builder.add_node("side", says("side"))
    return lib.compile(builder), [{}, answer("a", goto="side")]


@tale
def an_input_instead_of_an_answer(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("q", asking(lib, "?")).add_edge(lib.START, "q")
    return lib.compile(builder), [{"log": ["one"]}, {"log": ["two"]}, answer("a")]


@tale
def sends_that_ask(lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    builder.add_node("q", lambda i: {"log": [f"{i}{lib.interrupt(str(i))}"]})
    builder.add_conditional_edges(lib.START, lambda s: [lib.Send("q", i) for i in (2, 1)], ["q"])
    return lib.compile(builder), [{}, Answers({"1": "a"}), Answers({"2": "b"})]


@tale
def a_stop_before(lib: Lib) -> Any:
    graph = lib.compile(chain(lib, "a", "b", "c"), interrupt_before=["b", "c"])
    return graph, [{}, None, None, None]


@tale
def a_stop_after(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a", "b"), interrupt_after=["a", "b"]), [{}, None, None]


@tale
def an_answer_at_a_stop(lib: Lib) -> Any:
    graph = lib.compile(chain(lib, "a", "b", "c"), interrupt_before=["b"], interrupt_after=["b"])
    return graph, [{}, answer(True), answer("go on")]


@tale
def a_question_beside_an_error(lib: Lib) -> Any:
    tries: list[int] = []

    async def b(state: State) -> Any:
        return {"log": [lib.interrupt("?")]}

    async def c(state: State) -> Any:
        tries.append(1)
        if len(tries) == 1:
            for _ in range(50):  # b asks meanwhile
                await asyncio.sleep(0)
            raise KeyError("c")
        return {"log": ["c"]}

    builder = lib.StateGraph(State).add_node("b", b).add_node("c", c)
    graph = lib.compile(builder.add_edge(lib.START, "b").add_edge(lib.START, "c"))
    return graph, [{}, answer("yes")]
