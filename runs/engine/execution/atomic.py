"""Atomic nodes: a sync node in a database transaction of its own, with the record of its result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from runs.engine import events
from runs.engine.checkpoint import Note, Position, TaskWrites
from runs.engine.concurrency import forked
from runs.engine.errors import InvalidUpdateError, NodeTimeoutError, ParentCommand
from runs.engine.execution.arguments import arguments
from runs.engine.execution.commit_gate import CommitGate
from runs.engine.execution.retrying import with_timeout
from runs.engine.execution.task.signals import again
from runs.engine.execution.task.task_call import TaskCall
from runs.engine.journal.ports import Transacted
from runs.engine.superstep.plan import view
from runs.engine.superstep.routes import read_route
from runs.engine.superstep.update import fold
from runs.engine.superstep.writes import read_answer, update_data


async def run_atomic(memo: TaskCall, position: Position, call: Callable[[], Any]) -> TaskWrites:
    """What the task wrote: it is on record, with its events, when this returns, and together with
    all that `call` did to the database. A timeout, a cancellation or an error before the commit
    undoes that; after it, what was done counts."""
    execution, task, checkpoint = memo.execution, memo.task, position.checkpoint
    assert checkpoint is not None
    # What was said before has smaller numbers; and a run that begins again begins here.
    await execution.journal.settle(execution.lease)
    turn = memo.turn = CommitGate()
    work = partial(_work, memo, position, turn, call)
    lease, transact = execution.lease, execution.journal.transact
    running = asyncio.ensure_future(memo.in_thread(transact, lease, checkpoint, task.task_id, work))
    running.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        note = await with_timeout(memo, asyncio.shield(running))
    except NodeTimeoutError:
        if turn.give_up():
            running.cancel()
            raise
        note = await running
    except asyncio.CancelledError:
        if turn.give_up():
            running.cancel()
        raise
    if execution.observer is not None:
        for event in turn.events:
            execution.observer(event, None)
    if isinstance(note.body, TaskWrites):
        return note.body
    return TaskWrites.loads(task.task_id, task.node.name, note.body)


def _work(
    memo: TaskCall, position: Position, turn: CommitGate, call: Callable[[], Any]
) -> Transacted:
    execution, task = memo.execution, memo.task
    name, began = task.node.name, forked.generation
    try:
        answer = call()
        if forked.generation != began:
            forked.leave()  # or it would commit what its worker commits
        _refuse_to_pass_over(memo)
        writes, targets = read_answer(execution.graph, name, answer, task.task_id)
    except ParentCommand as sent:
        raise InvalidUpdateError(
            f"Node {name!r} is atomic, and cannot send a Command to the parent graph: what it did "
            "would be undone. Send it from another node."
        ) from sent
    made = tuple(writes)
    execution.check_sizes(name, made)
    wrote = TaskWrites(task_id=task.task_id, node=name, writes=made)
    targets += _routes(memo, position, wrote)
    _refuse_to_pass_over(memo)
    execution.check_sends(name, targets)
    wrote = TaskWrites(task_id=task.task_id, node=name, writes=made, goto=tuple(targets))
    turn.events.append(execution.event(task, events.NODE_UPDATE, update_data(made)))
    note = Note(task_id=task.task_id, node=name, kind="writes", body=wrote)
    turn.take()
    return Transacted(note=note, events=turn.events, artifacts=turn.artifacts)


def _refuse_to_pass_over(memo: TaskCall) -> None:
    """What was asked in the node counts, whatever its code made of that: nothing is committed."""
    if memo.signals is not None:
        raise again(memo.signals.items)
    if memo.fault is not None:
        raise memo.fault


def _routes(memo: TaskCall, position: Position, task: TaskWrites) -> list[Any]:
    """As `runner.routes`, in this thread: where the run goes on is part of the record."""
    graph = memo.execution.graph
    targets: list[Any] = []
    branches = graph.branches.get(task.node, ())
    if branches:
        values = fold(graph, position.values, [task])
        for branch in branches:
            seen = view(branch.view or graph.view, values)
            args, named = arguments((seen,), branch, memo)
            answer = branch.route(*args, **named)
            targets += read_route(graph, task.node, branch, answer, task.task_id)
    return targets
