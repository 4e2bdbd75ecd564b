"""Tales of going on from an old checkpoint."""

from __future__ import annotations

from typing import Any

from tests.engine.differential.libs import Answers, From, Lib, answer
from tests.engine.differential.tales.questions import asking
from tests.engine.differential.tales.words import chain, says, tale


def asks_after(lib: Lib, *questions: str) -> Any:
    builder = chain(lib, "a").add_node("ask", asking(lib, *questions)).add_edge("a", "ask")
    return lib.compile(builder.add_node("z", says("z")).add_edge("ask", "z"))


@tale
def a_question_is_asked_again_in_a_fork(lib: Lib) -> Any:
    return asks_after(lib, "?"), [{}, answer("one"), From(["ask"], None), answer("two")]


@tale
def a_fork_answers_what_was_left_open(lib: Lib) -> Any:
    return asks_after(lib, "?"), [{}, {"log": ["else"]}, From(["ask"], answer("late")), {"x": 1}]


@tale
def a_fork_answers_the_first_of_two_questions(lib: Lib) -> Any:
    said = [{}, {"log": ["else"]}, From(["ask"], answer("1"))]
    return asks_after(lib, "?", "!"), said


@tale
def a_fork_answers_and_writes(lib: Lib) -> Any:
    said = From(["ask"], answer("late", update={"log": ["u"]}))
    return asks_after(lib, "?"), [{}, {"log": ["else"]}, said]


@tale
def a_fork_answers_and_goes_elsewhere(lib: Lib) -> Any:
    return asks_after(lib, "?"), [{}, {"x": 1}, From(["ask"], answer("late", goto="z"))]


@tale
def a_fork_goes_elsewhere(lib: Lib) -> Any:
    said = From(["a"], lambda lib: lib.Command(goto="z"))
    return asks_after(lib, "?"), [{}, answer("one"), said, answer("two")]


@tale
def an_answer_at_the_checkpoint_that_waits(lib: Lib) -> Any:
    calls: list[int] = []

    def once(state: Any) -> Any:
        calls.append(1)
        return {"total": len(calls)}

    builder = chain(lib, "a")
    builder.add_node("ask", asking(lib, "?")).add_edge("a", "ask")
    builder.add_node("b", once).add_edge("a", "b")
    return lib.compile(builder), [{}, From(["ask"], answer("x"))]


@tale
def a_fork_answers_two_by_their_ids(lib: Lib) -> Any:
    builder = chain(lib, "a")
    for name, question in (("b", "1"), ("c", "2")):
        builder.add_node(name, asking(lib, question)).add_edge("a", name)
    said = [{}, {"log": ["in"]}, Answers({"1": "x", "2": "y"})]
    return lib.compile(builder), said


@tale
def a_fork_answers_a_subgraph(lib: Lib) -> Any:
    sub = chain(lib, "i")
    sub = sub.add_node("ask", asking(lib, "?")).add_edge("i", "ask").compile()
    builder = chain(lib, "a").add_node("sub", sub).add_edge("a", "sub")
    return lib.compile(builder), [{}, {"x": 1}, From(["sub"], answer("late"))]
