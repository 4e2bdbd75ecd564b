"""What cannot work is refused when the graph is built, and not when it runs."""

from __future__ import annotations

import asyncio
import math
import operator
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    EphemeralValue,
    InvalidGraphError,
    NodeTimeoutError,
    StateGraph,
    task,
)


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    x: Any


class Unlike(TypedDict, total=False):
    log: Annotated[list[Any], operator.concat]


class Like(TypedDict, total=False):
    log: list[Any]


def step(state: Any) -> Any:
    return {"x": 1}


def yields(state: Any) -> Any:
    yield {"x": 1}


async def yields_late(state: Any) -> Any:
    yield {"x": 1}


def builder(*names: str, **options: Any) -> Any:
    graph: Any = StateGraph(State)
    for name in names:
        graph.add_node(name, step, **options)
    return graph


def made(decorator: Any, **options: Any) -> Any:
    return decorator(**options)(step)


def annotated(*extras: Any) -> Any:
    return TypedDict("Made", {"x": Annotated[int, *extras]})  # type: ignore[operator]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: builder("a").add_conditional_edges("a", "b"), "edges after 'a' need a function"),
        (lambda: builder("a").add_edge("a", ["b", "c"]), "leads to one node, not to a list"),
        (lambda: builder("a").add_edge(3, "a"), "3 is not the name of a node"),
        (lambda: builder("a").add_edge("a", None), "None is not the name of a node"),
        (lambda: builder().add_node(yields), "'yields' is a generator: return"),
        (lambda: builder().add_node("a", partial(yields_late)), "'a' is a generator: return"),
        (lambda: builder("a", timeout="5"), "'a' has the timeout '5'; give seconds"),
        (lambda: builder("a", timeout=0), "'a' has the timeout 0"),
        (lambda: builder("a", timeout=math.nan), "'a' has the timeout nan"),
        (lambda: builder("a", timeout=True), "'a' has the timeout True"),
        (lambda: builder("a").add_edge(START, "a").compile(timeout="x"), "has the timeout 'x'"),
        (lambda: builder("a", cache_policy=5), "'a' has the cache_policy 5; give a CachePolicy"),
        (lambda: builder("a", retry_policy=3), "'a' has the retry_policy 3; give a RetryPolicy"),
        (lambda: builder("a", retry_policy=[3]), "give a RetryPolicy, or a list of them"),
        (lambda: made(task, timeout="x"), "Task 'step' has the timeout 'x'"),
        (lambda: made(task, retry_policy=3), "Task 'step' has the retry_policy 3"),
        (lambda: made(task, cache_policy=3), "Task 'step' has the cache_policy 3"),
        (lambda: StateGraph(annotated(lambda a: a)), "reducer of key 'x' .*takes two values"),
        (lambda: StateGraph(State, input_schema=Unlike), "Key 'log' is merged in two ways"),
        (
            lambda: builder("a").add_node("b", step, input_schema=Unlike),
            "Unlike annotates it otherwise",
        ),
    ],
)
def test_what_cannot_work_is_refused(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidGraphError, match=words):
        build()


def test_a_schema_may_leave_the_reducer_to_another() -> None:
    graph = StateGraph(State, input_schema=Like).add_node(step).add_edge(START, "step")
    assert graph.compile().invoke({"log": [1]}) == {"log": [1], "x": 1}


@pytest.mark.parametrize("channel", [EphemeralValue, EphemeralValue(int)])  # type: ignore[arg-type]
def test_a_channel_may_be_a_class_or_an_object(channel: Any) -> None:
    graph = StateGraph(annotated(channel)).add_node("a", step).add_node("b", lambda s: None)
    final = graph.add_edge(START, "a").add_edge("a", "b").compile().invoke({})
    assert final == {}, "its value is gone after the next superstep"


async def test_a_timeout_may_be_a_timedelta() -> None:
    async def waits(state: State) -> None:
        await asyncio.Event().wait()

    graph = StateGraph(State).add_node("a", waits, timeout=timedelta(milliseconds=10))
    with pytest.raises(NodeTimeoutError, match=r"timeout of 0\.01 s"):
        await graph.add_edge(START, "a").compile().ainvoke({})


GO: Command[Any] = Command(goto="lost")


def test_a_node_that_nothing_leads_to_is_refused_where_none_can_choose() -> None:
    def plain(state):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        return {"log": [len(state["log"])], "x": str(max(1, 2))}

    graph = StateGraph(State).add_node("a", plain).add_node("lost", step).add_edge(START, "a")
    with pytest.raises(InvalidGraphError, match="Nothing leads to node 'lost'"):
        graph.compile()


def test_a_node_without_annotations_may_lead_anywhere() -> None:
    here: Command[Any] = Command(goto="lost")
    leads: list[Callable[..., Any]] = [
        lambda s: GO,
        lambda s: here,
        lambda s: (lambda: GO)(),
    ]
    for lead in leads:
        graph = StateGraph(State).add_node("a", lead).add_node("lost", step).add_edge(START, "a")
        assert graph.compile().invoke({}) == {"log": [], "x": 1}
