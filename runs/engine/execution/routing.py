"""Where a task's answer leads: routers, and Commands to the parent graph."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from runs.engine.checkpoint import Position, TaskWrites
from runs.engine.errors import InvalidUpdateError, ParentCommand
from runs.engine.execution.arguments import arguments
from runs.engine.execution.execution import Execution
from runs.engine.execution.node_call import task_call_of
from runs.engine.execution.retrying import is_run_cancellation
from runs.engine.execution.task import signals
from runs.engine.execution.task.task_call import TaskCall, current
from runs.engine.graph.graph import Branch
from runs.engine.superstep.plan import view
from runs.engine.superstep.routes import read_route
from runs.engine.superstep.update import fold


async def with_routes(position: Position, kept: TaskWrites, memo: TaskCall) -> TaskWrites:
    """A kept result with where the routers after its node lead."""
    execution = memo.execution
    branches = execution.graph.branches.get(kept.node)
    if not branches:
        return kept
    token = current.set(memo)
    try:
        targets = await routes(execution, position, kept, branches)
    finally:
        current.reset(token)
    return replace(kept, goto=(*kept.goto, *targets))


async def routes(
    execution: Execution, position: Position, task: TaskWrites, branches: Sequence[Branch]
) -> list[Any]:
    """Where the routers after a task send the run. They see its own writes and no one else's."""
    graph = execution.graph
    values = fold(graph, position.values, [task])
    targets: list[Any] = []
    for branch in branches:
        args: tuple[Any, ...] = (view(branch.view or graph.view, values),)
        named: dict[str, Any] = {}
        if branch.calling != "state" or branch.keywords:
            args, named = arguments(args, branch, task_call_of(execution, position, task))
        if branch.is_async:
            answer = await branch.route(*args, **named)
        elif branch.takes_context:  # a sync context waits for the event loop
            memo = current.get(None)  # none in a router after START
            run = execution if memo is None else memo
            answer = await run.in_thread(branch.route, *args, **named)
        else:
            answer = branch.route(*args, **named)
        if asyncio.iscoroutine(answer):  # of an async function in a sync wrapper
            answer = await answer
        targets += read_route(graph, task.node, branch, answer, task.task_id)
    if execution.max_value_bytes is not None:
        execution.check_sends(task.node, targets)
    return targets


def sent_commands(memo: TaskCall, error: BaseException) -> list[Any]:
    """The Commands that graphs inside the node sent to the one around them, if that is how the
    node ended; or else `error` is raised."""
    ended = signals.settled(error, memo.signals.items) if memo.signals is not None else error
    if not isinstance(ended, ParentCommand) or is_run_cancellation(error):
        raise error
    memo.signals = None  # they are heeded; the routers come after them
    return [replace(command, graph=None) for command in ended.commands]


def refuse_sent_commands(memo: TaskCall) -> None:
    """Raise InvalidUpdateError when a graph that a router has called sent a Command to the graph
    around it. A router only says where to go, and nobody is to wonder about the node."""
    assert memo.signals is not None
    if all(isinstance(signal, ParentCommand) for signal in memo.signals.items):
        memo.signals = None
        raise InvalidUpdateError(
            f"A router after {memo.task.node.name!r} called a graph that sent a Command with "
            "graph=Command.PARENT, and a router only says where to go: call that graph in a node."
        ) from None
