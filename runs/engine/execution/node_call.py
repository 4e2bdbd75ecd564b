"""Calling a node: its task call, its thread, its time."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from runs.engine.checkpoint import Position, TaskWrites
from runs.engine.execution.arguments import arguments
from runs.engine.execution.execution import Execution
from runs.engine.execution.task.task_call import TaskCall, current
from runs.engine.graph.graph import Node
from runs.engine.superstep.pending import NO_PENDING_WRITES
from runs.engine.superstep.plan import Task, view


def task_call_of(execution: Execution, position: Position, task: TaskWrites) -> TaskCall:
    """Of the task that a router is a part of: the one that runs, or START, or an edit by hand."""
    memo = current.get(None)
    if memo is not None and memo.task.task_id == task.task_id:
        return memo
    node = execution.graph.nodes.get(task.node) or Node(name=task.node, run=view, is_async=False)
    path, step = (0, task.node), position.step + 1
    stands_for = Task(task_id=task.task_id, path=path, node=node, step=step, arg=None)
    memo = TaskCall(execution, stands_for, position.checkpoint, NO_PENDING_WRITES)
    return memo


def call_node(memo: TaskCall) -> Awaitable[Any]:
    """The call of the task's node, with all that it is given."""
    node = memo.task.node
    argument = memo.task.argument()
    if node.is_async and node.calling == "state" and not node.keywords:
        alone: Awaitable[Any] = node.run(argument)  # the usual case, without the way below
        return alone
    args, named = arguments((argument,), node, memo)
    if node.is_async:
        running: Awaitable[Any] = node.run(*args, **named)
        return running
    return memo.call(node.run, *args, **named)
