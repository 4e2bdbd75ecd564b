"""Streaming a run of this process: its events as they happen, seen through stream modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from runs.engine.calls.invocation import Invocation
from runs.engine.calls.views import MODES, NOTHING, StreamMode, parts, view
from runs.engine.concurrency import stopping
from runs.engine.events import Event
from runs.engine.execution.language_models import Said
from runs.engine.execution.loop import Outcome
from runs.engine.execution.subgraphs import Inside, output
from runs.engine.execution.task.task_call import TaskCall, current
from runs.engine.graph.graph import Graph
from runs.engine.values.copies import copied

T = TypeVar("T")

#: Of two modes that show the same event, the one that says what happened comes first.
_FIRST = "updates"


def result(graph: Graph, outcome: Outcome) -> dict[str, Any]:
    """What a call of a graph answers: its state, and under "__interrupt__" what it waits for."""
    final = output(graph, outcome.position)
    asked = [interrupt for interrupt in outcome.interrupts if not interrupt.stop]
    return copied({**final, "__interrupt__": asked} if asked else final)


async def stream(
    invocation: Invocation | Inside,
    given: Any,
    mode: StreamMode | Sequence[StreamMode],
    *,
    subgraphs: bool,
    shape: Callable[[StreamMode, Any, Any], Any] = lambda mode, shown, behind: shown,
) -> AsyncGenerator[Any, None]:
    """Run, and give what the modes show of each event, as `shape` makes it look, which is told what
    stands behind it (but of graphs inside). Leaving the iteration stops the run, and waits until it
    has stopped."""
    modes: Sequence[StreamMode] = (mode,) if isinstance(mode, str) else mode
    for one in modes:
        if one not in MODES:
            raise ValueError(f"{one!r} is not a stream mode; there are {', '.join(MODES)}.")
    queue: asyncio.Queue[tuple[Event, Any] | None] = asyncio.Queue()

    def listen(event: Event, behind: Any) -> None:
        for part in parts(behind):
            queue.put_nowait((event, part))

    told_ids: set[str] = set()
    listening = replace(invocation, observer=listen, models="messages" in modes)
    running = asyncio.ensure_future(stopping.carried(listening.run(given)))
    running.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (told := await queue.get()) is not None:
            event, behind = told
            if event.namespace and not subgraphs:
                continue
            for one in sorted(modes, key=_FIRST.__eq__, reverse=True):
                shown = view(one, event, behind)
                if isinstance(behind, Said) and shown is not NOTHING:
                    if behind.written and behind.message.id in told_ids:
                        continue
                    told_ids.add(behind.message.id)
                if shown is not NOTHING and not event.namespace:
                    shown = shape(one, shown, behind)
                if shown is NOTHING:
                    continue
                about: tuple[Any, ...] = (_path(event),) if subgraphs else ()
                about += () if isinstance(mode, str) else (one,)
                yield (*about, shown) if about else shown
        await stopping.opened(running)
    finally:
        if not running.done():
            await stopping.end([running])
        if running.done() and not running.cancelled():
            running.exception()  # it is seen


def _path(event: Event) -> tuple[str, ...]:
    return tuple(event.namespace.split("|")) if event.namespace else ()


def in_sync(items: AsyncIterator[T]) -> Iterator[T]:
    """The same for sync code. In a sync node it is a part of the run; elsewhere it runs in a thread
    of its own while the next item is asked for, also where an event loop runs. An async node would
    stop the loop that its run needs: RuntimeError."""
    memo = current.get(None)
    if memo is None:
        return _in_thread(items)
    if asyncio._get_running_loop() is memo.loop:
        raise RuntimeError(
            f"stream() in node {memo.task.node.name!r} would keep the event loop from running: "
            "write `async for ... in graph.astream(...)`."
        )
    return _in_node(items, memo)


def _in_node(items: AsyncIterator[T], memo: TaskCall) -> Iterator[T]:
    try:
        while (item := memo.begin(_following(items)).result()) is not NOTHING:
            yield item
    finally:
        memo.begin(_closed(items)).result()


def _in_thread(items: AsyncIterator[T]) -> Iterator[T]:
    with ThreadPoolExecutor(1) as thread:
        runner = asyncio.Runner()
        try:
            while (item := thread.submit(runner.run, _following(items)).result()) is not NOTHING:
                yield item
        finally:
            thread.submit(runner.run, _closed(items)).result()
            thread.submit(runner.close).result()  # there, as this thread may run a loop


async def _following(items: AsyncIterator[T]) -> T | Any:
    return await anext(items, NOTHING)


async def _closed(items: AsyncIterator[Any]) -> None:
    await items.aclose()  # type: ignore[attr-defined]
