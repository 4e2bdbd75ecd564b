"""Graphs inside nodes: part of the run around them, in a namespace of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from runs.engine.checkpoint import Position
from runs.engine.concurrency import stopping
from runs.engine.concurrency.node_tasks import hand
from runs.engine.errors import GraphInterrupt, IdentityError, ParentCommand
from runs.engine.events import Event
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import Outcome, advance
from runs.engine.execution.task import part_tasks, unmatched_calls
from runs.engine.execution.task.call_matching import mark_of_graph
from runs.engine.execution.task.task_call import TaskCall, current
from runs.engine.graph.graph import Graph
from runs.engine.superstep.call_identity import checked_key, typed_digest
from runs.engine.superstep.recorded_call import Call
from runs.engine.superstep.writes import read_items


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
        outcome = await Inside(memo=current.get(), graph=self.graph).run(given)
        return output(self.graph, outcome.position)


@dataclass(frozen=True, kw_only=True)
class Inside:
    """One call of a graph in a node, as a part of the task of `memo`; `changes` is what its
    execution has otherwise than the one around it. `observer` gets its events; `key` tells it from
    other calls of the node.

    A graph that keeps its state is at the same namespace in every superstep, and goes on from where
    the present branch of the thread left it; where it stands then is kept with the superstep
    around it. So what it did in a superstep that never ended is not seen by another one.
    """

    memo: TaskCall
    graph: Graph
    changes: Mapping[str, Any] = field(default_factory=dict)
    observer: Callable[[Event, Any], None] | None = None
    models: bool = False
    key: str | None = None

    async def run(self, payload: Any) -> Outcome:
        """Execute until it ends. GraphInterrupt when it has to wait."""
        memo = self.memo
        memo.check()
        memo.refuse_in_transaction("steps, tasks and graphs")
        memo.refuse_while_waiting()
        call = self._which(payload)
        if call is _ONLY:
            return await self._run(payload, call)
        await unmatched_calls.settle(memo, call)
        memo.hold(call)
        return await part_tasks.whole(memo, self._made(payload, call))

    async def _made(self, payload: Any, call: Call) -> Outcome:
        failed = True
        try:
            self.memo.refuse_begun()
            with self.memo.parts.one():
                outcome = await self._run(payload, call)
            failed = False
            return outcome
        finally:
            self.memo.ledger.calls.end(call, failed=failed)

    def _which(self, payload: Any) -> Call:
        """Which of the node's calls this is. What is on record of it goes on."""
        if self.memo.task.node.subgraph is not None:
            return _ONLY
        memo, where = self.memo, self.memo.where()
        who = f"Graph {self.graph.name!r} in node {memo.task.node.name!r}"
        try:
            return memo.ledger.calls.begin(
                self.graph.name,
                typed_digest(payload, given=[payload]),
                graph=True,
                mark=mark_of_graph(self.graph.nodes),
                key=checked_key(who, self.key),
                own=where == "own",
                beside=where == "beside",
                line=hand(),
            )
        except IdentityError as error:
            raise memo.noted(error) from None

    async def _run(self, payload: Any, call: Call) -> Outcome:
        memo = self.memo
        execution = _child(memo, self.graph, self.changes, call)
        execution.models = execution.models or self.models
        if self.observer is not None:
            execution.observer = partial(_tell, execution, self.observer, execution.observer)
        try:
            running = advance(execution, payload)
            if call is not _ONLY:
                # In a task of its own: a stop of the code around the call differs from what a node
                # of the graph does to its own task. No code of the user is around a graph's node.
                running = stopping.result(stopping.begin(running))
            outcome = await running
        except ParentCommand as sent:  # it was left on the way
            _remember(memo, execution, {})
            memo.noted(sent)
            raise
        if outcome.status != "done":
            raise memo.noted(GraphInterrupt(outcome.interrupts, until=outcome.until))
        _remember(memo, execution, outcome.position.frontier.inside)
        return outcome


#: The call of a node that is a graph. It makes no other.
_ONLY = Call("|#1", "|", 1, old=True)


def _tell(execution: Execution, inside: Any, around: Any, event: Event, behind: Any) -> None:
    """Tell who listens to the run, and who listens to the graph inside, for whom it is the root."""
    if around is not None:
        around(event, behind)
    path = event.namespace.removeprefix(execution.namespace).removeprefix("|")
    inside(replace(event, namespace=path), behind)


def first_async(graph: Graph) -> str | None:
    """The name of a part of the graph that needs an event loop; None when all of it is sync."""
    for node in graph.nodes.values():
        inner = first_async(node.subgraph) if node.subgraph is not None else None
        if inner is not None:
            return inner
        if node.subgraph is None and getattr(node.run, "awaits", node.awaits):
            return node.name
    routers = [branch for branches in graph.branches.values() for branch in branches]
    return next((branch.name for branch in routers if branch.is_async), None)


def _child(memo: TaskCall, graph: Graph, changes: Mapping[str, Any], call: Call) -> Execution:
    execution, task = memo.execution, memo.task
    memo.hold_place()
    again = "" if call.number == 1 else f":{call.number}"
    seat = f"{memo.seat}{again}"
    name = f"{task.node.name}:{task.task_id}{again}"
    around = f"{execution.namespace}|{name}" if execution.namespace else name
    inside = {**execution.inside, **memo.frontier.inside}
    return execution.child(
        graph,
        seat if graph.keeps else around,
        fresh=execution.clean and memo.attempt == 1,
        place=f"{memo.place}|{call.place}",
        seat=seat,
        base=inside.get(seat) if graph.keeps else None,
        inside=inside,
        **changes,
    )


def _remember(memo: TaskCall, child: Execution, inside: Mapping[str, str]) -> None:
    memo.inside.update(inside)
    if child.graph.keeps and child.reached is not None:
        memo.inside[child.namespace] = child.reached


def seen(graph: Graph, position: Position) -> dict[str, Any]:
    """All of the state at `position`, for those who look at it: also what is no output."""
    return {key: position.values[key] for key in graph.channels if key in position.values}


def output(graph: Graph, position: Position) -> dict[str, Any]:
    """The state at `position`, by the keys of the graph's output."""
    values = position.values
    return {key: values[key] for key in graph.output_keys if key in values}
