"""Workflows as functions: tasks are recorded, run at once, retried, and may ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runs.engine import (
    START,
    Command,
    InvalidGraphError,
    NodeTimeoutError,
    RetryPolicy,
    StateGraph,
    entrypoint,
    interrupt,
    task,
)

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    CALLS.clear()


@task
async def double(n: int) -> int:
    CALLS.append(n)
    await asyncio.sleep(0)
    return n * 2


@task
def halve(n: int) -> float:
    CALLS.append(n)
    return n / 2


@task
async def ask(question: str) -> str:
    CALLS.append(question)
    return f"{question}{interrupt(question)}"


async def test_tasks_run_at_once_and_give_what_they_return() -> None:
    @entrypoint()
    async def flow(numbers: list[int]) -> list[float]:
        doubled = await asyncio.gather(*(double(n) for n in numbers))
        return [await halve(n) for n in doubled]

    assert await flow.ainvoke([1, 2, 3]) == [1.0, 2.0, 3.0]
    assert CALLS == [1, 2, 3, 2, 4, 6]


def test_in_sync_code_a_task_is_a_future() -> None:
    @entrypoint()
    def flow(n: int) -> list[float]:
        begun = [double(n), halve(n)]
        return [one.result() for one in begun]

    assert flow.invoke(3) == [6, 1.5]


async def test_what_was_done_before_a_question_is_not_done_again() -> None:
    @entrypoint()
    async def flow(n: int) -> list[Any]:
        first = await double(n)
        answer = interrupt("sure?")
        return [first, answer, await double(first)]

    (asked,) = (await flow.ainvoke(2, thread_id="t"))["__interrupt__"]
    assert asked.value == "sure?"
    assert await flow.ainvoke(Command(resume="y"), thread_id="t") == [4, "y", 8]
    assert CALLS == [2, 4]


async def test_tasks_that_ask_at_once() -> None:
    @entrypoint()
    async def flow(n: int) -> list[Any]:
        return list(await asyncio.gather(ask("a"), double(n), ask("b")))

    asked = (await flow.ainvoke(2, thread_id="t"))["__interrupt__"]
    assert [one.value for one in asked] == ["a", "b"]
    (left,) = (await flow.ainvoke(Command(resume={asked[1].id: 2}), thread_id="t"))["__interrupt__"]
    assert left.value == "a"
    assert await flow.ainvoke(Command(resume=1), thread_id="t") == ["a1", 4, "b2"]
    assert CALLS.count(2) == 1


async def test_a_thread_remembers() -> None:
    @entrypoint()
    async def total(n: int, *, previous: int | None = None) -> int:
        return n + (previous or 0)

    @entrypoint()
    async def counted(n: int, *, previous: int | None) -> entrypoint.final[str, int]:
        return entrypoint.final(value=f"{n}", save=(previous or 0) + 1)

    assert [await total.ainvoke(n, thread_id="t") for n in (1, 2, 3)] == [1, 3, 6]
    await counted.ainvoke(1, thread_id="t")
    assert await counted.ainvoke(2, thread_id="t") == "2"
    assert counted.compiled.graph.output_keys == ("result",)
    state = await counted.compiled.journal.load("t")
    assert state is not None
    assert state.chains["previous"][-1].value == b"2"


async def test_a_task_is_retried_and_has_a_timeout() -> None:
    @task(retry_policy=RetryPolicy(initial_interval=0, jitter=False), name="flaky")
    async def flaky() -> int:
        CALLS.append(1)
        if len(CALLS) < 3:
            raise ConnectionError
        return len(CALLS)

    @task(timeout=0.01)
    async def slow() -> None:
        await asyncio.Event().wait()

    @entrypoint()
    async def flow(wait: bool) -> Any:
        return await (slow() if wait else flaky())

    assert await flow.ainvoke(False) == 3
    with pytest.raises(NodeTimeoutError, match="'slow' took longer"):
        await flow.ainvoke(True)


async def test_tasks_are_shown_as_nodes() -> None:
    @entrypoint()
    async def flow(n: int, writer: Any) -> int:
        writer("begun")
        result: int = await double(n)
        return result

    chunks = [c async for c in flow.astream(2, stream_mode=["updates", "custom"])]
    assert chunks == [
        ("custom", "begun"),
        ("updates", {"double": 4}),
        ("updates", {"flow": 4}),
    ]


async def test_a_node_of_a_graph_may_call_tasks() -> None:
    async def node(state: dict[str, Any]) -> dict[str, Any]:
        return {"n": await double(state["n"]), "asked": interrupt("?")}

    class State(dict[str, Any]):
        n: int
        asked: str

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
    await graph.ainvoke({"n": 2}, thread_id="t")
    final = await graph.ainvoke(Command(resume="!"), thread_id="t")
    assert (final["n"], final["asked"], CALLS) == (4, "!", [2])


def test_a_task_outside_of_a_run_is_refused() -> None:
    with pytest.raises(RuntimeError, match="'double' can only be called in an entrypoint"):
        double(1)


def test_an_entrypoint_takes_one_input() -> None:
    with pytest.raises(InvalidGraphError, match="'flow' takes one input"):

        @entrypoint()
        def flow(a: int, b: int) -> None: ...
