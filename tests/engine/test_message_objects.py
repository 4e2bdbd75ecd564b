"""Conversations of pydantic states that are annotated with LangChain's messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypedDict

import pytest
from jsonschema import Draft202012Validator
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langgraph.graph.message import add_messages as their_add_messages
from pydantic import ConfigDict, Field, create_model

from runs.engine import START, RemoveMessage, Send, StateGraph, add_messages
from runs.engine.errors import InvalidUpdateError
from runs.engine.values import allowed
from tests.engine.differential.libs import OURS, THEIRS


def state_of(hint: Any, *, strict: bool = False) -> Any:
    said: Any = (hint, Field(default=[], description="what was said"))
    return create_model("Talk", __config__=ConfigDict(strict=strict), messages=said, n=(int, 0))


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing but the annotation of a state lets messages be stored."""
    monkeypatch.setattr(allowed, "_allowed", {})
    monkeypatch.setattr(allowed, "_names", {})
    yield


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
GIVEN: dict[str, Any] = {
    "pair": [("ai", "x")],
    "one-pair": ("ai", "x"),
    "pair-in-json": [["user", "x"]],
    "role": [{"role": "user", "content": "x"}],
    "one-role": {"role": "system", "content": "x"},
    "type": [{"type": "human", "content": "x"}],
    "type-as-role": [{"type": "user", "content": "x"}],
    "text": "x",
    "texts": ["x", "y"],
    "object": [HumanMessage("x")],
    "objects-and-others": [HumanMessage("x"), ("ai", "y"), {"role": "user", "content": "z"}],
    "developer": [{"role": "developer", "content": "x", "name": "bob", "extra": 1}],
    "calls": [{"role": "assistant", "content": "", "tool_calls": [CALL]}],
    "tool": [{"role": "tool", "content": "x", "tool_call_id": "1"}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
}
STATES = {
    "any": (lambda add: Annotated[list[AnyMessage], add]),
    "base": (lambda add: Annotated[list[BaseMessage], add]),
    "sequence": (lambda add: Annotated[Sequence[AnyMessage], add]),
}


def outcome(lib: Any, state: Any, given: Any) -> list[Any]:
    """What a node, a router and the node after it are given."""
    seen: list[Any] = []

    def note(state: Any) -> None:
        # Without the ids, which are drawn by lot there.
        seen.append([one.model_copy(update={"id": None}) for one in state.messages])

    def node(state: Any) -> Any:
        note(state)
        return {"messages": [("ai", "reply"), state.messages[0]]}

    def route(state: Any) -> Any:
        note(state)
        return "after"

    builder = lib.StateGraph(state).add_node("node", node).add_node("after", note)
    builder.add_edge(START, "node").add_conditional_edges("node", route, ["after"])
    builder.compile().invoke({"messages": given})
    return seen


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", GIVEN)
def test_nodes_are_given_what_langgraph_gives_them(name: str, state: str) -> None:
    ours, theirs = (STATES[state](add) for add in (add_messages, their_add_messages))
    seen = outcome(OURS, state_of(ours), GIVEN[name])
    assert seen == outcome(THEIRS, state_of(theirs), GIVEN[name])
    assert [len(one) for one in seen] == [len(seen[0]), len(seen[0]) + 1, len(seen[0]) + 1]


def graph_of(state: Any, node: Any) -> Any:
    return StateGraph(state).add_node("node", node).add_edge(START, "node").compile()


@pytest.mark.parametrize("strict", [False, True])
def test_a_payload_is_compared_with_what_nodes_can_be_given(strict: bool) -> None:
    state = state_of(STATES["any"](add_messages), strict=strict)
    graph = graph_of(state, lambda state: None)
    schema = graph.input_json_schema()
    described = {"title": "Messages", "description": "what was said", "type": "array"}
    assert schema["properties"]["messages"] == described
    good: list[Any] = [{"role": "user", "content": "x", "id": "1"}, ["ai", "y"], "z"]
    assert graph.input_faults({"messages": good}) == []
    Draft202012Validator(schema).validate({"messages": good})
    assert graph.input_faults({"messages": [*good, RemoveMessage("1")]}) == []
    for bad in ({"role": "nobody", "content": "x"}, {"content": "x"}, 5):
        ((at, why),) = graph.input_faults({"messages": [bad]})
        assert at == ("messages",) and "\n" not in why
    with pytest.raises(InvalidUpdateError, match=r"'messages' .*annotation says: .*'nobody'"):
        graph.invoke({"messages": [("nobody", "x")]})


def test_what_a_message_shows_of_itself_is_read_as_a_whole() -> None:
    usage: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    message = AIMessage("x", id="1", usage_metadata=usage, response_metadata={"r": 1})
    seen: list[Any] = []
    graph = graph_of(state_of(STATES["base"](add_messages)), lambda state: seen.append(state))
    graph.invoke({"messages": [message.model_dump(mode="json")]})
    assert seen[0].messages == [message]


def test_none_stays_none_and_a_node_may_be_sent_pairs() -> None:
    seen: list[Any] = []
    hint = Annotated[list[AnyMessage], add_messages] | None
    graph = graph_of(state_of(hint), lambda state: seen.append(state.messages))
    graph.invoke({"messages": None})

    def send(state: Any) -> Any:
        return Send("node", {"messages": [("ai", "x")]})

    state = state_of(STATES["any"](add_messages))
    builder = StateGraph(state)
    builder.add_node("node", lambda state: seen.append(state.messages), input_schema=state)
    builder.add_conditional_edges(START, send, ["node"]).compile().invoke({})
    nothing, (message,) = seen
    assert not nothing and isinstance(message, AIMessage) and message.content == "x"


def test_base_messages_in_an_annotation_let_all_messages_be_stored() -> None:
    make: Any = TypedDict
    state = make("Talk", {"messages": STATES["base"](add_messages)})
    graph = graph_of(state, lambda state: {"messages": [AIMessage("x"), HumanMessage("y")]})
    found = graph.invoke({"messages": []})["messages"]
    assert [type(one) for one in found] == [AIMessage, HumanMessage]
