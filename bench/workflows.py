"""Workflows that only measurements use."""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from runs.engine import END, START, StateGraph
from runs.workflows import register


class Log(TypedDict, total=False):
    lines: Annotated[list[str], operator.add]
    left: int


async def append(state: Log) -> Log:
    return {"lines": ["x" * 1000], "left": state["left"] - 1}


def more(state: Log) -> str:
    return "append" if state["left"] else END


graph = StateGraph(Log).add_node("append", append).add_edge(START, "append")
register("bench_append", graph.add_conditional_edges("append", more, ["append", END]).compile())
