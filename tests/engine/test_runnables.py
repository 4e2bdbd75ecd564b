"""LangChain's Runnables as nodes and routers."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnablePassthrough

from runs.engine import (
    END,
    START,
    CachePolicy,
    Command,
    InvalidGraphError,
    InvalidUpdateError,
    StateGraph,
    interrupt,
)


class State(TypedDict, total=False):
    topic: str
    said: str
    times: int


def chain(text: str = "of cats") -> Any:
    model = GenericFakeChatModel(messages=iter([AIMessage(text)]))
    prompt = ChatPromptTemplate.from_messages([("user", "Say something of {topic}")])
    return prompt | model | RunnableLambda(lambda answer: {"said": answer.content})


async def count_async(state: State) -> State:
    return {"times": state.get("times", 0) + 1}


async def test_a_prompt_and_a_model_are_a_node() -> None:
    graph = StateGraph(State).add_node("n", chain()).add_edge(START, "n").compile()
    assert await graph.ainvoke({"topic": "cats"}) == {"topic": "cats", "said": "of cats"}


def test_it_is_one_in_sync_code() -> None:
    graph = StateGraph(State).add_node("n", chain()).add_edge(START, "n").compile()
    assert graph.invoke({"topic": "cats"})["said"] == "of cats"


async def test_a_dict_of_them_writes_each_to_its_key() -> None:
    node: Any = {"said": chain() | RunnableLambda(lambda given: given["said"]), "times": len}
    graph = StateGraph(State).add_node("n", node).add_edge(START, "n").compile()
    assert await graph.ainvoke({"topic": "c"}) == {"topic": "c", "said": "of cats", "times": 1}


async def test_it_goes_by_its_own_name_also_in_a_sequence() -> None:
    named: Any = RunnableLambda(lambda state: {"said": "x"}, name="talker")
    both = StateGraph(State).add_sequence([named, RunnableLambda(count_async, name="counter")])
    graph = both.add_edge(START, "talker").compile()
    assert list(graph.graph.nodes) == ["talker", "counter"]
    assert await graph.ainvoke({}) == {"said": "x", "times": 1}


async def test_its_tokens_and_its_config_are_the_run_s() -> None:
    seen: list[Any] = []

    def look(answer: AIMessage, config: RunnableConfig) -> State:
        seen.append((config["metadata"]["langgraph_node"], config["configurable"]["user"]))
        return {"said": str(answer.content)}

    model = GenericFakeChatModel(messages=iter([AIMessage("one two")]))
    talk: Any = RunnableLambda(lambda state: "?") | model | RunnableLambda(look)
    graph = StateGraph(State).add_node("n", talk).add_edge(START, "n").compile()
    config = {"configurable": {"user": "u"}}
    found = [one async for one in graph.astream({}, config, stream_mode="messages")]
    assert "".join(message.content for message, _ in found) == "one two"
    assert seen == [("n", "u")]


async def test_one_may_ask() -> None:
    asking: Any = RunnablePassthrough() | RunnableLambda(lambda state: {"said": interrupt("who?")})
    graph = StateGraph(State).add_node("n", asking).add_edge(START, "n").compile()
    first = await graph.ainvoke({}, thread_id="t")
    assert [one.value for one in first["__interrupt__"]] == ["who?"]
    assert (await graph.ainvoke(Command(resume="me"), thread_id="t"))["said"] == "me"


async def test_one_may_say_where_to_go() -> None:
    again: Any = RunnableLambda(lambda state: "n" if state["times"] < 3 else END)
    graph = StateGraph(State).add_node("n", count_async).add_edge(START, "n")
    graph.add_conditional_edges("n", again, ["n", END])
    assert (await graph.compile().ainvoke({}))["times"] == 3


async def test_what_is_no_update_is_refused_as_from_any_node() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("x")]))
    talk: Any = RunnableLambda(lambda state: "?") | model
    graph = StateGraph(State).add_node("n", talk).add_edge(START, "n").compile()
    with pytest.raises(InvalidUpdateError, match=r"Node 'n' .*not a key of the state"):
        await graph.ainvoke({})


def test_its_results_are_kept_only_by_a_key_of_the_user_s() -> None:
    builder = StateGraph(State).add_node("n", chain(), cache_policy=CachePolicy())
    with pytest.raises(InvalidGraphError, match="key_func"):
        builder.add_edge(START, "n").compile()


async def test_an_error_in_it_is_the_node_s() -> None:
    def fail(state: State) -> State:
        raise LookupError("no such thing")

    graph = StateGraph(State).add_node("n", RunnableLambda(fail)).add_edge(START, "n").compile()
    with pytest.raises(LookupError, match="no such thing"):
        await graph.ainvoke({})


async def _call_asking(state: State) -> Any:
    return await asking.ainvoke(state)


asking = (
    StateGraph(State)
    .add_node("ask", lambda state: {"said": interrupt("?")})
    .add_edge(START, "ask")
    .compile()
)
in_lambda: Any = RunnableLambda(_call_asking)
in_sequence: Any = RunnablePassthrough() | in_lambda


async def _call_chain(state: State) -> Any:
    return await in_sequence.ainvoke(state)


@pytest.mark.parametrize(
    "node",
    [
        in_lambda,
        in_sequence,
        in_lambda.with_config(tags=["t"]),
        in_lambda.with_retry(),
        in_lambda.with_fallbacks([RunnableLambda(count_async)]),
        RunnablePassthrough() | {"said": in_lambda} | RunnableLambda(lambda found: found["said"]),
        _call_chain,
    ],
    ids=["lambda", "sequence", "bound", "retry", "fallbacks", "parallel", "called"],
)
async def test_a_graph_in_a_chain_is_seen_where_it_stands(node: Any) -> None:
    graph = StateGraph(State).add_node("n", node).add_edge(START, "n").compile()
    await graph.ainvoke({"topic": "c"}, thread_id="t")
    (waiting,) = (await graph.aget_state("t", subgraphs=True)).tasks
    assert waiting.state is not None and waiting.state.next == ("ask",)
