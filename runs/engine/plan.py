"""Plan: which tasks the next superstep has. A pure function of graph and position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from . import ids
from .checkpoint import Position
from .errors import InvalidUpdateError
from .graph import Graph, Node, StateView
from .types import MISSING
from .values import value

#: Pulled tasks (named by an edge) come before pushed ones (a Send), whatever finishes first.
_PULL, _PUSH = 0, 1


@value(frozen=True, slots=True, kw_only=True)
class Task:
    """One node invocation. `path` orders the tasks of a superstep; `arg` is the state it is
    called with."""

    task_id: str
    path: tuple[int, str | int]
    node: Node
    step: int
    arg: Any = field(repr=False)


def plan(graph: Graph, position: Position, *, run_id: str, strict: bool = True) -> list[Task]:
    """The tasks that `position` leads to, in path order; none when the graph is done. One at a node
    that the graph does not have raises InvalidUpdateError, or is left out if not `strict`."""
    checkpoint = position.checkpoint
    at = checkpoint.checkpoint_id if checkpoint else ""
    step = checkpoint.step + 1 if checkpoint else 0

    def task(kind: int, key: str | int, name: str, arg: Any) -> Task:
        node = graph.nodes.get(name)
        if node is None:
            raise InvalidUpdateError(
                f"The run is to go on at node {name!r}, which the graph does not have (any more)."
            )
        if arg is MISSING:
            arg = view(node.view or graph.view, position.values)
        task_id = ids.task_id(run_id, at, f"{kind}:{key}", name)
        return Task(task_id=task_id, path=(kind, key), node=node, step=step, arg=arg)

    frontier, nodes = position.frontier, graph.nodes
    pulled = frontier.nodes if strict else [name for name in frontier.nodes if name in nodes]
    tasks = [task(_PULL, name, name, MISSING) for name in pulled]
    tasks += [
        task(_PUSH, i, send.node, send.arg)
        for i, send in enumerate(frontier.sends)
        if strict or send.node in nodes
    ]
    return tasks


def view(state_view: StateView, values: Mapping[str, Any]) -> Any:
    """The state as a node with `state_view` sees it: its own copy of the mapping; the values in it
    are shared and not to be changed in place."""
    seen = {key: values[key] for key in state_view.keys if key in values}
    return seen if state_view.build is dict else state_view.build(**seen)
