"""Run: the tasks of one superstep at the same time, each recorded when it finishes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from . import caching, events, faults
from .arguments import arguments
from .atomic import run_atomic
from .attempts import in_time, until_done
from .checkpoint import Note, Position, TaskWrites
from .errors import GraphInterrupt, NodeError, ParentCommand
from .execution import Execution
from .graph import SLOW_ROUTER, Branch, Node
from .memo import SHORT, Memo, current
from .notes import NOTHING, Recorded, asked
from .plan import Task, view
from .update import fold
from .writes import read_answer, read_route, update_data

Result = TaskWrites | GraphInterrupt


async def run_tasks(
    execution: Execution, position: Position, tasks: Sequence[Task], known: Recorded
) -> dict[str, Result]:
    """What became of every task, by id, in the order of `tasks`: what it wrote, or what it waits
    for. Those that are done already, and those that still wait, are not run again.

    A task that finishes while others run is recorded at once, so that a crash does not repeat it;
    the last one goes with its superstep's commit. The first error stops the other tasks and is
    raised as NodeError; what had finished stays recorded, and so does what others had asked.
    """
    ended = {} if known is NOTHING else _ended_before(execution, tasks, known)
    if len(tasks) == 1 and not ended:
        (task,) = tasks
        return {task.task_id: await run_task(execution, position, task, known)}
    waiting = [task for task in tasks if task.task_id not in ended] if ended else tasks
    some_wait = any(isinstance(result, GraphInterrupt) for result in ended.values())

    gate = execution.gate() if execution.config else None

    async def one(task: Task) -> None:
        nonlocal some_wait
        if gate is None:
            result = await run_task(execution, position, task, known)
        else:
            async with gate:
                result = await run_task(execution, position, task, known)
        ended[task.task_id] = result
        if isinstance(result, GraphInterrupt):
            some_wait = True
        elif task.node.atomic:
            pass  # recorded in its transaction
        elif position.checkpoint is not None and (some_wait or len(ended) < len(tasks)):
            faults.point("before_record")
            note = Note(task_id=task.task_id, node=task.node.name, kind="writes", body=result)
            execution.journal.record(execution.lease, position.checkpoint, [note])
            faults.point("after_record")

    if waiting:
        try:
            await _all(waiting, one)
        except NodeError:
            _keep_questions(execution, position, ended, known)
            raise
    return {task.task_id: ended[task.task_id] for task in tasks}


def _keep_questions(
    execution: Execution, position: Position, ended: Mapping[str, Result], known: Recorded
) -> None:
    for task_id, pause in ended.items():
        if isinstance(pause, GraphInterrupt) and position.checkpoint is not None:
            said = asked(task_id, pause.interrupts, known)
            execution.journal.record(execution.lease, position.checkpoint, said)


async def _all(tasks: Sequence[Task], one: Callable[[Task], Awaitable[None]]) -> None:
    """`one` of each at the same time. They count themselves: a callback for each, as gather() has
    it, is one more turn of the event loop for every task."""
    loop, left = asyncio.get_running_loop(), len(tasks)
    over: asyncio.Future[None] = loop.create_future()

    async def counted(task: Task) -> None:
        nonlocal left
        try:
            await one(task)
        except BaseException as error:
            if not over.done():
                over.set_exception(error)
            return
        left -= 1
        if not left and not over.done():
            over.set_result(None)

    running = [loop.create_task(counted(task)) for task in tasks]
    try:
        await over
    except BaseException:
        for future in running:
            future.cancel()
        await asyncio.wait(running)
        raise


def _ended_before(
    execution: Execution, tasks: Sequence[Task], known: Recorded
) -> dict[str, Result]:
    """The tasks that are not to be run (again): done already, or waiting still."""
    found = {
        task.task_id: known.done.get(task.task_id) or _still_waits(execution, task, known)
        for task in tasks
    }
    return {task_id: result for task_id, result in found.items() if result is not None}


def _still_waits(execution: Execution, task: Task, known: Recorded) -> GraphInterrupt | None:
    """What a task waits for, as far as it says so itself: of what waits in a subgraph, the
    subgraph knows best."""
    interrupts = [
        interrupt
        for interrupt in known.asked.get(task.task_id, ())
        if interrupt.id not in execution.answers and interrupt.namespace == execution.namespace
    ]
    until = max(known.sleeps.get(task.task_id, ()), default=None)
    if until is not None and (until - execution.clock.now()).total_seconds() <= SHORT:
        until = None
    return GraphInterrupt(interrupts, until=until) if interrupts or until else None


async def run_task(execution: Execution, position: Position, task: Task, known: Recorded) -> Result:
    """Run one task to its end, again after an error as its retry policy says."""
    told = b'{"task_id":"%b"}' % task.task_id.encode()
    execution.state(task, events.NODE_STARTED, told, task.arg)
    memo = Memo(execution, task, position.checkpoint, known)
    key = (
        caching.key_of(execution.graph, task, execution.context)
        if task.node.cache is not None
        else None
    )
    found = await caching.find(execution.graph, task, key) if key else None
    if found is None:
        try:
            # Its routers are a part of it; an atomic node decides itself when it is too late.
            timed = task.node.timeout is not None and not task.node.atomic
            attempt = _timed_attempt if timed else _attempt
            found = await until_done(memo, partial(attempt, position))
        except GraphInterrupt as pause:
            return pause
        if key:
            await caching.keep(execution.graph, task, key, found)
    if not task.node.atomic:
        execution.state(task, events.NODE_UPDATE, update_data(found.writes))
    return found


def _timed_attempt(position: Position, memo: Memo) -> Awaitable[TaskWrites]:
    return in_time(memo, _attempt(position, memo))


async def _attempt(position: Position, memo: Memo) -> TaskWrites:
    execution, task = memo.execution, memo.task
    graph, name = execution.graph, task.node.name
    token = current.set(memo)  # for the routers too: they are a part of the task
    try:
        if task.node.atomic:
            args, named = arguments((task.arg,), task.node, memo)
            return await run_atomic(memo, position, partial(task.node.run, *args, **named))
        try:
            answer = await _call(memo)
        except ParentCommand as sent:  # of a node in a graph inside this node
            answer = replace(sent.command, graph=None)
        else:
            if task.node.subgraph is not None:  # keys of its own stay its own
                answer = {key: answer[key] for key in answer if key in graph.channels}
        writes, targets = read_answer(graph, name, answer)
        made = tuple(writes)
        if execution.max_value_bytes is not None:
            execution.check_sizes(name, made)
            execution.check_sends(name, targets)
        finished = TaskWrites(task_id=task.task_id, node=name, writes=made, inside=memo.inside)
        if branches := graph.branches.get(name):
            targets += await routes(execution, position, finished, branches)
    finally:
        current.reset(token)
    if not targets:
        return finished
    return TaskWrites(  # not replace(), which costs several times as much
        task_id=task.task_id, node=name, writes=made, goto=tuple(targets), inside=memo.inside
    )


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
            args, named = arguments(args, branch, _memo_of(execution, position, task))
        if branch.is_async:
            answer = await branch.route(*args, **named)
        elif branch.pace.slow or branch.takes_context:  # a sync context waits for the event loop
            answer = await execution.in_thread(_timed, branch, *args, **named)
        else:
            answer = _timed(branch, *args, **named)
        if asyncio.iscoroutine(answer):  # of an async function in a sync wrapper
            answer = await answer
        targets += read_route(graph, task.node, branch, answer)
    if execution.max_value_bytes is not None:
        execution.check_sends(task.node, targets)
    return targets


def _memo_of(execution: Execution, position: Position, task: TaskWrites) -> Memo:
    """Of the task that a router is a part of: the one that runs, or START, or an edit by hand."""
    memo = current.get(None)
    if memo is not None and memo.task.task_id == task.task_id:
        return memo
    node = execution.graph.nodes.get(task.node) or Node(name=task.node, run=_timed, is_async=False)
    path, step = (0, task.node), position.step + 1
    stands_for = Task(task_id=task.task_id, path=path, node=node, step=step, arg=None)
    memo = Memo(execution, stands_for, position.checkpoint, NOTHING)
    return memo


def _timed(branch: Branch, *args: Any, **named: Any) -> Any:
    begun = perf_counter()
    answer = branch.route(*args, **named)
    spent = perf_counter() - begun
    if spent > SLOW_ROUTER or branch.pace.score:
        branch.pace.took(spent)
    return answer


def _call(memo: Memo) -> Awaitable[Any]:
    """The call of the task's node, with all that it is given."""
    node = memo.task.node
    args, named = arguments((memo.task.arg,), node, memo)
    if node.is_async:
        running: Awaitable[Any] = node.run(*args, **named)
        return running
    return memo.call(node.run, *args, **named)
