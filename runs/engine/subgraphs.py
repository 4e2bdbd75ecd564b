"""Graphs inside nodes: part of the run around them, in a namespace of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .checkpoint import Position
from .errors import GraphInterrupt
from .graph import Graph
from .loop import advance
from .memo import Memo, current
from .writes import read_items


class Subgraph:
    """The function of a node that is a graph. Keys that both graphs have are shared: it begins
    with the state of the graph around it, and its result is written there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.__name__ = graph.name

    async def __call__(self, state: Any) -> dict[str, Any]:
        given = {
            key: v
            for key, v in read_items("the graph around", state)
            if key in self.graph.input_keys
        }
        return await run_inside(current.get(), self.graph, given)


async def run_inside(memo: Memo, graph: Graph, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Run `graph` as a part of the task of `memo`. GraphInterrupt when it has to wait."""
    execution, task = memo.execution, memo.task
    key = memo.key("|")
    name = f"{task.node.name}:{task.task_id}" + ("" if key == "|#1" else f":{key[2:]}")
    namespace = f"{execution.namespace}|{name}" if execution.namespace else name
    fresh = execution.clean and memo.attempt == 1
    outcome = await advance(execution.child(graph, namespace, fresh=fresh), payload)
    if outcome.status != "done":
        raise GraphInterrupt(outcome.interrupts, until=outcome.until)
    return output(graph, outcome.position)


def output(graph: Graph, position: Position) -> dict[str, Any]:
    """The state at `position`, by the keys of the graph's output."""
    values = position.values
    return {key: values[key] for key in graph.output_keys if key in values}
