"""The engine beside LangGraph, both in memory and in turns: `python -m bench engine`.

A figure is CPU time, which is all that a run in memory takes, and the best of several turns, so
that what else the machine does weighs on neither. The nodes are async, the routers plain functions,
as people write them.
"""

from __future__ import annotations

import asyncio
import gc
import operator
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Annotated, Any, TypedDict

from langgraph import graph as their_graph
from langgraph import types as theirs
from langgraph.checkpoint.memory import InMemorySaver

from runs import engine as ours
from runs.engine.checkpoint import Note
from runs.engine.events import Event
from runs.engine.ports import ArtifactRef, Lease, Superstep

TURNS, IN_A_ROW = 6, 3


class State(TypedDict, total=False):
    n: int
    seen: Annotated[list[int], operator.add]


class Inner(TypedDict, total=False):
    n: int


@dataclass(frozen=True, kw_only=True)
class Lib:
    StateGraph: Any
    Send: Any
    compile: Callable[[Any], Any]


OURS = Lib(StateGraph=ours.StateGraph, Send=ours.Send, compile=lambda b: b.compile())
THEIRS = Lib(
    StateGraph=their_graph.StateGraph,
    Send=theirs.Send,
    compile=lambda b: b.compile(checkpointer=InMemorySaver()),
)


async def count(state: State) -> State:
    return {"n": state["n"] + 1}


async def see(state: Any) -> State:
    return {"seen": [state["i"]]}


def loop(lib: Lib, steps: int) -> Any:
    builder = lib.StateGraph(State).add_node("count", count).add_edge("__start__", "count")
    builder.add_conditional_edges(
        "count", lambda s: "count" if s["n"] < steps else "__end__", ["count", "__end__"]
    )
    return lib.compile(builder)


def fan_out(lib: Lib, width: int) -> Any:
    builder = lib.StateGraph(State).add_node("see", see)
    builder.add_conditional_edges(
        "__start__", lambda s: [lib.Send("see", {"i": i}) for i in range(width)], ["see"]
    )
    return lib.compile(builder)


def nested(lib: Lib, depth: int) -> Any:
    builder = lib.StateGraph(Inner).add_node("count", count).add_edge("__start__", "count")
    for _ in range(depth - 1):
        builder = (
            lib.StateGraph(Inner).add_node("sub", builder.compile()).add_edge("__start__", "sub")
        )
    return lib.compile(builder)


async def seconds(graph: Any, limit: int) -> float:
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": limit}
    gc.collect()
    begun = process_time()
    await graph.ainvoke({"n": 0}, config)
    return process_time() - begun


async def compare(
    name: str, build: Callable[[Lib, int], Any], size: int, unit: str
) -> Sequence[str]:
    """A row: microseconds per unit on both, and how many times ours is faster."""
    best = {"ours": float("inf"), "theirs": float("inf")}
    for _ in range(TURNS):
        for who, lib in [("ours", OURS)] * IN_A_ROW + [("theirs", THEIRS)] * IN_A_ROW:
            best[who] = min(best[who], await seconds(build(lib, size), size + 10))
    each = {who: 1e6 * time / size for who, time in best.items()}
    ratio = each["theirs"] / each["ours"]
    return (name, f"{each['ours']:.0f}", f"{each['theirs']:.0f}", f"{ratio:.1f}x", unit)


class Forgetful(ours.MemoryJournal):
    """Keeps nothing, so that what is left is the engine's own."""

    def append(
        self, lease: Lease, events: Sequence[Event], artifacts: Sequence[ArtifactRef] = ()
    ) -> None: ...

    def record(self, lease: Lease, checkpoint: ours.Checkpoint, notes: Sequence[Note]) -> None: ...

    async def commit(self, lease: Lease, superstep: Superstep) -> None: ...


async def late_steps(last: int = 10_000, window: int = 1_000) -> tuple[float, float]:
    """Microseconds a step costs early on and late in a run of `last` steps."""
    moments: list[float] = []

    async def node(state: State) -> State:
        moments.append(process_time())
        return {"n": state["n"] + 1}

    builder = ours.StateGraph(State).add_node("node", node).add_edge("__start__", "node")
    builder.add_conditional_edges("node", lambda s: "node" if s["n"] < last else "__end__")
    await builder.compile().ainvoke({"n": 0}, recursion_limit=last + 1)

    def cost(begin: int) -> float:
        # The median gap: a pause of the machine or the collector is not a step's cost.
        gaps = [moments[i + 1] - moments[i] for i in range(begin, begin + window - 1)]
        return 1e6 * sorted(gaps)[len(gaps) // 2]

    return cost(10), cost(last - window)


async def peak_memory(steps: int) -> int:
    """Bytes that the engine itself needs at most for a loop of that length."""
    graph = loop(OURS, steps)
    gc.collect()
    tracemalloc.start()
    await graph.ainvoke({"n": 0}, thread_id="t", journal=Forgetful(), recursion_limit=steps + 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


async def storage(steps: int = 50, size: int = 1_000_000, more: int = 1_000) -> tuple[int, int]:
    """Bytes stored by steps that each append a little to a big list, and read by the last load."""

    async def append(state: dict[str, Any]) -> dict[str, Any]:
        return {"items": ["x" * (more - 3)], "n": state["n"] + 1}

    class Big(TypedDict, total=False):
        n: int
        items: Annotated[list[str], operator.add]

    builder = ours.StateGraph(Big).add_node("append", append).add_edge("__start__", "append")
    builder.add_conditional_edges("append", lambda s: "append" if s["n"] < steps else "__end__")
    journal = ours.MemoryJournal()
    given = {"n": 0, "items": ["y" * 997] * (size // 1_000)}
    await builder.compile().ainvoke(given, thread_id="t", journal=journal)
    stored = sum(len(change.value) for change in journal._threads["t"].changes.values())
    saved = await journal.load("t")
    assert saved is not None
    return stored, sum(len(c.value) for chain in saved.chains.values() for c in chain)


def table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure, and print a table."""
    asyncio.run(measure())


async def measure() -> None:
    rows: list[Sequence[str]] = [("what", "ours", "LangGraph", "ratio", "unit")]
    measured: list[Awaitable[Sequence[str]]] = [
        compare("loop of 1,000 steps", loop, 1_000, "us a step"),
        compare("fan-out of 1,000 tasks", fan_out, 1_000, "us a task"),
        compare("50 graphs in each other", nested, 50, "us a graph"),
    ]
    for row in measured:
        rows.append(await row)
    print(table(rows), "\n")
    early, late = await late_steps()
    print(f"a step after 10 steps {early:.0f} us, after 9,000 steps {late:.0f} us")
    short, long = await peak_memory(1_000), await peak_memory(10_000)
    print(f"memory of the engine: {short:,} bytes for 1,000 steps, {long:,} for 10,000")
    stored, read = await storage()
    print(f"50 steps of 1 KB each on 1 MB: {stored:,} bytes stored, {read:,} read by a load")
