"""Stopping nodes: one that cancels itself has failed, one that is deaf keeps nobody waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any, TypedDict

import pytest

from runs.engine import (
    START,
    CompiledGraph,
    MemoryJournal,
    NodeTimeoutError,
    RetryPolicy,
    RunTimeoutError,
    StateGraph,
    entrypoint,
    task,
)
from runs.engine.concurrency import stopping
from runs.engine.errors import NodeCancelledError

SECONDS = 30


class State(TypedDict, total=False):
    x: Any
    y: Any


def only(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node").compile()


def beside(node: Any, other: Any, **options: Any) -> CompiledGraph:
    builder = StateGraph(State).add_node("node", node, **options).add_node("other", other)
    return builder.add_edge(START, "node").add_edge(START, "other").compile()


def cancel_own() -> None:
    own = asyncio.current_task()
    assert own is not None
    own.cancel()


async def raises(state: State) -> None:
    raise asyncio.CancelledError


async def cancels_and_waits(state: State) -> None:
    cancel_own()
    await asyncio.sleep(SECONDS)


async def cancels_and_returns(state: State) -> State:
    cancel_own()
    return {"x": 1}


async def cancels_soon(state: State) -> None:
    own = asyncio.current_task()
    assert own is not None
    asyncio.get_running_loop().call_soon(own.cancel)
    await asyncio.sleep(SECONDS)


async def awaits_a_cancelled_future(state: State) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def awaits_a_cancelled_task(state: State) -> None:
    other = asyncio.create_task(asyncio.sleep(SECONDS))
    other.cancel()
    await asyncio.gather(other)


def raises_in_a_thread(state: State) -> None:
    raise asyncio.CancelledError


async def cancels_in_a_graph_inside(state: State) -> None:
    await only(cancels_and_waits).ainvoke({})


SELF_CANCELLING = [
    raises,
    cancels_and_waits,
    cancels_and_returns,
    cancels_soon,
    awaits_a_cancelled_future,
    awaits_a_cancelled_task,
    raises_in_a_thread,
    cancels_in_a_graph_inside,
]


@pytest.mark.parametrize("node", SELF_CANCELLING, ids=lambda node: str(node.__name__))
@pytest.mark.parametrize("how", ["alone", "beside", "timeout", "run timeout", "retried", "stream"])
async def test_a_node_that_cancels_itself_has_failed(node: Callable[..., Any], how: str) -> None:
    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=NodeCancelledError)
    options: dict[str, Any] = {}
    if how == "timeout":
        options["timeout"] = SECONDS
    if how == "retried":
        options["retry_policy"] = policy
    graph = only(node, **options)
    if how == "beside":
        graph = beside(node, waits)
    elif how == "run timeout":
        builder = StateGraph(State).add_node("node", node).add_edge(START, "node")
        graph = builder.compile(timeout=SECONDS)
    with pytest.raises(NodeCancelledError, match=r"Node 'node' raised asyncio\.CancelledError"):
        if how == "stream":
            async for _ in graph.astream({}):
                pass
        else:
            await graph.ainvoke({})
    own = asyncio.current_task()
    assert own is not None
    assert not own.cancelling()


async def waits(state: State) -> None:
    await asyncio.sleep(SECONDS)


async def test_a_router_that_raises_cancelled_error_has_failed() -> None:
    async def route(state: State) -> str:
        raise asyncio.CancelledError

    builder = StateGraph(State).add_node("node", waits)
    graph = builder.add_conditional_edges(START, route, ["node"]).compile()
    with pytest.raises(NodeCancelledError):
        await graph.ainvoke({})


async def test_a_cancellation_that_a_node_has_caught_counts_for_nothing_later() -> None:
    async def catches(state: State) -> State:
        cancel_own()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(SECONDS)
        return {"x": 1}

    async def groups(state: State) -> State:
        with suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                await asyncio.sleep(SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(SECONDS)
        return {"y": 2}

    async def fails() -> None:
        raise ValueError

    builder = StateGraph(State).add_sequence([catches, groups]).add_edge(START, "catches")
    assert await builder.compile().ainvoke({}) == {"x": 1, "y": 2}


async def test_a_cancelled_call_of_a_task_is_its_callers_affair() -> None:
    @task
    async def slow() -> None:
        await asyncio.sleep(SECONDS)

    @entrypoint()
    async def whole(given: Any) -> str:
        running = slow()
        await asyncio.sleep(0)
        running.cancel()
        try:
            await running
        except asyncio.CancelledError:
            return "cancelled"
        return "went on"

    assert await whole.ainvoke("x") == "cancelled"


async def test_a_caller_that_is_cancelled_sees_that() -> None:
    run = asyncio.create_task(only(waits).ainvoke({}))
    await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


async def test_leaving_a_stream_waits_for_the_nodes_that_it_stops() -> None:
    ended: list[str] = []

    async def cleans_up(state: State) -> None:
        try:
            await asyncio.sleep(SECONDS)
        finally:
            await asyncio.sleep(0.01)
            ended.append("cleaned up")

    async def quick(state: State) -> State:
        return {"x": 1}

    stream: AsyncIterator[Any] = beside(cleans_up, quick).astream({}, stream_mode="updates")
    async with aclosing(stream) as items:  # type: ignore[type-var]
        async for _ in items:
            break
    assert ended == ["cleaned up"]


# --- nodes that are deaf ------------------------------------------------------------------------


async def catches_all(state: State) -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(SECONDS)


async def catches_everything(state: State) -> None:
    while True:
        with suppress(BaseException):
            await asyncio.sleep(SECONDS)


async def shields(state: State) -> None:
    inner = asyncio.ensure_future(catches_all(state))
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.shield(inner)


async def in_a_graph_inside(state: State) -> None:
    await beside(catches_all, catches_all).ainvoke({})


MAY_END = threading.Event()


def in_a_thread(state: State) -> None:
    MAY_END.wait(SECONDS)


DEAF = [catches_all, catches_everything, shields, in_a_graph_inside, in_a_thread]


@pytest.fixture
async def _thread_ends() -> AsyncIterator[None]:
    """Lets `in_a_thread` go on after the test, while its loop still runs."""
    MAY_END.clear()
    yield
    MAY_END.set()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.05)


async def breaks(state: State) -> None:
    await asyncio.sleep(0.01)
    raise ValueError("its own")


@pytest.mark.usefixtures("short", "_thread_ends")
@pytest.mark.parametrize("node", DEAF, ids=lambda node: str(node.__name__))
@pytest.mark.parametrize("how", ["sibling", "timeout", "run timeout", "caller", "stream", "retry"])
async def test_a_deaf_node_ends_its_run_in_time_and_with_the_cause(
    node: Callable[..., Any], how: str
) -> None:
    async with asyncio.timeout(SECONDS):
        if how == "sibling":
            with pytest.raises(ValueError, match="its own"):
                await beside(node, breaks).ainvoke({})
        elif how == "timeout":
            with pytest.raises(NodeTimeoutError):
                await only(node, timeout=0.05).ainvoke({})
        elif how == "retry":
            policy = RetryPolicy(max_attempts=2, initial_interval=0, jitter=False)
            with pytest.raises(NodeTimeoutError):
                await only(node, timeout=0.05, retry_policy=policy).ainvoke({})
        elif how == "run timeout":
            builder = StateGraph(State).add_node("node", node).add_edge(START, "node")
            with pytest.raises(RunTimeoutError):
                await builder.compile(timeout=0.05).ainvoke({})
        elif how == "caller":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(only(node).ainvoke({}), 0.05)
        else:
            async with aclosing(only(node).astream({}, stream_mode="debug")) as items:  # type: ignore[type-var]
                async for _ in items:
                    break


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("node", [catches_all, catches_everything], ids=["some", "all"])
def test_the_loop_does_not_wait_for_a_deaf_node_at_its_end(node: Callable[..., Any]) -> None:
    with pytest.raises(NodeTimeoutError):
        only(node, timeout=0.05).invoke({})


@pytest.mark.usefixtures("short")
async def test_what_a_deaf_node_gives_in_the_end_changes_nothing() -> None:
    may_end, journal = asyncio.Event(), MemoryJournal()

    async def late(state: State) -> State:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()
        return {"x": "late"}

    with pytest.raises(ValueError, match="its own"):
        await beside(late, breaks).ainvoke({}, thread_id="t", journal=journal)
    (newest, *_) = await journal.history("t")
    before = await journal.events(newest.run_id)
    may_end.set()
    while stopping.abandoned(asyncio.get_running_loop()):
        await asyncio.sleep(0.01)
    assert await journal.events(newest.run_id) == before


async def test_a_node_that_ends_late_has_still_run_out_of_time() -> None:
    async def late(state: State) -> State:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(SECONDS)
        return {"x": "late"}

    with pytest.raises(NodeTimeoutError):
        await only(late, timeout=0.02).ainvoke({})


async def sleeps(state: State) -> None:
    await asyncio.sleep(SECONDS)


@pytest.mark.parametrize("how", ["timeout", "group"])
async def test_the_code_around_a_graph_may_stop_it(how: str) -> None:
    inner = only(sleeps)

    async def around(state: State) -> State:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                if how == "timeout":
                    await inner.ainvoke({"x": 1})
                async with asyncio.TaskGroup() as group:
                    group.create_task(inner.ainvoke({"x": 1}))
        return {"x": "over"}

    assert await only(around).ainvoke({}) == {"x": "over"}


@pytest.mark.parametrize("how", ["node", "call", "task", "graph"])
async def test_a_stop_that_a_node_inside_passes_over_counts(how: str) -> None:
    began = []

    async def passes_over(state: State) -> State:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(SECONDS)
        return {"x": 1}

    async def follows(state: State) -> None:
        began.append(state)

    inner = StateGraph(State).add_sequence([passes_over, follows])
    graph = inner.add_edge(START, "passes_over").compile()

    async def calls(state: State) -> Any:
        return await graph.ainvoke(state)

    async def calls_a_task(state: State) -> Any:
        return await task(timeout=0.02)(calls)(state)

    nodes: dict[str, Any] = {"node": graph, "call": calls, "task": calls_a_task, "graph": graph}
    own: dict[str, Any] = {"timeout": 0.02} if how in ("node", "call") else {}
    whole: dict[str, Any] = {"timeout": 0.02} if how == "graph" else {}
    builder = StateGraph(State).add_node("node", nodes[how], **own).add_edge(START, "node")
    with pytest.raises(TimeoutError):
        await builder.compile(**whole).ainvoke({})
    assert began == []


@pytest.mark.usefixtures("short")
async def test_a_deaf_node_whose_time_is_over_is_tried_again_and_named() -> None:
    calls = []

    async def deaf(state: State) -> None:
        calls.append(1)
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(SECONDS)

    policy = RetryPolicy(max_attempts=2, initial_interval=0, jitter=False)
    with pytest.raises(NodeTimeoutError, match="Node 'node' took longer"):
        await only(deaf, timeout=0.05, retry_policy=policy).ainvoke({})
    assert len(calls) == 2


@pytest.mark.usefixtures("short")
async def test_a_deaf_node_of_a_graph_that_is_a_node_is_the_one_that_the_log_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def deaf(state: State) -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(SECONDS)

    graph = StateGraph(State).add_node("graph", only(deaf)).add_edge(START, "graph").compile()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(graph.ainvoke({}), 0.05)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("Node 'node' did not end")


async def test_a_task_that_its_node_has_cancelled_is_not_needed() -> None:
    @task
    async def quick() -> int:
        return 1

    @task
    async def slow() -> None:
        await asyncio.sleep(SECONDS)

    async def first(state: State) -> State:
        done, left = await asyncio.wait([quick(), slow()], return_when="FIRST_COMPLETED")
        for one in left:
            one.cancel()
        return {"x": [one.result() for one in done]}

    assert await only(first).ainvoke({}) == {"x": [1]}
