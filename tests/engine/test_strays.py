"""A question that is asked where nobody knows its node, or where there is none, is never passed
over: what runs fails, and says why."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    END,
    START,
    CachePolicy,
    CompiledGraph,
    InMemoryCache,
    RetryPolicy,
    StateGraph,
    entrypoint,
    interrupt,
    task,
)


class State(TypedDict, total=False):
    got: Any


def only(node: Any, **options: Any) -> CompiledGraph:
    graph = StateGraph(State).add_node("n", node, **options).add_edge(START, "n")
    return graph.compile(cache=InMemoryCache())


def swallowed(*_: Any) -> Any:
    with contextlib.suppress(BaseException):
        interrupt("?")
    return "swallowed"


def in_a_thread(state: Any) -> Any:
    thread = threading.Thread(target=swallowed)
    thread.start()
    thread.join()
    return {"got": "went on"}


def in_a_pool(state: Any) -> Any:
    with ThreadPoolExecutor() as pool:
        return {"got": str(pool.submit(interrupt, "?").exception())}


async def in_the_executor_of_the_loop(state: Any) -> Any:
    asked = asyncio.get_running_loop().run_in_executor(None, interrupt, "?")
    return {"got": str(await asyncio.gather(asked, return_exceptions=True))}


async def in_a_task_without_the_context(state: Any) -> Any:
    async def ask() -> Any:
        return swallowed()

    task = asyncio.get_running_loop().create_task(ask(), context=contextvars.Context())
    return {"got": await task}


@task
def recorded() -> str:
    return "recorded"


def a_task_in_a_thread(state: Any) -> Any:
    with ThreadPoolExecutor() as pool:
        return {"got": str(pool.submit(recorded).exception())}


@pytest.mark.parametrize(
    "node",
    [
        in_a_thread,
        in_a_pool,
        in_the_executor_of_the_loop,
        in_a_task_without_the_context,
        a_task_in_a_thread,
    ],
    ids=lambda node: node.__name__,
)
async def test_a_question_without_the_context_of_its_node_fails_the_node(node: Any) -> None:
    with pytest.raises(RuntimeError, match="copy_context"):
        await only(node).ainvoke({}, thread_id="t")


async def test_a_question_without_its_context_in_a_task_fails_the_run() -> None:
    @task
    def ask() -> Any:
        return in_a_thread({})

    @entrypoint()
    async def flow(given: Any) -> Any:
        with contextlib.suppress(RuntimeError):
            await ask()
        return "went on"

    with pytest.raises(RuntimeError, match="copy_context"):
        await flow.ainvoke({}, thread_id="t")


async def test_of_several_runs_none_is_blamed_and_the_log_names_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    both, over = threading.Barrier(2), threading.Event()

    def waits(state: Any) -> Any:
        both.wait(10)
        over.wait(10)
        return {"got": "mine"}

    def asks(state: Any) -> Any:
        both.wait(10)
        found = in_a_pool(state)
        over.set()
        return found

    with caplog.at_level(logging.ERROR, "fastgraph.node"):
        other, asker = await asyncio.gather(only(waits).ainvoke({}), only(asks).ainvoke({}))
    assert other["got"] == "mine"
    assert "copy_context" in asker["got"]
    assert "'n'" in caplog.text


async def test_a_question_of_no_node_leaves_the_next_run_alone() -> None:
    swallowed()
    assert await only(lambda s: {"got": 1}).ainvoke({}) == {"got": 1}


def with_a_reducer(reduce: Callable[[Any, Any], Any], routed: bool) -> CompiledGraph:
    schema: Any = TypedDict("schema", {"got": Annotated[list[Any], reduce]})
    builder = StateGraph(schema).add_node("n", lambda s: {"got": [1]}).add_edge(START, "n")
    if routed:
        builder.add_conditional_edges("n", lambda s: END, [END])
    return builder.compile()


@pytest.mark.parametrize("routed", [False, True], ids=["at the end", "for a router"])
async def test_a_question_in_a_reducer_fails_the_run_also_when_it_is_caught(routed: bool) -> None:
    def reduce(old: Any, new: Any) -> Any:
        swallowed()
        return new

    with pytest.raises(RuntimeError, match="reducer"):
        await with_a_reducer(reduce, routed).ainvoke({"got": []}, thread_id="t")


async def test_a_question_in_the_reducer_of_a_graph_inside_fails_the_run() -> None:
    def reduce(old: Any, new: Any) -> Any:
        swallowed()
        return new

    inner = with_a_reducer(reduce, False)

    async def n(state: Any) -> Any:
        return {"got": await inner.ainvoke({"got": []})}

    with pytest.raises(RuntimeError, match="reducer"):
        await only(n).ainvoke({}, thread_id="t")


async def test_a_question_in_a_key_func_fails_the_run() -> None:
    graph = only(lambda s: {"got": 1}, cache_policy=CachePolicy(key_func=swallowed))
    with pytest.raises(RuntimeError, match="key_func"):
        await graph.ainvoke({}, thread_id="t")


async def test_a_question_in_the_key_func_of_a_task_fails_the_run() -> None:
    @task(cache_policy=CachePolicy(key_func=swallowed))
    async def one() -> int:
        return 1

    @entrypoint(cache=InMemoryCache())
    async def flow(given: Any) -> Any:
        return await one()

    with pytest.raises(RuntimeError, match="key_func"):
        await flow.ainvoke({}, thread_id="t")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_question_in_a_router_of_start_fails_the_run(is_async: bool) -> None:
    async def route_async(state: Any) -> str:
        swallowed()
        return "n"

    def route(state: Any) -> str:
        swallowed()
        return "n"

    builder = StateGraph(State).add_node("n", lambda s: {"got": 1})
    builder.add_conditional_edges(START, route_async if is_async else route, ["n"])
    with pytest.raises(RuntimeError, match="START"):
        await builder.compile().ainvoke({"got": 0}, thread_id="t")


async def test_a_question_in_retry_on_fails_the_run() -> None:
    calls: list[int] = []

    def node(state: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError
        return {"got": "went on"}

    again = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=lambda e: bool(swallowed()))
    with pytest.raises(ConnectionError) as caught:
        await only(node, retry_policy=again).ainvoke({}, thread_id="t")
    assert "retry_on of its RetryPolicy raised RuntimeError" in caught.value.__notes__[0]
