"""What a run keeps while it waits comes back as it was, or is refused where it was made:
LangChain's messages with all that they carry, and what steps gave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)

from runs.engine import START, Command, Context, RetryPolicy, StateGraph, add_messages, interrupt
from runs.engine.values import allowed as classes
from runs.operations.resume import resume_run
from tests.engine.test_objects import Rounds
from tests.integration.counting import Register, error_of, pending

pytestmark = pytest.mark.django_db(transaction=True)


class Talk(TypedDict, total=False):
    messages: Annotated[list[BaseMessage], add_messages]


def with_attribute() -> BaseMessage:
    message = AIMessage("x", id="1")
    message.seen_by = ("ann", 3)  # type: ignore[attr-defined]
    return message


USAGE: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
CALL: Any = {"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}
CARRIES: dict[str, Callable[[], BaseMessage]] = {
    "extras": lambda: AIMessage("x", id="1", parsed={"a": (1, {2})}, logprobs=None),
    "attribute": with_attribute,
    "kwargs": lambda: AIMessage(
        "x", id="1", name="bob", additional_kwargs={"refusal": None}, response_metadata={"m": 1.5}
    ),
    "calls": lambda: AIMessage("", id="1", tool_calls=[CALL], usage_metadata=USAGE),
    "bad calls": lambda: AIMessage(
        "", id="1", invalid_tool_calls=[{**CALL, "args": "{", "error": "no JSON"}]
    ),
    "blocks": lambda: HumanMessage([{"type": "text", "text": "x"}, "y"], id="1", extra=b"\x00"),
    "tool": lambda: ToolMessage("x", id="1", tool_call_id="c", artifact={1: (2,)}, status="error"),
}


@pytest.fixture(autouse=True)
def _own_classes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Beside the classes of other tests, what the annotation of this state allows."""
    monkeypatch.setattr(classes, "_allowed", {**classes._allowed})
    monkeypatch.setattr(classes, "_names", {**classes._names})
    yield


def only(node: Any, **options: Any) -> StateGraph:
    return StateGraph(Talk).add_node("node", node, **options).add_edge(START, "node")


@pytest.mark.parametrize("make", CARRIES.values(), ids=CARRIES)
def test_a_message_comes_back_with_all_that_it_carries(
    register: Register, drain: Callable[[], None], make: Callable[[], BaseMessage]
) -> None:
    """From the state, and from a step: when it is made, and when the node is called again."""
    seen: list[Any] = []

    def write(state: Talk) -> Talk:
        return {"messages": [make()]}

    async def ask(state: Talk, ctx: Context) -> None:
        seen.extend((*state["messages"], await ctx.step("make", make)))
        interrupt("?")

    graph = StateGraph(Talk).add_node(write).add_node(ask)
    run = pending(register(graph.add_edge(START, "write").add_edge("write", "ask")), {})
    drain()
    resume_run(run.pk, Command(resume="!"))
    drain()
    run.refresh_from_db()
    assert (run.status, len(seen)) == ("completed", 4), run.error
    for message in seen:
        assert type(message) is type(make())
        assert vars(message) == vars(make())
        assert message.model_extra == make().model_extra
        assert message == make()


def test_a_step_that_gives_a_kind_of_text_gives_text_each_time(
    register: Register, drain: Callable[[], None]
) -> None:
    text = AIMessage("hello").text
    assert type(text) is not str, "LangChain's own class, which can also be called"
    seen: list[Any] = []

    async def node(state: Talk, ctx: Context) -> None:
        seen.append(await ctx.step("text", lambda: [text, {text: text}]))
        interrupt("?")

    run = pending(register(only(node)), {})
    drain()
    resume_run(run.pk, Command(resume="!"))
    drain()
    assert seen == [["hello", {"hello": "hello"}]] * 2
    assert {type(part) for first, more in seen for part in (first, *more, *more.values())} == {str}


def test_a_step_that_gives_what_does_not_come_back_is_refused_by_its_name(
    register: Register, drain: Callable[[], None]
) -> None:
    made: list[Rounds] = []

    def make() -> list[Rounds]:
        made.append(Rounds(3.0))
        return made

    async def node(state: Talk, ctx: Context) -> None:
        await ctx.step("halves", make)

    run = pending(register(only(node, retry_policy=RetryPolicy(max_attempts=3))), {})
    drain()
    error = error_of(run)
    assert (error["type"], error["node"]) == ("NotStorableError", "node")
    assert error["message"].startswith("Result of step 'halves': ")
    assert "Rounds at [0] does not come back as it is: its field 'n'" in error["message"]
    assert len(made) == 1, "its effect is not repeated"
