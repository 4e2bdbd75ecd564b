"""Decorators: what a wrapped node or router is, its outermost function decides."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import Any, TypedDict

import pytest

from runs.engine import START, StateGraph, entrypoint, task


class State(TypedDict, total=False):
    x: Any


def plain(state: Any, ctx: Any = None) -> Any:
    return {"x": ctx.step("s", lambda: 7) if ctx else 7}


async def later(state: Any, ctx: Any = None) -> Any:
    return {"x": await ctx.step("s", lambda: 7) if ctx else 7}


def passes_on(function: Any) -> Any:
    @wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def made_async(function: Any) -> Any:
    @wraps(function)
    async def wrapper(*args: Any) -> Any:
        return await asyncio.to_thread(function, *args[:1])

    return wrapper


def made_sync(function: Any) -> Any:
    @wraps(function)
    def wrapper(*args: Any) -> Any:
        return asyncio.run(function(*args[:1]))

    return wrapper


WRAPPED = [passes_on(plain), passes_on(later), made_async(plain), made_sync(later)]
IDS = ["sync, sync", "sync, hides async", "async around sync", "sync around async"]


@pytest.mark.parametrize("node", WRAPPED, ids=IDS)
def test_a_wrapped_node(node: Any) -> None:
    graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile()
    assert graph.invoke({}) == {"x": 7}


@pytest.mark.parametrize("function", WRAPPED, ids=IDS)
def test_a_wrapped_task(function: Any) -> None:
    wrapped = task(function)

    @entrypoint()
    async def flow(given: Any) -> Any:
        return await wrapped(given)

    assert flow.invoke(1) == {"x": 7}


def leads(state: Any) -> str:
    return "end"


async def leads_later(state: Any) -> str:
    return "end"


@pytest.mark.parametrize(
    "route",
    [passes_on(leads), passes_on(leads_later), made_async(leads)],
    ids=["sync, sync", "sync, hides async", "async around sync"],
)
def test_a_wrapped_router(route: Any) -> None:
    builder = StateGraph(State).add_node("node", lambda s: None)
    builder.add_node("end", lambda s: {"x": "end"}).add_edge(START, "node")
    graph = builder.add_conditional_edges("node", route, ["end"]).compile()
    assert graph.invoke({}) == {"x": "end"}
