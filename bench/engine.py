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
from functools import partial
from time import process_time
from typing import Annotated, Any, TypedDict

from langgraph import graph as their_graph
from langgraph import types as theirs
from langgraph.checkpoint.memory import InMemorySaver

from runs import engine as ours
from runs.engine.checkpoint import Note
from runs.engine.events import Event
from runs.engine.journal.ports import ArtifactRef, Lease, Superstep

TURNS, IN_A_ROW = 6, 3
#: Of rows whose steps cost milliseconds, which vary less.
FEW_TURNS = 2


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


class Held(TypedDict, total=False):
    n: int
    held: Any


class Narrow(TypedDict, total=False):
    n: int


#: States of several sizes that every step is given and none changes.
HELD: dict[str, Callable[[], Any]] = {
    "a record of 10 fields": lambda: {f"field {i}": i for i in range(10)},
    "100 messages": lambda: [
        {"role": "user", "content": "x" * 200, "id": str(i)} for i in range(100)
    ],
    "1 MB in 5,000 records": lambda: [
        {"id": i, "name": f"name {i}", "text": "x" * 120, "price": i / 7, "tags": None}
        for i in range(5_000)
    ],
    "1 MB in 5,000 nested records": lambda: [
        {"id": i, "text": "x" * 120, "tags": ["a", "b"], "at": {"x": i, "y": i}}
        for i in range(5_000)
    ],
    "100,000 texts": lambda: [f"text {i}" for i in range(100_000)],
}


def holding(lib: Lib, steps: int, *, value: Any, narrow: bool = False) -> Any:
    """A loop whose node and router are given `value` at each step, or not if they are `narrow`."""
    seen: Any = Narrow if narrow else Held

    async def fill(state: Held) -> Held:
        return {"n": 0, "held": value}

    async def step(state: Any) -> Any:
        return {"n": state["n"] + 1}

    def more(state: Any) -> str:
        return "step" if state["n"] < steps else "__end__"

    step.__annotations__["state"] = more.__annotations__["state"] = seen
    builder = lib.StateGraph(Held).add_node("fill", fill).add_node("step", step)
    builder.add_edge("__start__", "fill").add_edge("fill", "step")
    builder.add_conditional_edges("step", more, ["step", "__end__"])
    return lib.compile(builder)


def held_rows(steps: int = 20) -> Sequence[Awaitable[Sequence[str]]]:
    """The cost of a step that is given a large value: its node and its router get a copy each."""
    rows = []
    for name, make in HELD.items():
        build = partial(holding, value=make())
        rows.append(compare(f"a step beside {name}", build, steps, "us a step", FEW_TURNS))
    narrow = partial(holding, value=HELD["1 MB in 5,000 records"](), narrow=True)
    rows.append(compare("the same, read by neither", narrow, steps, "us a step", FEW_TURNS))
    return rows


async def seconds(graph: Any, limit: int) -> float:
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": limit}
    gc.collect()
    begun = process_time()
    await graph.ainvoke({"n": 0}, config)
    return process_time() - begun


async def compare(
    name: str, build: Callable[[Lib, int], Any], size: int, unit: str, turns: int = TURNS
) -> Sequence[str]:
    """A row: microseconds per unit on both, and how many times ours is faster."""
    best = {"ours": float("inf"), "theirs": float("inf")}
    for _ in range(turns):
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
        *held_rows(),
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
