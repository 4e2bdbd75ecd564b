"""A thread of a workflow as a function: streamed, looked at and edited as in LangGraph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import langgraph.func
import langgraph.types
import pytest
from langgraph.checkpoint.memory import InMemorySaver

from runs import engine
from tests.engine.differential.test_streams import plain

CONFIG: Any = {"configurable": {"thread_id": "t"}}


@dataclass(frozen=True, kw_only=True)
class Functions:
    func: Any
    interrupt: Callable[[Any], Any]
    Command: Any
    saver: Callable[[], Any]


OURS = Functions(
    func=engine, interrupt=engine.interrupt, Command=engine.Command, saver=engine.MemoryJournal
)
THEIRS = Functions(
    func=langgraph.func,
    interrupt=langgraph.types.interrupt,
    Command=langgraph.types.Command,
    saver=InMemorySaver,
)
both = pytest.mark.parametrize("lib", [OURS, THEIRS], ids=["fastgraph", "langgraph"])


def adding(lib: Functions) -> Any:
    """Adds up what it is given, asks when that is 0, and answers with ten times as much."""

    @lib.func.task()  # type: ignore[untyped-decorator]
    async def known(n: int) -> int:
        return n or int(lib.interrupt("how much?"))

    @lib.func.entrypoint(checkpointer=lib.saver())  # type: ignore[untyped-decorator]
    async def add(n: int, *, previous: int | None = None) -> Any:
        total = await known(n) + (previous or 0)
        return lib.func.entrypoint.final(value=total * 10, save=total)

    return add


async def streamed(flow: Any, given: Any, mode: str) -> list[Any]:
    return [plain(item) async for item in flow.astream(given, CONFIG, stream_mode=mode)]


@both
async def test_the_values_are_what_it_returned(lib: Functions) -> None:
    add = adding(lib)
    assert await streamed(add, 1, "values") == [10]
    assert await streamed(add, 2, "values") == [30]
    (asked,) = await streamed(add, 0, "values")
    assert list(asked) == ["__interrupt__"]
    assert await streamed(add, lib.Command(resume=3), "values") == [30, 60]
    assert await streamed(add, None, "values") == [60]


@pytest.mark.parametrize("mode", ["checkpoints", "tasks", "debug"])
async def test_what_is_shown_of_a_thread(mode: str) -> None:
    def without_channels(shown: Any) -> Any:
        """LangGraph shows results under the names of channels of its own."""
        told = shown.get("payload", shown)
        result = told.get("result")
        if isinstance(result, dict):
            (told["result"],) = result.values()
        return shown

    here, there = adding(OURS), adding(THEIRS)
    for number in (1, 2):
        shows = [await streamed(flow, number, mode) for flow in (here, there)]
        ours, theirs = ([without_channels(one) for one in shown] for shown in shows)
        for one in (*ours, *theirs) if mode != "tasks" else ():
            one.pop("metadata", None)
            one.get("payload", {}).pop("metadata", None)
            one.pop("step", None)  # LangGraph counts from -1
        assert ours == theirs


async def _looked_at(flow: Any) -> Any:
    state = await flow.aget_state(CONFIG)
    tasks = [(one.name, [i.value for i in one.interrupts], one.result) for one in state.tasks]
    return state.values, state.next, tasks


@both
async def test_where_a_thread_stands(lib: Functions) -> None:
    add = adding(lib)
    assert await _looked_at(add) == ({}, (), [])
    await add.ainvoke(0, CONFIG)
    assert await _looked_at(add) == (None, ("add",), [("add", ["how much?"], None)])
    await add.ainvoke(lib.Command(resume=4), CONFIG)
    assert await _looked_at(add) == (40, (), [])
    history = [state async for state in add.aget_state_history(CONFIG)]
    assert [(state.values, state.next) for state in history] == [(40, ()), (None, ("add",))]
    assert (await add.aget_state(history[1].config)).values is None


@both
async def test_an_edit_is_what_the_function_had_returned(lib: Functions) -> None:
    add = adding(lib)
    await add.ainvoke(1, CONFIG)
    await add.aupdate_state(CONFIG, 100)
    assert await _looked_at(add) == (100, (), [])
    assert await add.ainvoke(1, CONFIG) == 1010
    await add.aupdate_state(CONFIG, lib.func.entrypoint.final(value=7, save=5), "add")
    assert (await add.aget_state(CONFIG)).values == 7
    assert await add.ainvoke(1, CONFIG) == 60
    for node in ("other", "__start__", "__end__"):
        with pytest.raises(Exception, match=node) as refused:
            await add.aupdate_state(CONFIG, 1, node)
        assert type(refused.value).__name__ == "InvalidUpdateError"


@both
def test_scripts_look_and_edit_too(lib: Functions) -> None:
    @lib.func.entrypoint(checkpointer=lib.saver())  # type: ignore[untyped-decorator]
    def count(n: int, previous: int | None) -> int:
        return n + (previous or 0)

    assert [count.invoke(1, CONFIG), count.invoke(2, CONFIG)] == [1, 3]
    count.update_state(CONFIG, 10)
    assert count.get_state(CONFIG).values == 10
    assert [state.values for state in count.get_state_history(CONFIG)] == [10, 3, 1, 1, None]
    assert [state.values for state in count.get_state_history(CONFIG, limit=1)] == [10]
    assert count.invoke(1, CONFIG) == 11


async def test_a_task_may_have_the_name_of_the_function_around() -> None:
    @engine.task(name="same")
    async def inner(n: int) -> int:
        return n + 1

    @engine.entrypoint()
    async def same(n: int) -> int:
        return int(await inner(n)) * 2

    assert [one async for one in same.astream(1)] == [{"same": 2}, {"same": 4}]
    shown = [one["result"] async for one in same.astream(1, stream_mode="tasks") if "result" in one]
    assert shown == [2, 4]
