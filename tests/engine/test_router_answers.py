"""What routers may answer: what their annotations say, and a set as a list."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Collection, Iterator
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import pytest

from runs.engine import END, START, Command, InvalidGraphError, InvalidUpdateError, Send, StateGraph


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class Way(Enum):
    BACK = "back"


def says(name: str) -> Any:
    return lambda state: {"log": [name]}


def sent(arg: Any) -> State:
    return {"log": [f"sent {arg}"]}


def graph_of(said: Any, answer: Any, path_map: Any = None, *, atomic: bool = False) -> Any:
    """`a`, and a router after it."""

    def route(state: State) -> Any:
        return answer

    route.__annotations__["return"] = said
    builder = StateGraph(State).add_node("a", says("a"), atomic=atomic)
    builder.add_node("b", says("b")).add_node("c", says("c")).add_node("sent", sent)
    builder.add_conditional_edges(START, lambda state: "a")  # it may lead anywhere
    return builder.add_conditional_edges("a", route, path_map).compile()


ANSWERS: dict[str, tuple[Any, Any, list[str]]] = {
    "set": (set[Literal["b", "c"]], {"c", "b"}, ["b", "c"]),
    "frozenset": (frozenset[str], frozenset({"b"}), ["b"]),
    "empty-set": (set[str], set(), []),
    "set-not-annotated": (Any, {"b"}, ["b"]),
    "set-of-sends": (set[Send], {Send("sent", 2), Send("sent", 1)}, ["sent 1", "sent 2"]),
    "deque": (deque[Literal["b"]], deque(["b"]), ["b"]),
    "keys": (Collection[Literal["b"]], {"b": 1}.keys(), ["b"]),
    "optional": (Literal["b"] | None, None, []),
    "optional-and-there": (Literal["b"] | None, "b", ["b"]),
    "none-in-a-literal": (Literal["b", None], None, []),
    "optional-text": (str | None, None, []),
    "optional-set": (set[Literal["b"]] | None, None, []),
    "optional-sends": (list[Send] | None, None, []),
    "optional-inside": (list[Literal["b"] | None], [None, "b"], ["b"]),
    "optional-annotated": (Annotated[Send | None, "x"], None, []),
}


@pytest.mark.parametrize("atomic", [False, True], ids=["", "atomic"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_router_may_answer_what_its_annotation_says(name: str, atomic: bool) -> None:
    said, answer, log = ANSWERS[name]
    graph = graph_of(said, answer, atomic=atomic)
    assert graph.invoke({"log": []})["log"] == ["a", *log]


def test_none_is_end_beside_a_path_map_unless_that_says_otherwise() -> None:
    for path_map, log in ((["b"], ["a"]), ({"x": "b"}, ["a"]), ({None: "b"}, ["a", "b"])):
        graph = graph_of(str | None, None, path_map)
        assert graph.invoke({"log": []})["log"] == log
        ends = [edge["target"] for edge in graph.to_json()["edges"] if edge["source"] == "a"]
        assert ends == (["b"] if None in path_map else [END, "b"])


def test_a_path_map_may_translate_the_items_of_a_set_or_the_whole() -> None:
    graph = graph_of(Any, {Way.BACK, 1}, {Way.BACK: "b", 1: "c"})
    assert graph.invoke({"log": []})["log"] == ["a", "b", "c"]
    graph = graph_of(Any, frozenset({1}), {frozenset({1}): "b"})
    assert graph.invoke({"log": []})["log"] == ["a", "b"]


@pytest.mark.parametrize(
    ("said", "answer", "words"),
    [
        (Any, None, "'a' goes on to None: name a node, or END"),
        (None, None, "'a' goes on to None"),
        (str, [None], "'a' goes on to None"),
        (Literal["b"], None, "'route' after 'a' answered None, which its path_map"),
        (Any, iter("b"), "'a' goes on to <str"),
        (Any, {"b": 1}, "'a' goes on to {'b': 1}"),
        (Any, b"b", "'a' goes on to b'b'"),
        (Any, {"d"}, "'a' goes on to 'd'"),
        (set[Literal["b"]], {"c"}, "'route' after 'a' answered 'c', which its path_map"),
    ],
)
def test_another_answer_is_refused(said: Any, answer: Any, words: str) -> None:
    with pytest.raises(InvalidUpdateError, match=words):
        graph_of(said, answer).invoke({"log": []})


def test_a_router_that_yields_is_refused() -> None:
    def route(state: State) -> Iterator[str]:
        yield "a"

    builder = StateGraph(State).add_node("a", says("a"))
    with pytest.raises(InvalidGraphError, match="Router 'route' after 'a' is a generator: return"):
        builder.add_conditional_edges("a", route)


def test_a_command_may_go_to_a_set() -> None:
    def go(state: State) -> Any:
        goto: Any = {Send("sent", 2), "b", Send("sent", 1)}
        return Command(goto=goto)

    builder = StateGraph(State).add_node("go", go).add_node("sent", sent).add_node("b", says("b"))
    graph = builder.add_edge(START, "go").compile()
    assert graph.invoke({"log": []})["log"] == ["b", "sent 1", "sent 2"]
