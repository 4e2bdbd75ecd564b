"""Limits of time and size, and results that are kept."""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    CachePolicy,
    Command,
    InMemoryCache,
    NotStorableError,
    RunTimeoutError,
    Send,
    StateGraph,
    SyncContext,
    interrupt,
)
from runs.engine.errors import NodeError
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import advance
from runs.engine.journal.memory import MemoryJournal
from tests.engine.mortal import LEASE, Hands


class State(TypedDict, total=False):
    x: Any
    log: Annotated[list[Any], operator.add]


@dataclass
class Data:
    x: int
    y: int = 0


CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    CALLS.clear()


async def test_a_run_has_a_time_to_execute_in() -> None:
    async def slow(state: State) -> None:
        await asyncio.Event().wait()

    builder = StateGraph(State).add_node(slow).add_edge(START, "slow")
    with pytest.raises(RunTimeoutError, match=r"longer than its timeout of 0\.02 s"):
        await builder.compile(timeout=0.02).ainvoke({})


async def test_waiting_for_a_time_is_not_executing() -> None:
    async def sleeps(state: State, ctx: Any) -> State:
        await ctx.sleep(3600)
        return {"x": "awake"}

    clock = Hands()
    builder = StateGraph(State).add_node(sleeps).add_edge(START, "sleeps")
    before = clock.now()
    assert await builder.compile(timeout=30).ainvoke({}, clock=clock) == {"x": "awake", "log": []}
    assert (clock.now() - before).total_seconds() == 3600


@pytest.mark.parametrize(
    ("update", "who"),
    [({"x": "y" * 100}, "Key 'x' of node 'n'"), ({"log": ["y" * 30]}, "Key 'log' of node 'n'")],
)
async def test_a_value_that_is_too_big_is_refused(update: Any, who: str) -> None:
    graph = StateGraph(State).add_node("n", lambda s: update).add_edge(START, "n").compile().graph
    execution = Execution(graph=graph, journal=MemoryJournal(), lease=LEASE, max_value_bytes=60)
    with pytest.raises((NodeError, NotStorableError)) as caught:
        await advance(execution, {"log": ["z" * 40]})
    error = caught.value.__cause__ or caught.value
    assert isinstance(error, NotStorableError)
    assert str(error).startswith(who)
    assert "a value may have 60" in str(error)


async def test_a_state_that_is_too_big_is_refused() -> None:
    builder = StateGraph(State).add_node("n", lambda s: {"x": "y" * 40}).add_edge(START, "n")
    graph = builder.compile().graph
    execution = Execution(graph=graph, journal=MemoryJournal(), lease=LEASE, max_state_bytes=80)
    with pytest.raises(NotStorableError, match=r"it may have 80.*Most of it is key 'log'"):
        await advance(execution, {"log": ["z" * 50]})


def cached(policy: CachePolicy, state: Any = State, **options: Any) -> Any:
    def n(given: Any) -> dict[str, Any]:
        CALLS.append(given)
        return {"x": 7}

    builder = StateGraph(state).add_node("n", n, cache_policy=policy).add_edge(START, "n")
    return builder.compile(**options)


@pytest.mark.parametrize("state", [State, Data])
def test_a_result_is_kept_for_the_same_input(state: Any) -> None:
    graph = cached(CachePolicy(), state)
    for x in (1, 1, 2, 1):
        assert graph.invoke({"x": x})["x"] == 7
    assert len(CALLS) == 2


def test_the_key_can_be_chosen_and_results_end() -> None:
    graph = cached(CachePolicy(key_func=lambda state: state["x"] % 2, ttl=3600))
    for x in (1, 3, 2, 4):
        graph.invoke({"x": x})
    assert len(CALLS) == 2
    graph = cached(CachePolicy(ttl=0))
    graph.invoke({"x": 1})
    graph.invoke({"x": 1})
    assert len(CALLS) == 4


def test_a_key_that_cannot_be_stored_is_refused() -> None:
    graph = cached(CachePolicy(key_func=lambda state: object()))
    with pytest.raises(NotStorableError, match="Cache key of node 'n'"):
        graph.invoke({"x": 1})


async def test_a_full_cache_forgets_the_oldest() -> None:
    cache = InMemoryCache(size=2)
    for key in "abc":
        await cache.put(key, key.encode(), None)
    assert [await cache.get(key) for key in "abc"] == [None, b"b", b"c"]


def test_a_question_is_not_kept() -> None:
    builder = StateGraph(State)
    builder.add_node("n", lambda s: {"x": interrupt("?")}, cache_policy=CachePolicy())
    graph = builder.add_edge(START, "n").compile()
    assert len(graph.invoke({}, thread_id="1")["__interrupt__"]) == 1
    assert len(graph.invoke({}, thread_id="2")["__interrupt__"]) == 1


async def sends(state: State) -> Any:
    return Command(goto=Send("end", "y" * 100))


async def asks(state: State) -> Any:
    interrupt("y" * 100)


async def asks_with_a_schema(state: State) -> Any:
    interrupt("?", response_schema={"title": "y" * 100})


async def steps(state: State, ctx: Any) -> Any:
    await ctx.step("s", lambda: "y" * 100)


def steps_sync(state: State, ctx: SyncContext) -> Any:
    ctx.step("s", lambda: "y" * 100)


async def emits(state: State, ctx: Any) -> Any:
    ctx.emit("y" * 200)


def emits_sync(state: State, ctx: SyncContext) -> Any:
    ctx.emit("y" * 200, name="word")


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (sends, "What node 'n' sends to 'end' has 102 bytes; a value may have 60."),
        (asks, "Interrupt value of node 'n' has 102 bytes; a value may have 60."),
        (asks_with_a_schema, "Interrupt schema of node 'n' has 112 bytes; a value may have 60."),
        (steps, "Result of step 's' of node 'n' has 102 bytes; a value may have 60."),
        (steps_sync, "Result of step 's' of node 'n' has 102 bytes; a value may have 60."),
        (emits, "Event 'custom' of node 'n' has 202 bytes; an event may have 150."),
        (emits_sync, "Event 'custom:word' of node 'n' has 202 bytes; an event may have 150."),
    ],
)
async def test_what_a_node_says_beside_its_state_has_a_limit_too(node: Any, said: str) -> None:
    builder = StateGraph(State).add_node("n", node, destinations=("end",)).add_edge(START, "n")
    graph = builder.add_node("end", lambda s: None).compile().graph
    execution = Execution(
        graph=graph,
        journal=MemoryJournal(),
        lease=LEASE,
        max_value_bytes=60,
        max_event_bytes=150,
    )
    with pytest.raises(NodeError) as caught:
        await advance(execution, {})
    assert isinstance(caught.value.__cause__, NotStorableError)
    assert str(caught.value.__cause__).startswith(said)
    assert "ctx.save_artifact()" in str(caught.value.__cause__)


@pytest.mark.parametrize("by", [START, "atomic"])
async def test_what_a_router_sends_has_a_limit_too(by: str) -> None:
    builder = StateGraph(State).add_node("n", lambda s: None)
    builder.add_node("atomic", lambda s: None, atomic=True).add_edge(START, "atomic")
    builder.add_conditional_edges(by, lambda s: Send("n", "y" * 100), ["n"])
    execution = Execution(
        graph=builder.compile().graph, journal=MemoryJournal(), lease=LEASE, max_value_bytes=60
    )
    with pytest.raises(NodeError, match=f"What node {by!r} sends to 'n' has 102 bytes"):
        await advance(execution, {})


@pytest.mark.parametrize("arg", [1.5, (1, 2), None, True])
def test_what_a_send_brings_may_be_anything(arg: Any) -> None:
    def n(given: Any) -> dict[str, Any]:
        CALLS.append(given)
        return {}

    builder = StateGraph(State).add_node("n", n, cache_policy=CachePolicy())
    builder.add_conditional_edges(START, lambda s: [Send("n", arg)], ["n"])
    graph = builder.compile()
    graph.invoke({})
    graph.invoke({})
    assert [arg] == CALLS


def test_graphs_that_share_a_cache_keep_apart_what_is_not_the_same_function() -> None:
    cache = InMemoryCache()

    def one(state: State) -> State:
        return {"x": 1}

    def two(state: State) -> State:
        return {"x": 2}

    for function, x in ((one, 1), (two, 2)):
        builder = StateGraph(State).add_node("a", function, cache_policy=CachePolicy())
        assert builder.add_edge(START, "a").compile(cache=cache).invoke({})["x"] == x


def test_a_node_that_takes_the_context_has_a_result_for_each() -> None:
    def n(state: State, runtime: SyncContext) -> dict[str, Any]:
        return {"x": runtime.context["user"]}

    builder = StateGraph(State).add_node("n", n, cache_policy=CachePolicy()).add_edge(START, "n")
    graph = builder.compile()
    for user in (1, 2):
        assert graph.invoke({}, context={"user": user})["x"] == user
    with pytest.raises(NotStorableError, match=r"Cache key of node 'n'.*key_func"):
        graph.invoke({}, context={"user": object()})
