"""LangChain's models in nodes: what they say is in the stream mode `messages`, and they know what
the run was given. Without LangChain nothing of this is needed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from runs.engine import (
    START,
    CompiledGraph,
    MemoryJournal,
    MessagesState,
    StateGraph,
    entrypoint,
    serde,
    task,
)
from runs.engine.execution.context import Context

WORDS = ["one", " ", "two", " ", "three"]


@pytest.fixture(autouse=True)
def _storable() -> None:
    for kind in (AIMessage, HumanMessage, ToolMessage):
        serde.allow(kind)


class State(TypedDict, total=False):
    said: str


def model(text: str = "one two three", *tags: str) -> Any:
    made = GenericFakeChatModel(messages=iter([AIMessage(text)]))
    return made.with_config(tags=list(tags)) if tags else made


def alone(node: Any, state: Any = State) -> CompiledGraph:
    return StateGraph(state).add_node("n", node).add_edge(START, "n").compile()


async def said(graph: Any, given: Any = None, **options: Any) -> list[Any]:
    return [one async for one in graph.astream(given or {}, stream_mode="messages", **options)]


def ask(state: State) -> State:
    return {"said": str(model().invoke("?").content)}


async def ask_async(state: State) -> State:
    return {"said": str((await model().ainvoke("?")).content)}


async def ask_in_parts(state: State) -> State:
    return {"said": "".join([str(one.content) async for one in model().astream("?")])}


def ask_with_config(state: State, config: RunnableConfig) -> State:
    return {"said": str(model().invoke("?", config).content)}


def ask_with_more_config(state: State, config: RunnableConfig) -> State:
    return {"said": str(model("one two three", "mine").invoke("?", config).content)}


@pytest.mark.parametrize(
    "node", [ask, ask_async, ask_in_parts, ask_with_config, ask_with_more_config]
)
async def test_the_tokens_of_a_model_are_messages(node: Callable[..., Any]) -> None:
    found = await said(alone(node))
    assert [message.content for message, _ in found if message.content] == WORDS
    assert {type(message) for message, _ in found} == {AIMessageChunk}
    assert {about["langgraph_node"] for _, about in found} == {"n"}
    assert (await alone(node).ainvoke({}))["said"] == "one two three"


def test_they_are_messages_for_sync_code_too() -> None:
    found = list(alone(ask).stream({}, stream_mode=["messages", "updates"]))
    assert [mode for mode, _ in found][-1] == "updates"
    assert [shown[0].content for mode, shown in found if mode == "messages"][:5] == WORDS


async def test_models_of_tasks_and_entrypoints() -> None:
    @task
    def inner(question: str) -> str:
        return str(model().invoke(question).content)

    @entrypoint()
    async def outer(question: str) -> str:
        return str(await inner(question)) + str((await model("four").ainvoke("?")).content)

    found = await said(outer, "?")
    assert "".join(message.content for message, _ in found) == "one two threefour"
    assert {about["langgraph_node"] for _, about in found} == {"inner", "outer"}


async def test_models_in_a_graph_inside_have_its_namespace_and_are_told_once() -> None:
    inner = alone(ask)

    async def call(state: State, config: RunnableConfig) -> State:
        return {"said": (await inner.ainvoke({}, config))["said"]}

    for outer in (alone(inner), alone(call)):
        assert not await said(outer)
        found = await said(outer, subgraphs=True)
        assert [shown[0].content for _, shown in found if shown[0].content] == WORDS
        assert {len(path) for path, _ in found} == {1}


async def test_a_model_that_is_tagged_silent_is_not_told_and_tags_are() -> None:
    def node(state: State) -> State:
        model("quiet", "nostream").invoke("?")
        return {"said": str(model("loud", "mine").invoke("?").content)}

    found = await said(alone(node))
    assert "".join(message.content for message, _ in found) == "loud"
    assert all(about["tags"] == ["mine"] for _, about in found)


async def test_messages_that_a_node_writes_are_told_unless_they_were_seen() -> None:
    def node(state: MessagesState) -> MessagesState:
        answer = model().invoke("?")
        return {"messages": [*state["messages"], answer, ToolMessage("found", tool_call_id="1")]}

    begin = {"messages": [HumanMessage("hi", id="h")]}
    found = await said(alone(node, MessagesState), begin)
    assert "".join(message.content for message, _ in found) == "one two threefound"
    assert found[-1][0].type == "tool"


async def test_messages_that_a_graph_inside_writes_are_told_once() -> None:
    def node(state: MessagesState) -> MessagesState:
        return {"messages": [AIMessage("in")]}

    outer = alone(alone(node, MessagesState), MessagesState)
    assert [m.content for m, _ in await said(outer)] == ["in"]
    ((path, (message, _)),) = await said(outer, subgraphs=True)
    assert (len(path), message.content) == (1, "in")


async def test_what_is_known_of_a_message_is_what_the_run_was_given() -> None:
    def node(state: MessagesState) -> MessagesState:
        return {"messages": [AIMessage("in")]}

    config = {"configurable": {"user_id": "u", "key": "secret"}, "metadata": {"about": "x"}}
    ((_, about),) = await said(alone(node, MessagesState), config=config)
    assert (about["user_id"], about["about"]) == ("u", "x")
    assert "secret" not in about.values()
    assert about["langgraph_checkpoint_ns"].startswith("n:")


async def test_nobody_hears_what_no_one_asked_for() -> None:
    given: list[bool] = []

    def node(state: State, config: RunnableConfig) -> State:
        given.append("callbacks" in config)
        return ask(state)

    graph, journal = alone(node), MemoryJournal()
    await graph.ainvoke({}, thread_id="t", journal=journal)
    assert [one async for one in graph.astream({}, stream_mode="updates")]
    (names,) = [[e.name for e in run] for run in journal._events.values()]
    assert given == [False, False] and "custom:messages" not in names


async def test_callbacks_tags_and_metadata_of_the_run_reach_its_models() -> None:
    class Tracer(BaseCallbackHandler):
        def __init__(self) -> None:
            self.known: list[Any] = []

        def on_chat_model_start(self, *args: Any, **about: Any) -> None:
            self.known.append((about["tags"], about["metadata"]["about"]))

    for node in (ask, ask_async, ask_with_config):
        tracer = Tracer()
        config = {"callbacks": [tracer], "tags": ["t"], "metadata": {"about": "x"}}
        await alone(node).ainvoke({}, config)
        assert [one async for one in alone(node).astream({}, config, stream_mode="messages")]
        assert tracer.known == [(["t"], "x")] * 2


async def test_what_is_written_down_is_plain_data() -> None:
    journal = MemoryJournal()
    assert await said(alone(ask), thread_id="t", journal=journal)
    (events,) = journal._events.values()
    told = [serde.loads(event.data) for event in events if event.name == "custom:messages"]
    assert [one["content"] for one in told if one["content"]] == WORDS
    assert {one["type"] for one in told} == {"AIMessageChunk"}


async def test_what_runs_in_a_node_has_the_config_of_that_node_s_call() -> None:
    from langchain_core.runnables.config import ensure_config

    seen = []

    def outer(state: State) -> State:
        seen.append(ensure_config())
        StateGraph(State).add_node("m", inner).add_edge(START, "m").compile().invoke({})
        return {}

    def inner(state: State) -> State:
        seen.append(ensure_config())
        return {}

    config = {"configurable": {"thread_id": "t", "user_id": "u"}, "tags": ["x"]}
    await alone(outer).ainvoke({}, config, journal=MemoryJournal())
    assert [one["metadata"]["langgraph_node"] for one in seen] == ["n", "m"]
    assert [one["configurable"]["user_id"] for one in seen] == ["u", "u"]
    assert [one["configurable"]["thread_id"] for one in seen] == ["t", "t"]
    assert [one["tags"] for one in seen] == [["x"], ["x"]]


async def test_nothing_of_it_is_left_when_the_node_is_over() -> None:
    from langchain_core.runnables.config import var_child_runnable_config

    await said(alone(ask_async))
    assert var_child_runnable_config.get() is None


async def test_parallel_nodes_tell_under_their_own_names() -> None:
    def both(state: State) -> State:
        return {"said": ""} if not ask(state) else {}

    graph = StateGraph(State)
    for name in ("a", "b"):
        graph.add_node(name, both).add_edge(START, name)
    found = await said(graph.compile())
    for name in ("a", "b"):
        own = [message.content for message, about in found if about["langgraph_node"] == name]
        assert "".join(own) == "one two three"


async def test_emitted_messages_are_as_before() -> None:
    async def node(state: State, ctx: Context) -> State:
        await ctx.emit("chunk", name="messages")
        await asyncio.sleep(0)
        return {"said": ""}

    assert [shown for shown, _ in await said(alone(node))] == ["chunk"]


@pytest.mark.processes
def test_the_engine_imports_nothing_of_langchain() -> None:
    program = "import sys, runs.engine; assert not [n for n in sys.modules if 'langchain' in n]"
    subprocess.run([sys.executable, "-c", program], check=True)
