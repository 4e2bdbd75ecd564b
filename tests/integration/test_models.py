"""LangChain's models in workflows on the server: what they say is in the run's log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from runs.engine import serde
from runs.models import Event
from tests.integration.chain import Start, State, names

pytestmark = pytest.mark.django_db(transaction=True)


def talk(state: State) -> State:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two")]))
    return {"n": len(str(model.invoke("?").content))}


async def talk_async(state: State) -> State:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two")]))
    chain: Any = RunnableLambda(lambda given: "?") | model
    return {"n": len(str((await chain.ainvoke({})).content))}


@pytest.mark.parametrize("node", [talk, talk_async])
def test_tokens_are_events_before_the_node_s_update(
    node: Callable[..., Any], start: Start, drain: Callable[[], None]
) -> None:
    run = start(node)
    drain()
    run.refresh_from_db()
    assert run.status == "completed", run.error
    told = Event.objects.filter(run=run, name="custom:messages").order_by("seq")
    said = [serde.loads(event.data) for event in told]
    assert [one["content"] for one in said if one["content"]] == ["one", " ", "two"]
    assert {event.node for event in told} == {node.__name__}
    assert names(run).index("node_update") > names(run).index("custom:messages")
