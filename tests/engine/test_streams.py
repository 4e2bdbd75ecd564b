"""Stream modes: what each shows of the same run, and what becomes of a reader that leaves."""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import START, Context, StateGraph, SyncContext, interrupt


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


class Inner(TypedDict, total=False):
    word: str


@dataclass
class Settings:
    word: str
    times: int = 1


async def a(state: State, ctx: Context) -> State:
    ctx.emit({"half": 50})
    ctx.emit("tok", name="messages")
    return {"log": ["a"]}


def b(state: State, ctx: SyncContext) -> State:
    ctx.stream_writer("from a thread", name="progress")
    return {"log": ["b"]}


GRAPH = StateGraph(State).add_sequence([a, b]).add_edge(START, "a").compile()


async def shown(graph: Any, mode: Any, given: Any = None, **options: Any) -> list[Any]:
    stream = graph.astream({"log": ["in"]} if given is None else given, stream_mode=mode, **options)
    return [item async for item in stream]


async def test_values() -> None:
    logs = [values["log"] for values in await shown(GRAPH, "values")]
    assert logs == [["in"], ["in", "a"], ["in", "a", "b"]]


async def test_updates() -> None:
    assert await shown(GRAPH, "updates") == [{"a": {"log": ["a"]}}, {"b": {"log": ["b"]}}]


async def test_custom_and_messages() -> None:
    assert await shown(GRAPH, "custom") == [{"half": 50}, "from a thread"]
    ((chunk, about),) = await shown(GRAPH, "messages")
    assert (chunk, about["langgraph_node"], about["langgraph_step"]) == ("tok", "a", 1)


async def test_tasks_and_debug() -> None:
    tasks = await shown(GRAPH, "tasks")
    assert [(t["name"], t.get("result")) for t in tasks] == [
        ("a", None),
        ("a", {"log": ["a"]}),
        ("b", None),
        ("b", {"log": ["b"]}),
    ]
    assert tasks[0]["id"] == tasks[1]["id"]
    assert [item["type"] for item in await shown(GRAPH, "debug")] == [
        "checkpoint",
        *["task", "task_result", "checkpoint"] * 2,
    ]


async def test_checkpoints() -> None:
    found = await shown(GRAPH, "checkpoints")
    assert [c["next"] for c in found] == [["a"], ["b"], []]
    assert [c["parent_config"] for c in found[1:]] == [c["config"] for c in found[:-1]]


async def test_several_modes_are_told_apart() -> None:
    items = await shown(GRAPH, ["updates", "custom"])
    assert [mode for mode, _ in items] == ["custom", "updates", "custom", "updates"]


async def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="'typo' is not a stream mode; there are values, updates"):
        await shown(GRAPH, "typo")


async def test_subgraphs_are_shown_with_their_namespace() -> None:
    inner = StateGraph(Inner).add_node("i", lambda s: {"word": "w"}).add_edge(START, "i").compile()
    graph = StateGraph(State).add_node("sub", inner).add_edge(START, "sub").compile()
    assert await shown(graph, "updates") == [{"sub": None}]
    ((inside, first), (outside, _)) = await shown(graph, "updates", subgraphs=True)
    assert (first, outside) == ({"i": {"word": "w"}}, ())
    assert len(inside) == 1
    assert inside[0].startswith("sub:")


async def test_a_question_ends_the_stream() -> None:
    builder = StateGraph(State).add_node("q", lambda s: {"log": [interrupt("?")]})
    graph = builder.add_edge(START, "q").compile()
    *_, last = await shown(graph, "values", thread_id="t")
    assert last["log"] == ["in"]
    assert [one.value for one in last["__interrupt__"]] == ["?"]


async def test_an_error_comes_out_after_what_happened_before() -> None:
    def fails(state: State) -> None:
        raise KeyError("bad")

    builder = StateGraph(State).add_sequence([a, fails]).add_edge(START, "a")
    seen = []
    with pytest.raises(KeyError, match="bad"):
        async for item in builder.compile().astream({}):
            seen.append(item)
    assert seen == [{"a": {"log": ["a"]}}]


async def test_a_reader_that_leaves_cancels_the_run() -> None:
    stopped = asyncio.Event()

    async def waits(state: State) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    builder = StateGraph(State).add_sequence([a, waits]).add_edge(START, "a")
    stream = builder.compile().astream({})
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(90):
        await stopped.wait()


@pytest.mark.parametrize("given", [{"word": "hi", "times": 2}, Settings("hi", 2)])
async def test_the_context_is_what_its_schema_says(given: Any) -> None:
    async def node(state: State, runtime: Context) -> State:
        return {"log": [runtime.context.word] * runtime.context.times}

    graph = StateGraph(State, context_schema=Settings).add_node(node).add_edge(START, "node")
    assert await graph.compile().ainvoke({}, context=given) == {"log": ["hi", "hi"]}


@pytest.mark.parametrize("name", ["", "a b", "x" * 31])
async def test_an_events_name_is_short_and_plain(name: str) -> None:
    async def node(state: State, ctx: Context) -> None:
        ctx.emit(1, name=name)

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
    with pytest.raises(ValueError, match="cannot name an event"):
        await graph.ainvoke({})
