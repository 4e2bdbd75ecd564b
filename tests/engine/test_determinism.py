"""The same input gives the same checkpoints, whatever finishes first."""

from __future__ import annotations

import asyncio
import operator
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import START, MemoryJournal, Send, StateGraph, interrupt
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import advance
from tests.engine.mortal import LEASE

TIME = datetime(2030, 1, 1, tzinfo=UTC)


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    table: Annotated[dict[str, Any], operator.or_]
    x: Any


class Steady:
    """A clock that stands."""

    def now(self) -> Any:
        return TIME

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def graph(turns: dict[str, int]) -> Any:
    """Nodes at once, Sends and a graph inside; each gives way to the others so many turns."""

    def node(name: str) -> Any:
        async def run(state: Any) -> Any:
            for _ in range(turns.get(name, 0)):
                await asyncio.sleep(0)
            if name == "asks":
                return {"log": [interrupt("?")]}
            return {"log": [name if isinstance(state, dict) else f"{name}{state}"]}

        return run

    inner = StateGraph(State).add_node("i", node("i")).add_node("j", node("j"))
    inner.add_edge(START, "i").add_edge(START, "j")
    builder = StateGraph(State).add_node("sub", inner.compile())
    for name in ("a", "b", "w", "asks"):
        builder.add_node(name, node(name))
    builder.add_edge(START, "a").add_edge(START, "b").add_edge(START, "sub")
    builder.add_conditional_edges("a", lambda s: [Send("w", i) for i in (3, 1, 2)], ["w"])
    return builder.add_edge(["a", "b"], "asks").compile().graph


async def kept(turns: dict[str, int]) -> Any:
    """All that a journal has of one run: its checkpoints and what is behind them."""
    journal = MemoryJournal()
    execution = Execution(graph=graph(turns), journal=journal, lease=LEASE, clock=Steady())
    outcome = await advance(execution, {"log": ["in"], "table": {"b": 1, "a": 2}})
    found = []
    for checkpoint in await journal.history(LEASE.thread_id):
        saved = await journal.load(LEASE.thread_id, checkpoint_id=checkpoint.checkpoint_id)
        assert saved is not None
        notes = sorted((note.kind, note.task_id, note.dumps()) for note in saved.notes)
        found.append((checkpoint, saved.chains, notes))
    return found, outcome.position.values, [one.id for one in outcome.interrupts]


@pytest.mark.parametrize(
    "turns", [{"a": 5}, {"b": 5, "i": 9}, {"w": 3, "j": 2}, {"asks": 7, "sub": 1}], ids=str
)
async def test_the_same_input_gives_the_same_checkpoints(turns: dict[str, int]) -> None:
    first = await kept({})
    assert len(first[0]) == 2
    assert await kept(turns) == first
