"""The error that a caller gets has the cause and the context that the user's code gave it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, TypedDict

import pytest

from runs.engine import START, CompiledGraph, Context, RetryPolicy, StateGraph, entrypoint, task


class State(TypedDict, total=False):
    x: Any


def only(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node").compile()


def from_another(state: State) -> State:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second") from error


async def async_from_another(state: State) -> State:
    return from_another(state)


def while_another(state: State) -> State:
    try:
        raise KeyError("first")
    except KeyError:
        raise ValueError("second")  # noqa: B904 (the context is what is tested)


def exits(state: State) -> State:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise SystemExit("second") from error


async def in_a_step(state: State, ctx: Context) -> State:
    await ctx.step("step", from_another, state)
    return {}


async def in_a_graph(state: State) -> Any:
    return await only(from_another).ainvoke(state)


@task
def in_a_task() -> None:
    from_another({})


@entrypoint()
async def in_an_entrypoint(given: object) -> None:
    await in_a_task()


def routed() -> CompiledGraph:
    builder = StateGraph(State).add_node("node", lambda state: None).add_edge(START, "node")
    return builder.add_conditional_edges("node", from_another, ["node"]).compile()


TWICE = RetryPolicy(max_attempts=2, initial_interval=0, jitter=False, retry_on=ValueError)

GRAPHS: dict[str, Callable[[], Any]] = {
    "sync": lambda: only(from_another),
    "async": lambda: only(async_from_another),
    "context": lambda: only(while_another),
    "exits": lambda: only(exits),
    "timeout": lambda: only(async_from_another, timeout=60),
    "retried": lambda: only(from_another, retry_policy=TWICE),
    "step": lambda: only(in_a_step),
    "called graph": lambda: only(in_a_graph),
    "subgraph": lambda: only(only(from_another)),
    "task": lambda: in_an_entrypoint,
    "router": routed,
}


@pytest.mark.parametrize("name", GRAPHS)
async def test_an_error_comes_out_with_its_own_cause_and_context(name: str) -> None:
    graph = GRAPHS[name]()
    with pytest.raises(BaseException, match="second") as invoked:
        await graph.ainvoke({})
    with pytest.raises(BaseException, match="second") as streamed:
        async for _ in graph.astream({}):
            pass
    for error in (invoked.value, streamed.value):
        assert isinstance(error.__context__, KeyError)
        assert (error.__cause__ is None) is (name == "context")
        assert "KeyError: 'first'" in "".join(traceback.format_exception(error))


async def test_a_retry_on_may_go_by_the_cause_of_an_error_that_a_graph_inside_raised() -> None:
    calls: list[int] = []

    async def node(state: State) -> Any:
        calls.append(1)
        return await only(from_another).ainvoke(state, thread_id="another")

    policy = RetryPolicy(
        max_attempts=3,
        initial_interval=0,
        jitter=False,
        retry_on=lambda error: isinstance(error.__cause__, KeyError),
    )
    with pytest.raises(ValueError, match="second"):
        await only(node, retry_policy=policy).ainvoke({})
    assert len(calls) == 3


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_stop_iteration_keeps_its_place_in_the_code(is_async: bool) -> None:
    def first_of_none(state: State) -> State:
        return {"x": next(iter(()))}

    async def async_first_of_none(state: State) -> State:
        return {"x": next(iter(()))}

    with pytest.raises(RuntimeError) as caught:
        await only(async_first_of_none if is_async else first_of_none).ainvoke({})
    assert isinstance(caught.value.__cause__, StopIteration)
    assert "first_of_none" in "".join(traceback.format_exception(caught.value))
