"""The loop: load, plan, run, update, commit, and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from . import events, faults, ids, serde
from .checkpoint import Frontier, Position, Saved, Source, TaskWrites
from .errors import EmptyInputError, GraphRecursionError
from .events import Event
from .execution import Execution
from .plan import plan
from .ports import Superstep
from .runner import routes, run_tasks
from .types import START
from .update import begin, restore, update
from .writes import read_input


async def advance(execution: Execution, payload: Mapping[str, Any] | None) -> Position:
    """Take a run to its end and return where it stands.

    With a payload the thread's state is where it begins, the payload is its first superstep;
    without one it goes on where its checkpoint says. A run that a crash cut short goes on after
    its last superstep either way, and does not run again what was recorded.
    """
    saved = await _load(execution)
    position = (
        restore(execution.graph, saved.checkpoint, saved.chains)
        if saved
        else begin(execution.graph)
    )
    done: Mapping[str, TaskWrites] = saved.done if saved else {}
    begun = saved is not None and saved.checkpoint.run_id == execution.lease.run_id
    if not begun and payload is not None:
        position, done = await _enter(execution, position, payload), {}
    elif saved is None:
        raise EmptyInputError("There is nothing to begin with: give an input, or a thread.")
    first = saved.entered if saved and begun else position.step
    while position.step - first < execution.step_limit:
        tasks = plan(execution.graph, position, thread_id=execution.lease.thread_id)
        if not tasks:
            return position
        finished = await run_tasks(execution, position, tasks, done)
        position, done = await _commit(execution, position, finished), {}
    if not position.frontier.next_nodes:
        return position
    raise GraphRecursionError(
        f"The run took {execution.step_limit} supersteps without coming to an end. Look for a loop "
        "that never routes to END, or raise the step limit."
    )


async def _load(execution: Execution) -> Saved | None:
    if execution.fresh:
        return None
    saved = await execution.journal.load(
        execution.lease.thread_id,
        namespace=execution.namespace,
        checkpoint_id=execution.checkpoint_id,
        run_id=execution.lease.run_id,
    )
    if saved is not None:
        execution.heard = {task_id: deque(told) for task_id, told in saved.heard.items()}
    return saved


async def _enter(execution: Execution, position: Position, payload: Mapping[str, Any]) -> Position:
    """The first superstep of a run: its input, and what the edges from START make of it."""
    graph, lease = execution.graph, execution.lease
    begin = TaskWrites(
        task_id=str(ids.derived(lease.run_id, START)),
        node=START,
        writes=tuple(read_input(graph, payload)),
    )
    position = position.at(Frontier())  # what the thread still had to do gives way to the input
    if branches := graph.branches.get(START):
        goto = await routes(execution, position, begin, branches)
        begin = TaskWrites(task_id=begin.task_id, node=START, writes=begin.writes, goto=tuple(goto))
    return await _commit(execution, position, [begin], source="input")


async def _commit(
    execution: Execution, position: Position, done: list[TaskWrites], *, source: Source = "loop"
) -> Position:
    now = execution.clock.now()
    position, changes = update(
        execution.graph,
        position,
        done,
        lease=execution.lease,
        now=now,
        namespace=execution.namespace,
        source=source,
    )
    checkpoint = position.checkpoint
    assert checkpoint is not None
    told = {
        "checkpoint_id": checkpoint.checkpoint_id,
        "next": checkpoint.frontier.next_nodes,
    }
    event = Event(
        name=events.CHECKPOINT,
        ts=now,
        step=checkpoint.step,
        namespace=execution.namespace,
        data=serde.dumps(told),
    )
    faults.point("before_commit")
    superstep = Superstep(checkpoint=checkpoint, changes=changes, events=[event])
    await execution.journal.commit(execution.lease, superstep)
    faults.point("after_commit")
    return position
