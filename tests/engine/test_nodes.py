"""Nodes: how they are called, what they may answer, and what becomes of what they raise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict

import pytest

from runs.engine import (
    START,
    Context,
    InvalidUpdateError,
    NodeTimeoutError,
    NotStorableError,
    RetryPolicy,
    StateGraph,
    SyncContext,
)
from runs.engine.errors import NodeCancelledError


class State(TypedDict, total=False):
    x: Any
    y: Any


class Private(TypedDict):
    secret: int


def only(node: Callable[..., Any], **options: Any) -> Any:
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node").compile()


class Callme:
    def __init__(self, word: str) -> None:
        self.word = word

    async def __call__(self, state: State) -> State:
        return {"x": self.word}

    def method(self, state: State, config: Any = None) -> State:
        return {"x": config["metadata"]["langgraph_node"]}


async def with_context(state: State, ctx: Context) -> State:
    return {"x": (type(ctx).__name__, ctx.node, ctx.step_number, ctx.attempt)}


def with_sync_context(state: State, runtime: SyncContext) -> State:
    return {"x": (type(runtime).__name__, runtime.node, runtime.step_number)}


def three_arguments(state: State, config: Any, runtime: SyncContext) -> State:
    return {"x": (config["recursion_limit"], runtime.node)}


def by_keyword(state: State, *, config: Any, writer: Any, other: int = 3) -> State:
    writer("hello")
    return {"x": (config["metadata"]["langgraph_step"], other)}


async def partially(word: str, state: State) -> State:
    return {"x": word}


@pytest.mark.parametrize(
    ("node", "x"),
    [
        (lambda state: {"x": 1}, 1),
        (lambda *args: {"x": (len(args),)}, (1,)),
        (Callme("called"), "called"),
        (Callme("").method, "node"),
        (partial(partially, "partial"), "partial"),
        (with_context, ("Context", "node", 1, 1)),
        (with_sync_context, ("SyncContext", "node", 1)),
        (by_keyword, (1, 3)),
        (three_arguments, (10_000, "node")),
        (lambda state, extra=5: {"x": extra}, 5),
    ],
)
def test_ways_to_be_called(node: Callable[..., Any], x: object) -> None:
    assert only(node).invoke({"x": 0}) == {"x": x}


@pytest.mark.parametrize(
    ("answer", "final"),
    [(None, {"x": 0}), ({}, {"x": 0}), ([{"x": 1}, {"y": 2}], {"x": 1, "y": 2}), ([], {"x": 0})],
)
def test_ways_to_answer(answer: Any, final: State) -> None:
    assert only(lambda state: answer).invoke({"x": 0}) == final


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"z": 1}, InvalidUpdateError, "'node' wrote to 'z', .* Its keys are 'x', 'y'"),
        (7, InvalidUpdateError, "'node' gave a int; give a dict"),
        ("x", InvalidUpdateError, "'node' gave a str"),
        ({"x": object()}, NotStorableError, "'x' of node 'node': A builtins.object cannot"),
        ({"x": [1, {"k": object()}]}, NotStorableError, r"object at \[1\]\.k cannot be stored"),
    ],
)
def test_answers_that_are_refused(answer: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        only(lambda state: answer).invoke({"x": 0})


def test_input_that_is_refused() -> None:
    with pytest.raises(InvalidUpdateError, match=r"The input wrote to 'z'.*'x', 'y'"):
        only(lambda state: None).invoke({"z": 1})


class Odd(BaseException):
    pass


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ValueError("bad"), ValueError),
        (KeyboardInterrupt("x"), KeyboardInterrupt),
        (SystemExit(3), SystemExit),
        (Odd("x"), Odd),
        (asyncio.CancelledError("mine"), NodeCancelledError),
        (GeneratorExit(), GeneratorExit),
        (TimeoutError("its own"), TimeoutError),
        (StopIteration(4), RuntimeError),
    ],
)
@pytest.mark.parametrize("siblings", [0, 1])
async def test_whatever_a_node_raises_comes_out(
    is_async: bool, raised: BaseException, expected: type[BaseException], siblings: int
) -> None:
    def node(state: State) -> None:
        raise raised

    async def anode(state: State) -> None:
        raise raised

    builder = StateGraph(State).add_node("node", anode if is_async else node)
    builder.add_edge(START, "node")
    for number in range(siblings):
        builder.add_node(f"s{number}", lambda state: None).add_edge(START, f"s{number}")
    # In a task of its own: what comes out must not be mistaken for this test being cancelled.
    outcome = (
        await asyncio.gather(builder.compile().ainvoke({"x": 1}), return_exceptions=True)
        if expected not in (KeyboardInterrupt, SystemExit)
        else [await caught(builder.compile())]
    )
    assert isinstance(outcome[0], expected)


async def caught(graph: Any) -> BaseException | None:
    try:
        await graph.ainvoke({"x": 1})
    except BaseException as error:
        return error
    return None


async def test_a_sibling_is_stopped_when_a_node_fails() -> None:
    stopped = asyncio.Event()
    begun = asyncio.Event()

    async def waits(state: State) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def fails(state: State) -> None:
        await begun.wait()
        raise ValueError("bad")

    builder = StateGraph(State).add_node(waits).add_node(fails)
    graph = builder.add_edge(START, "waits").add_edge(START, "fails").compile()
    with pytest.raises(ValueError, match="bad"):
        await graph.ainvoke({"x": 1})
    assert stopped.is_set()


async def test_cancelling_the_run_stops_the_node() -> None:
    begun = asyncio.Event()
    seen: list[str] = []

    async def waits(state: State) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    run = asyncio.create_task(
        only(waits, retry_policy=RetryPolicy(retry_on=Exception)).ainvoke({"x": 1})
    )
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert seen == ["cancelled"]


async def test_a_timeout_names_the_node_and_can_be_retried() -> None:
    tries: list[int] = []

    async def slow(state: State) -> State:
        tries.append(len(tries))
        if len(tries) < 2:
            await asyncio.Event().wait()
        return {"x": len(tries)}

    with pytest.raises(NodeTimeoutError, match=r"'node' took longer than its timeout of 0\.01 s"):
        await only(slow, timeout=0.01).ainvoke({"x": 0})
    tries.clear()
    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=NodeTimeoutError)
    graph = only(slow, timeout=0.5, retry_policy=policy)
    assert await graph.ainvoke({"x": 0}) == {"x": 2}


def test_the_input_can_be_of_fewer_keys_and_the_output_too() -> None:
    class Given(TypedDict):
        x: int

    class Told(TypedDict):
        y: int

    def node(state: State) -> State:
        return {"y": state["x"] + 1}

    builder = StateGraph(State, input_schema=Given, output_schema=Told)
    graph = builder.add_node(node).add_edge(START, "node").compile()
    assert graph.invoke({"x": 1}) == {"y": 2}
    with pytest.raises(InvalidUpdateError, match="'y'"):
        graph.invoke({"y": 1})


def test_a_node_sees_the_keys_of_its_own_type_and_may_keep_private_ones() -> None:
    def first(state: State) -> dict[str, int]:
        return {"secret": 41}

    def second(state: Private) -> State:
        assert set(state) == {"secret"}
        return {"y": state["secret"] + 1}

    builder = StateGraph(State).add_sequence([first, second])
    assert builder.add_edge(START, "first").compile().invoke({"x": 1}) == {"x": 1, "y": 42}
