"""Run: the tasks of one superstep at the same time, each recorded when it finishes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from . import events, faults, retry, serde
from .checkpoint import Position, TaskWrites
from .context import Context, SyncContext
from .errors import Fenced, NodeError, NodeTimeoutError
from .execution import Execution, config
from .graph import Branch, Calling
from .plan import Task, view
from .update import merge
from .writes import read_answer, read_route, update_data


async def run_tasks(
    execution: Execution, position: Position, tasks: Sequence[Task], done: Mapping[str, TaskWrites]
) -> list[TaskWrites]:
    """What every task wrote, in the order of `tasks`; those in `done` are not run again.

    A task that finishes while others run is recorded at once, so that a crash does not repeat it;
    the last one goes with its superstep's commit. The first error stops the other tasks and is
    raised as NodeError; what had finished stays recorded.
    """
    written = {task.task_id: done[task.task_id] for task in tasks if task.task_id in done}
    waiting = [task for task in tasks if task.task_id not in done]

    async def one(task: Task) -> None:
        written[task.task_id] = finished = await run_task(execution, position, task)
        if len(written) < len(tasks) and position.checkpoint is not None:
            faults.point("before_record")
            path = ":".join(map(str, task.path))
            execution.journal.record(execution.lease, position.checkpoint, finished, path)
            faults.point("after_record")

    if len(waiting) == 1:
        await one(waiting[0])
    elif waiting:
        await _all(waiting, one)
    return [written[task.task_id] for task in tasks]


async def _all(tasks: Sequence[Task], one: Any) -> None:
    running = [asyncio.ensure_future(one(task)) for task in tasks]
    try:
        await asyncio.gather(*running)
    except BaseException:
        for future in running:
            future.cancel()
        await asyncio.wait(running)
        raise


async def run_task(execution: Execution, position: Position, task: Task) -> TaskWrites:
    """Run one task to its end, again after an error as its retry policy says."""
    execution.state(task, events.NODE_STARTED, serde.dumps({"task_id": task.task_id}))
    finished = None
    attempt = 0
    while finished is None:
        attempt += 1
        try:
            finished = await _attempt(execution, position, task)
        except Fenced:
            raise
        except BaseException as error:  # a node may raise SystemExit; the worker must not exit
            if _is_ours(error):
                raise
            wait = _wait(task, attempt, error)
            if wait is None:
                raise NodeError(task.node.name, error) from error
            told = {"attempt": attempt, "delay": wait, "error": f"{type(error).__name__}: {error}"}
            execution.state(task, events.RETRY, serde.dumps(told))
            await asyncio.sleep(wait)
    execution.state(task, events.NODE_UPDATE, update_data(finished.writes))
    return finished


def _is_ours(error: BaseException) -> bool:
    """Whether it was the run that was stopped, rather than something inside the node."""
    current = asyncio.current_task()
    return isinstance(error, (asyncio.CancelledError, GeneratorExit)) and (
        current is None or current.cancelling() > 0
    )


def _wait(task: Task, attempt: int, error: BaseException) -> float | None:
    if not isinstance(error, Exception):
        return None
    waits = (retry.delay(policy, attempt, error) for policy in task.node.retry)
    return next((wait for wait in waits if wait is not None), None)


async def _attempt(execution: Execution, position: Position, task: Task) -> TaskWrites:
    graph, name = execution.graph, task.node.name
    answer = await _call(execution, task)
    writes, targets = read_answer(graph, name, answer)
    finished = TaskWrites(task_id=task.task_id, node=name, writes=tuple(writes))
    if branches := graph.branches.get(name):
        targets += await routes(execution, position, finished, branches)
    return TaskWrites(task_id=task.task_id, node=name, writes=finished.writes, goto=tuple(targets))


async def routes(
    execution: Execution, position: Position, task: TaskWrites, branches: Sequence[Branch]
) -> list[Any]:
    """Where the routers after a task send the run. They see its own writes and no one else's."""
    graph = execution.graph
    values, _ = merge(graph, position, [task], "")
    seen = Position(checkpoint=position.checkpoint, values=values)
    targets: list[Any] = []
    for branch in branches:
        state = view(graph.view, seen)
        if branch.is_async:
            answer = await branch.route(state)
        else:
            answer = await execution.in_thread(branch.route, state)
        targets += read_route(graph, task.node, branch, answer)
    return targets


async def _call(execution: Execution, task: Task) -> Any:
    node, args = task.node, [task.arg]
    if node.calling != "state":
        args.append(_given(execution, task, node.calling))
    named = {name: _given(execution, task, what) for name, what in node.keywords}
    if node.is_async:
        call = node.run(*args, **named)
    else:
        call = execution.in_thread(node.run, *args, **named)
    if node.timeout is None:
        return await call
    limit = asyncio.timeout(node.timeout)
    try:
        async with limit:
            return await call
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise NodeTimeoutError(
            f"Node {node.name!r} took longer than its timeout of {node.timeout:g} s."
        ) from error


def _given(execution: Execution, task: Task, what: Calling) -> Any:
    if what == "config":
        return config(execution, task)
    context: Context | SyncContext = Context(execution, task)
    if not task.node.is_async:
        context = SyncContext(execution, task, asyncio.get_running_loop())
    return context.emit if what == "writer" else context
