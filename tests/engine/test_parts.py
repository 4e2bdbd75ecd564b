"""Steps, tasks and graphs beside a question are done once, whatever stops them for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypedDict

import pytest

from runs.engine import START, Command, CompiledGraph, Context, StateGraph, interrupt, task
from runs.engine.concurrency import stopping

DONE: list[str] = []


class State(TypedDict, total=False):
    got: Any


def only(node: Any) -> CompiledGraph:
    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile()


async def ask(text: str) -> Any:
    await asyncio.sleep(0.01)
    return interrupt(text)


def charge_sync(given: Any = None) -> dict[str, str]:
    DONE.append("charged")
    time.sleep(0.05)
    return {"got": "receipt"}


async def charge(given: Any = None) -> dict[str, str]:
    DONE.append("charged")
    await asyncio.sleep(0.05)
    return {"got": "receipt"}


charge_task, sync_charge_task = task(name="one")(charge), task(name="two")(charge_sync)
graph, sync_graph = only(charge), only(charge_sync)


async def wait_for(begun: Awaitable[Any]) -> Any:
    return await begun


async def by_group(part: Callable[[], Awaitable[Any]]) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(ask("?"))
        made = group.create_task(wait_for(part()))
    return [made.result(), asked.result()]


async def by_group_around(part: Callable[[], Awaitable[Any]]) -> list[Any]:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(ask("?"))
        made = await part()
    return [made, asked.result()]


async def by_gather(part: Callable[[], Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(part(), ask("?")))


PARTS: dict[str, Callable[[Context], Awaitable[Any]]] = {
    "step": lambda ctx: ctx.step("s", charge),
    "sync step": lambda ctx: ctx.step("s", charge_sync),
    "step in a thread": lambda ctx: asyncio.to_thread(ctx.in_thread.step, "s", charge_sync),
    "task": lambda ctx: charge_task(1),
    "sync task": lambda ctx: sync_charge_task(1),
    "graph": lambda ctx: graph.ainvoke({}),
    "sync graph": lambda ctx: sync_graph.ainvoke({}),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("beside", [by_group, by_group_around, by_gather])
async def test_what_a_question_stops_is_done_once(part: str, beside: Any) -> None:
    DONE.clear()

    async def node(state: State, ctx: Context) -> State:
        return {"got": await beside(lambda: PARTS[part](ctx))}

    outer = only(node)
    waiting = await outer.ainvoke({}, thread_id="t")
    assert [one.value for one in waiting["__interrupt__"]] == ["?"]
    done = await outer.ainvoke(Command(resume="yes"), thread_id="t")
    assert done["got"] == [{"got": "receipt"}, "yes"]
    assert DONE == ["charged"]


async def test_what_a_question_stops_has_its_time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.05)

    @task
    async def poll() -> None:
        await asyncio.sleep(60)

    async def node(state: State, ctx: Context) -> State:
        polls = [poll(), asyncio.create_task(ctx.step("s", asyncio.sleep, 60))]
        try:
            return {"got": await ask("?")}
        finally:
            for one in polls:
                one.cancel()

    outer = only(node)
    assert "__interrupt__" in await asyncio.wait_for(outer.ainvoke({}, thread_id="t"), 10)
    assert await outer.ainvoke(Command(resume=1), thread_id="t") == {"got": 1}


@pytest.mark.parametrize("nodes", [1, 2])
async def test_a_run_that_is_stopped_stops_what_a_question_did_not(
    nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 60)
    waits = asyncio.Event()

    async def slow() -> None:
        waits.set()
        await asyncio.sleep(60)

    async def node(state: State, ctx: Context) -> State:
        return {"got": await by_group(lambda: ctx.step("s", slow))}

    builder = StateGraph(State)
    for number in range(nodes):
        builder.add_node(f"n{number}", node).add_edge(START, f"n{number}")
    running = asyncio.ensure_future(builder.compile().ainvoke({}))
    await waits.wait()
    for _ in range(100):  # turns of the loop, in which the question stops the group
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)


async def test_an_error_in_a_group_stops_its_parts_at_once() -> None:
    stopped = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async def fails() -> None:
        await asyncio.sleep(0.01)
        raise LookupError

    async def node(state: State, ctx: Context) -> State:
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.step("s", slow))
            group.create_task(fails())
        return {}

    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(only(node).ainvoke({}), 10)
    assert stopped.is_set()


async def test_a_line_that_goes_on_without_its_answer_does_nothing_more() -> None:
    DONE.clear()

    async def one(word: str) -> str:
        DONE.append(word)
        return word

    async def line(ctx: Context) -> list[Any]:
        answers: list[Any] = list(await asyncio.gather(ask("?"), return_exceptions=True))
        with suppress(BaseException):
            answers.append(await ctx.step("s", one, "first"))
        await asyncio.sleep(0.05)
        return [*answers, await ctx.step("s", one, "second")]

    async def node(state: State, ctx: Context) -> State:
        lines: list[Any] = list(await asyncio.gather(line(ctx), return_exceptions=True))
        return {"got": lines[0]}

    outer = only(node)
    assert "__interrupt__" in await outer.ainvoke({}, thread_id="t")
    assert not DONE
    done = await outer.ainvoke(Command(resume="yes"), thread_id="t")
    assert done["got"] == ["yes", "first", "second"] and DONE == ["first", "second"]
