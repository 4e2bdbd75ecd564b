"""`stubborn`: a node that does not stop, in the way that its payload says."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TypedDict

from runs.engine import START, StateGraph
from runs.workflows import register

_SECONDS = 600


class State(TypedDict, total=False):
    how: str


async def swallow() -> None:
    """Catch CancelledError, again and again."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)


async def refuse(state: State) -> None:
    if state["how"] == "swallows":
        await swallow()
    else:
        time.sleep(_SECONDS)  # holds the whole event loop


def sit(state: State) -> None:
    """Hold a thread."""
    time.sleep(_SECONDS)


graph = StateGraph(State).add_node("refuse", refuse).add_node("sit", sit)
graph.add_conditional_edges(
    START, lambda state: "sit" if state["how"] == "sync" else "refuse", ["refuse", "sit"]
)
register("stubborn", graph.compile(), input_schema={"type": "object"})
