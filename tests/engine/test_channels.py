"""Channels: how the writes of a superstep become the next value."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.engine import END, START, InvalidUpdateError, StateGraph
from runs.engine.graph.channels import Appending, EphemeralValue, LastValue, Reducer, reducer
from runs.engine.graph.schema import channels
from runs.engine.types import MISSING


def longest(left: str, right: str) -> str:
    return max(left, right, key=len)


class Plain(TypedDict):
    last: int
    many: Annotated[list[int], operator.add]
    seq: Annotated[Sequence[int], operator.add]
    text: Annotated[str, operator.add]
    total: Annotated[int, operator.add]
    table: Annotated[dict[str, int], operator.or_]
    best: Annotated[str, longest]
    maybe: Annotated[int | None, lambda left, right: right]
    once: Annotated[int, EphemeralValue]


def test_annotations_choose_the_channel() -> None:
    found = channels(Plain)
    assert {name: type(channel) for name, channel in found.items()} == {
        "last": LastValue,
        "many": Appending,
        "seq": Appending,
        "text": Appending,
        "total": Reducer,
        "table": Appending,
        "best": Reducer,
        "maybe": Reducer,
        "once": EphemeralValue,
    }


def test_a_reducer_begins_with_its_types_empty_value() -> None:
    found = channels(Plain)
    assert {name: channel.initial() for name, channel in found.items()} == {
        "last": MISSING,
        "many": [],
        "seq": [],
        "text": "",
        "total": 0,
        "table": {},
        "best": "",
        "maybe": MISSING,
        "once": MISSING,
    }


def test_empty_values_are_not_shared() -> None:
    channel = channels(Plain)["many"]
    assert channel.initial() is not channel.initial()


def test_without_an_empty_value_the_first_write_is_the_value() -> None:
    assert reducer("x", int | None, operator.add).fold(MISSING, [2, 3]) == 5


@given(st.lists(st.integers()), st.lists(st.lists(st.integers())))
def test_folding_at_once_is_folding_one_by_one(
    current: list[int], updates: list[list[int]]
) -> None:
    channel = reducer("x", list, operator.add)
    before = list(current)
    expected = current
    for update in updates:
        expected = expected + update
    assert channel.fold(current, updates) == expected
    assert current == before, "the value that was there is not changed in place"


def test_adding_something_else_to_a_list_is_refused() -> None:
    with pytest.raises(TypeError, match="can only add a list to a list, not str"):
        reducer("x", list, operator.add).fold([1], ["ab"])


def test_reducers_are_seen_before_anything_was_written() -> None:
    class State(TypedDict):
        seen: Annotated[list[str], operator.add]
        total: Annotated[int, operator.add]

    def look(state: State) -> dict[str, object]:
        return {"seen": [repr(state)]}

    graph = StateGraph(State).add_node(look).add_edge(START, "look").compile()
    assert graph.invoke({}) == {"seen": ["{'seen': [], 'total': 0}"], "total": 0}


def test_a_nodes_first_list_is_no_other_runs_first_list() -> None:
    class State(TypedDict):
        seen: Annotated[list[int], operator.add]

    def spoil(state: State) -> None:
        state["seen"].append(1)

    graph = StateGraph(State).add_node(spoil).add_edge(START, "spoil").compile()
    graph.invoke({})
    seen: list[list[int]] = []
    graph = (
        StateGraph(State)
        .add_node("a", lambda s: seen.append(s["seen"]))
        .add_edge(START, "a")
        .compile()
    )
    graph.invoke({})
    assert seen == [[]]


def test_ephemeral_values_live_for_one_superstep() -> None:
    class State(TypedDict, total=False):
        flash: Annotated[int, EphemeralValue]
        seen: Annotated[list[int | None], operator.add]

    def first(state: State) -> State:
        return {"flash": 7}

    def look(state: State) -> State:
        return {"seen": [state.get("flash")]}

    graph = (
        StateGraph(State)
        .add_sequence([first, ("next", look), ("later", look)])
        .add_edge(START, "first")
        .add_edge("later", END)
        .compile()
    )
    assert graph.invoke({}) == {"seen": [7, None]}


def test_two_writers_of_a_last_value_are_named() -> None:
    class State(TypedDict, total=False):
        x: int

    builder = StateGraph(State)
    for name in "ab":
        builder.add_node(name, lambda state: {"x": 1}).add_edge(START, name)
    with pytest.raises(InvalidUpdateError, match=r"'x' was written 2 times.*'a' and 'b'.*reducer"):
        builder.compile().invoke({})
