"""Workflows that only measurements use."""

from __future__ import annotations

import asyncio
import operator
import os
import time
from typing import Annotated, TypedDict

from runs.engine import END, START, Context, StateGraph
from runs.workflows import register


class Log(TypedDict, total=False):
    lines: Annotated[list[str], operator.add]
    left: int


async def append(state: Log) -> Log:
    return {"lines": [os.urandom(500).hex()], "left": state["left"] - 1}


def more(state: Log) -> str:
    return "append" if state["left"] else END


graph = StateGraph(Log).add_node("append", append).add_edge(START, "append")
register("bench_append", graph.add_conditional_edges("append", more, ["append", END]).compile())


class Ticks(TypedDict, total=False):
    count: int
    interval: float


async def tick(state: Ticks, ctx: Context) -> Ticks:
    """Emit at fixed times, however late the last one was. `t_ns` is when it was due, so that what
    this worker is late by counts as well."""
    begin = time.time_ns()
    for number in range(state["count"]):
        due = begin + int(number * state["interval"] * 1e9)
        await asyncio.sleep(max(0, due - time.time_ns()) / 1e9)
        ctx.emit({"i": number, "t_ns": due})
    return {}


ticks = StateGraph(Ticks).add_node("tick", tick).add_edge(START, "tick").add_edge("tick", END)
register("bench_ticks", ticks.compile())
