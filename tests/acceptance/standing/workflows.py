"""Nodes that block the event loop of their worker, or its threads; and nodes that do not."""

from __future__ import annotations

import asyncio
import time
from typing import TypedDict

from runs.engine import START, CompiledGraph, StateGraph
from runs.workflows import register


class State(TypedDict, total=False):
    seconds: float


async def block(state: State) -> None:
    """Hold the whole event loop."""
    time.sleep(state["seconds"])


async def waits(state: State) -> None:
    await asyncio.sleep(state["seconds"])


def sit(state: State) -> None:
    """Hold a thread."""
    time.sleep(state["seconds"])


def only(node: object, name: str) -> CompiledGraph:
    builder = StateGraph(State).add_node(name, node)  # type: ignore[arg-type]
    return builder.add_edge(START, name).compile()


for function in (block, waits, sit):
    register(function.__name__, only(function, function.__name__), input_schema={"type": "object"})
