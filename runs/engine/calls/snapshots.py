"""A thread as people look at it: its values, what runs next, and what waits for an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from runs.engine import serde
from runs.engine.checkpoint import Checkpoint, Position, Saved
from runs.engine.execution.subgraphs import seen
from runs.engine.graph.graph import Graph, Node
from runs.engine.graph.reachable import reached_graphs
from runs.engine.journal.ports import Journal
from runs.engine.superstep import pending
from runs.engine.superstep.earlier_ids import with_recorded_ids
from runs.engine.superstep.plan import Task, plan
from runs.engine.superstep.restore import restore
from runs.engine.superstep.task_keys import seat_of
from runs.engine.superstep.update import commanded, fold
from runs.engine.types import Interrupt
from runs.engine.values.copies import copied

Config = Mapping[str, Any]

#: What is known of tasks that are over, where nobody asks for it.
NO_UPDATES: Mapping[str, bytes] = {}


@dataclass(frozen=True, kw_only=True)
class TaskSnapshot:
    """One task of the next superstep. `result` is what it wrote, when it is done already; `state`
    is where the graph in its node stands, when that was asked for."""

    id: str
    name: str
    path: tuple[int, str | int]
    interrupts: tuple[Interrupt, ...] = ()
    result: Mapping[str, Any] | None = None
    state: StateSnapshot | None = None


@dataclass(frozen=True, kw_only=True)
class StateSnapshot:
    """A thread at one checkpoint: its values, the nodes that run next and what they wait for."""

    values: Mapping[str, Any]
    next: tuple[str, ...]
    tasks: tuple[TaskSnapshot, ...]
    interrupts: tuple[Interrupt, ...]
    config: Config
    parent_config: Config | None
    metadata: Mapping[str, Any]
    created_at: datetime | None


async def get_state(
    graph: Graph,
    journal: Journal,
    thread_id: str,
    checkpoint_id: str | None = None,
    *,
    subgraphs: bool = False,
) -> StateSnapshot:
    """The thread as it stands (with what finished tasks of an unfinished superstep wrote), or as
    it stood at a checkpoint. An unknown thread is empty. With `subgraphs`, each task whose node is
    a graph, or calls one, says where that stands, and so on; one that has not begun is empty."""
    saved = await journal.load(thread_id, checkpoint_id=checkpoint_id)
    if saved is None:
        return _empty(thread_id)
    updates = await journal.updates(saved.checkpoint.run_id) if checkpoint_id else {}
    shown = snapshot(graph, saved, with_done=checkpoint_id is None, updates=updates)
    if not subgraphs:
        return shown
    look = _Look(journal=journal, run_id=saved.checkpoint.run_id)
    return await look.into(graph, saved, shown)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """A look into the graphs inside a run; `seat` and `inside` are, as in an Execution, where it
    has come to, and where graphs that keep their state stood."""

    journal: Journal
    run_id: str
    seat: str = ""
    inside: Mapping[str, str] = field(default_factory=dict)

    async def into(self, graph: Graph, saved: Saved, shown: StateSnapshot) -> StateSnapshot:
        """`shown`, which is of `saved`, with the states of the graphs in its tasks."""
        tasks = []
        for task in shown.tasks:
            if (inner := _graph_in(graph.nodes[task.name])) is not None:
                task = replace(task, state=await self._state(inner, saved.checkpoint, task))
            tasks.append(task)
        return replace(shown, tasks=tuple(tasks))

    async def _state(self, graph: Graph, around: Checkpoint, task: TaskSnapshot) -> StateSnapshot:
        name = f"{task.name}:{task.id}"
        own = f"{around.namespace}|{name}" if around.namespace else name
        seat = seat_of(task.name, task.path, around.frontier, self.seat)
        inside = {**self.inside, **around.frontier.inside}
        if graph.keeps:
            own = seat
        load = partial(self.journal.load, around.thread_id, namespace=own)
        saved = await load(run_id=self.run_id)
        if saved is None and graph.keeps and seat in inside:
            saved = await load(checkpoint_id=inside[seat])
        if saved is None:
            return _empty(around.thread_id, own)
        shown = snapshot(graph, saved, with_done=True)
        return await replace(self, seat=seat, inside=inside).into(graph, saved, shown)


def _graph_in(node: Node) -> Graph | None:
    """The graph that is the node, or the only one that its function can reach, to call it."""
    if node.subgraph is not None:
        return node.subgraph
    found = reached_graphs(node.run)
    return found[0] if len(found) == 1 else None


def snapshot(
    graph: Graph, saved: Saved, *, with_done: bool, updates: Mapping[str, bytes] = NO_UPDATES
) -> StateSnapshot:
    """What is saved of a checkpoint, as people look at it. `updates` is what tasks of its run have
    written, for those that are over."""
    checkpoint, known = saved.checkpoint, pending.read(saved.notes, shown=True)
    position = restore(graph, checkpoint, saved.chains, shown=True)
    stands = commanded(graph, position, known.commands)
    planned = plan(graph, stands, run_id=checkpoint.run_id, strict=False)
    tasks = with_recorded_ids(planned, known, checkpoint, checkpoint.run_id)
    next_nodes = stands.frontier.next_nodes
    if with_done:
        stands = Position(values=fold(graph, stands.values, list(known.done.values())))
    parent = checkpoint.parent_id
    shown = tuple(_shown(task, known, updates) for task in tasks)
    gone = [name for name in next_nodes if name not in graph.nodes]
    return StateSnapshot(
        values=seen(graph, stands),
        next=(*(task.node.name for task in tasks if task.task_id not in known.done), *gone),
        tasks=shown,
        interrupts=tuple(i for task in shown for i in task.interrupts),
        config=config_of(checkpoint),
        parent_config=_config(checkpoint, parent) if parent else None,
        metadata={
            "source": checkpoint.source,
            "step": checkpoint.step,
            "run_id": checkpoint.run_id,
        },
        created_at=checkpoint.created_at,
    )


def result_of(update: Any) -> Any:
    """What a task wrote, by key; of a key that it wrote several times, all of that."""
    if not isinstance(update, list) or not all(isinstance(one, dict) for one in update):
        return {} if update is None else update
    found: dict[str, list[Any]] = {}
    for one in update:
        for key, value in one.items():
            found.setdefault(key, []).append(value)
    return {key: v[0] if len(v) == 1 else {"$writes": v} for key, v in found.items()}


def _shown(task: Task, known: pending.PendingWrites, updates: Mapping[str, bytes]) -> TaskSnapshot:
    done, stated = known.done.get(task.task_id), updates.get(task.task_id)
    result = None if stated is None else result_of(serde.show(stated))
    if done is not None:
        result = result_of([{w.channel: copied(w.value)} for w in done.writes])
    return TaskSnapshot(
        id=task.task_id,
        name=task.node.name,
        path=task.path,
        interrupts=tuple(
            one for one in known.asked.get(task.task_id, ()) if one.id not in known.answers
        ),
        result=result,
    )


def config_of(checkpoint: Checkpoint) -> Config:
    """What names it."""
    return _config(checkpoint, checkpoint.checkpoint_id)


def _config(checkpoint: Checkpoint, checkpoint_id: str) -> Config:
    place = {"thread_id": checkpoint.thread_id, "checkpoint_ns": checkpoint.namespace}
    return {"configurable": {**place, "checkpoint_id": checkpoint_id}}


def _empty(thread_id: str, namespace: str = "") -> StateSnapshot:
    place = {"checkpoint_ns": namespace} if namespace else {}
    return StateSnapshot(
        values={},
        next=(),
        tasks=(),
        interrupts=(),
        config={"configurable": {"thread_id": thread_id, **place}},
        parent_config=None,
        metadata={},
        created_at=None,
    )
