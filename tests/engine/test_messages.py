"""add_messages: a conversation that is merged by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.engine import (
    REMOVE_ALL_MESSAGES,
    START,
    MemoryJournal,
    MessagesState,
    Position,
    RemoveMessage,
    StateGraph,
    add_messages,
)
from runs.engine.checkpoint import Saved
from runs.engine.restore import restore


def msg(id: str, content: str = "") -> dict[str, Any]:
    return {"role": "user", "content": content, "id": id}


@dataclass(frozen=True)
class Spoken:
    id: str
    text: str


def test_known_ids_are_replaced_and_new_ones_follow() -> None:
    merged = add_messages([msg("1", "a"), msg("2", "b")], [msg("3", "c"), msg("1", "A")])
    assert [(m["id"], m["content"]) for m in merged] == [("1", "A"), ("2", "b"), ("3", "c")]


def test_objects_with_an_id_are_messages_too() -> None:
    assert add_messages([Spoken("1", "a")], Spoken("1", "b")) == [Spoken("1", "b")]


def test_removing() -> None:
    assert add_messages([msg("1"), msg("2")], RemoveMessage("1")) == [msg("2")]
    assert add_messages([msg("1")], [RemoveMessage(REMOVE_ALL_MESSAGES), msg("9")]) == [msg("9")]
    assert add_messages([msg("1")], [RemoveMessage(id="1"), msg("1", "back")]) == [msg("1", "back")]
    with pytest.raises(ValueError, match="no message '7' to remove"):
        add_messages([], RemoveMessage("7"))


def test_what_was_there_is_not_changed() -> None:
    left = [msg("1")]
    add_messages(left, [msg("1", "x"), msg("2")])
    assert left == [msg("1")]


@given(st.lists(st.sampled_from(["a", "b"]), max_size=8), st.sets(st.integers(0, 7)))
def test_messages_without_an_id_get_their_own(said: list[str], removed: set[int]) -> None:
    first = add_messages([], said)
    left = add_messages(first, [RemoveMessage(first[i]["id"]) for i in removed if i < len(first)])
    both = add_messages(left, [("assistant", "a"), "a", "a"])
    assert [m["content"] for m in both] == [m["content"] for m in left] + ["a", "a", "a"]
    assert len({m["id"] for m in both}) == len(both)
    assert both == add_messages(left, [("assistant", "a"), "a", "a"]), "ids repeat"


async def test_a_conversation_is_stored_as_what_was_added() -> None:
    class State(TypedDict):
        messages: Annotated[list[Any], add_messages]

    def reply(state: State) -> dict[str, Any]:
        number = len(state["messages"])
        return {"messages": [("assistant", "x" * 10), msg("first", f"edit {number}")]}

    graph = StateGraph(State).add_node(reply).add_edge(START, "reply").compile()
    journal = MemoryJournal()
    live: dict[str, Any] = {}
    for number in range(6):
        said = {"messages": [msg("first" if number == 0 else str(number), "y" * 200)]}
        live = await graph.ainvoke(said, thread_id="t", journal=journal)
    saved = await journal.load("t")
    assert saved is not None and len(saved.chains["messages"]) > 1
    assert graph.output(_restored(graph, saved)) == live


def _restored(graph: Any, saved: Saved) -> Position:
    return restore(graph.graph, saved.checkpoint, saved.chains)


def test_a_conversation_as_a_state() -> None:
    class State(MessagesState):
        n: int

    def node(state: State) -> dict[str, Any]:
        return {"messages": {"role": "ai", "content": "hi", "id": "2"}, "n": 1}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
    final = graph.invoke({"messages": [{"role": "user", "content": "hello", "id": "1"}]})
    assert [one["content"] for one in final["messages"]] == ["hello", "hi"]
    assert final["n"] == 1
