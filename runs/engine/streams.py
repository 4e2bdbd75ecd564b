"""Streaming a run of this process: its events as they happen, seen through stream modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from .checkpoint import Position
from .events import Event
from .graph import Graph
from .invocation import Invocation
from .loop import Outcome
from .subgraphs import output
from .views import MODES, NOTHING, StreamMode, view


def result(graph: Graph, outcome: Outcome) -> dict[str, Any]:
    """What a call of a graph answers: its state, and under "__interrupt__" what it waits for."""
    final = output(graph, outcome.position)
    asked = [interrupt for interrupt in outcome.interrupts if not interrupt.stop]
    return {**final, "__interrupt__": asked} if asked else final


async def stream(
    invocation: Invocation,
    given: Any,
    mode: StreamMode | Sequence[StreamMode],
    *,
    subgraphs: bool,
) -> AsyncIterator[Any]:
    """Run, and give what the modes show of each event. Leaving the iteration cancels the run."""
    modes: Sequence[StreamMode] = (mode,) if isinstance(mode, str) else mode
    for one in modes:
        if one not in MODES:
            raise ValueError(f"{one!r} is not a stream mode; there are {', '.join(MODES)}.")
    queue: asyncio.Queue[tuple[Event, Position | None] | None] = asyncio.Queue()
    listening = replace(invocation, listen=lambda event, at: queue.put_nowait((event, at)))
    running = asyncio.ensure_future(listening.run(given))
    running.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (told := await queue.get()) is not None:
            event, position = told
            if event.namespace and not subgraphs:
                continue
            for one in modes:
                shown = view(one, invocation.graph, event, position)
                if shown is NOTHING:
                    continue
                item = shown if isinstance(mode, str) else (one, shown)
                yield (_path(event), item) if subgraphs else item
        await running
    finally:
        running.cancel()


def _path(event: Event) -> tuple[str, ...]:
    return tuple(event.namespace.split("|")) if event.namespace else ()
