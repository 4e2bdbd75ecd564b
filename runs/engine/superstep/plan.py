"""Plan: which tasks the next superstep has. A pure function of graph and position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from runs.engine import ids
from runs.engine.checkpoint import Position
from runs.engine.errors import InvalidUpdateError
from runs.engine.frozen import value
from runs.engine.graph.graph import Graph, Node, StateView
from runs.engine.types import MISSING
from runs.engine.values.copies import IMMUTABLE, Values

#: Pulled tasks (named by an edge) come before pushed ones (a Send), whatever finishes first.
_PULL, _PUSH = 0, 1


@value(frozen=True, slots=True, kw_only=True)
class Task:
    """One node invocation. `path` orders the tasks of a superstep. `arg` is what was sent to it, a
    Sent, or all values of the state, which it sees by `reads`."""

    task_id: str
    path: tuple[int, str | int]
    node: Node
    step: int
    arg: Any = field(repr=False)
    reads: StateView | None = None

    def argument(self, *, as_kept: bool = False) -> Any:
        """What the node is called with: at each call a copy of its own, to change as it likes; with
        `as_kept` the values in it are not converted. NotStorableError when what was sent cannot be
        rebuilt here."""
        if self.reads is not None:
            return view(replace(self.reads, convert={}) if as_kept else self.reads, self.arg)
        own, sent = self.node.view, self.arg.arg
        if own is None or as_kept or not isinstance(sent, Mapping):
            return sent
        if own.build is dict and not own.convert:
            return sent
        try:
            return _built(own, dict(sent))
        except (TypeError, ValueError) as error:
            raise InvalidUpdateError(
                f"Node {self.node.name!r} was sent what does not fit its annotation: {error}"
            ) from error


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
                " Put the node back and replay the run from its last step, or begin it anew."
            )
        reads = None
        if arg is MISSING:
            arg, reads = position.values, node.view or graph.view
        task_id = ids.task_id(run_id, at, f"{kind}:{key}", name)
        path = (kind, key)
        return Task(task_id=task_id, path=path, node=node, step=step, arg=arg, reads=reads)

    frontier, nodes = position.frontier, graph.nodes
    pulled = frontier.nodes if strict else [name for name in frontier.nodes if name in nodes]
    tasks = [task(_PULL, name, name, MISSING) for name in pulled]
    tasks += [
        task(_PUSH, i, send.node, send)
        for i, send in enumerate(frontier.sends)
        if strict or send.node in nodes
    ]
    return tasks


def view(state_view: StateView, values: Values) -> Any:
    """The state as a node or router with `state_view` sees it: a copy of its own."""
    seen = {}
    for key in state_view.keys:
        if key in values:
            item = values[key]
            seen[key] = item if type(item) in IMMUTABLE else values.copy_of(key)
    if state_view.build is dict and not state_view.convert:
        return seen
    return _built(state_view, seen)


def _built(state_view: StateView, seen: dict[str, Any]) -> Any:
    for key, convert in state_view.convert.items():
        if key in seen:
            try:
                seen[key] = convert(seen[key])
            except (TypeError, ValueError, ArithmeticError) as error:
                raise InvalidUpdateError(
                    f"Key {key!r} does not hold what its annotation says: {error}."
                ) from error
    return seen if state_view.build is dict else state_view.build(**seen)
