"""Workflows that show what the bundled ones do not: waiting, sleeping, equal names, great sizes.

A node with a gate goes on when the test makes a file of the gate's name in GATES, so that it can
look at the page before and after.
"""

from __future__ import annotations

import asyncio
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

from runs.engine import END, START, Context, Send, StateGraph, interrupt, task
from runs.workflows import register
from tests.e2e.cases import GATES, LONG, RTL


class State(TypedDict, total=False):
    gate: str
    count: int
    big: Any
    log: Annotated[list[Any], operator.add]


async def passed(gate: str) -> None:
    """Returns when the test has opened the gate."""
    while gate and not (Path(os.environ[GATES]) / gate).exists():
        await asyncio.sleep(0.05)


def single(node: Callable[..., Any], name: str) -> Any:
    return StateGraph(State).add_node(name, node).add_edge(START, name).compile()


async def asks(state: State) -> State:
    await passed(state["gate"])
    return {"log": [interrupt("Go on?")]}


async def asks_much(state: State) -> State:
    """With more than a frame may have."""
    return {"log": [interrupt({"text": "Read all of this.", "pages": ["x" * 100_000] * 20})]}


async def sleeps(state: State, ctx: Context) -> State:
    await passed(state["gate"])
    await ctx.sleep(3600)
    return {}


async def sleeps_later(state: State, ctx: Context) -> State:
    await passed(f"{state['gate']} asleep")
    await ctx.sleep(3600)
    return {}


async def first(state: State) -> State:
    await passed(state["gate"])
    return {"log": ["first"]}


async def nothing(state: State) -> State:
    return {}


async def fails(state: State) -> State:
    await passed(state["gate"])
    raise ValueError("as it should")


@task(name="called")
async def call(gate: str) -> str:
    await passed(gate)
    return "done"


async def calls(state: State) -> State:
    return {"log": [await call(state["gate"])]}


async def emits(state: State, ctx: Context) -> State:
    for number in range(state["count"]):
        ctx.emit({"number": number})
        if number % 500 == 0:
            await asyncio.sleep(0)
    return {"big": {f"key {n}": "x" * 1000 for n in range(300)}}


def two(**nodes: Any) -> Any:
    """A chain of the nodes."""
    graph = StateGraph(State)
    for before, (name, node) in zip([START, *nodes], nodes.items(), strict=False):
        graph.add_node(name, node).add_edge(before, name)
    return graph.compile()


def routers(count: int) -> Any:
    """A chain of nodes that may each go to any other, as far as the graph says."""
    graph = StateGraph(State)
    for n in range(count):
        graph.add_node(f"n{n}", nothing)
        if n == 0:
            graph.add_edge(START, "n0")
        if n < count - 1:
            graph.add_conditional_edges(f"n{n}", lambda state, n=n: f"n{n + 1}")
    return graph.compile()


def exits(count: int) -> Any:
    """A chain of nodes that may each end the run: slow to lay out, and small enough to be drawn."""
    graph = StateGraph(State)
    names = [f"n{n}" for n in range(count)]
    for before, name in zip([START, *names], names, strict=False):
        graph.add_node(name, nothing).add_edge(before, name)
        graph.add_conditional_edges(name, lambda state: [], [END])
    return graph.compile()


def fan_out() -> Any:
    graph = StateGraph(State)
    graph.add_node("work", first).add_node("last", nothing)
    graph.add_conditional_edges(START, lambda state: [Send("work", state)] * 3, ["work"])
    return graph.add_edge("work", "last").compile()


register("asks", single(asks, "ask"))
register("asks_much", single(asks_much, "ask"))
register("sleeps", single(sleeps, "nap"))
register("asks_and_sleeps", two(ask=asks, nap=sleeps_later))
register("steps_twice", two(one=first, two=nothing, three=nothing))
register("same_names", two(sub=single(first, "work"), work=nothing))
register("fails_inside", two(sub=single(fails, "work"), work=nothing))
register("calls_a_task", two(outer=calls, called=nothing))
register("fans_out", fan_out())
register("exits_60", exits(60))
register("routers_40", routers(40))
register("routers_72", routers(72))
register("emits", single(emits, "emit"))
register(LONG[:60], two(**{RTL: nothing, LONG[:80]: nothing}))
