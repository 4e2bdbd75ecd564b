"""Run: the tasks of one superstep at the same time, each recorded when it finishes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from . import caching, events, faults
from .attempts import in_time, until_done
from .checkpoint import Note, Position, TaskWrites
from .context import Context, SyncContext
from .errors import GraphInterrupt, ParentCommand
from .execution import Execution, config
from .graph import Branch, Calling
from .memo import SHORT, Memo, current
from .notes import NOTHING, Recorded
from .plan import Task, view
from .update import fold
from .writes import read_answer, read_route, update_data

#: A router that took longer once is called in a thread from then on. Seconds.
SLOW_ROUTER = 0.002

Result = TaskWrites | GraphInterrupt


async def run_tasks(
    execution: Execution, position: Position, tasks: Sequence[Task], known: Recorded
) -> dict[str, Result]:
    """What became of every task, by id, in the order of `tasks`: what it wrote, or what it waits
    for. Those that are done already, and those that still wait, are not run again.

    A task that finishes while others run is recorded at once, so that a crash does not repeat it;
    the last one goes with its superstep's commit. The first error stops the other tasks and is
    raised as NodeError; what had finished stays recorded.
    """
    ended: dict[str, Result] = {}
    if known is not NOTHING:
        for task in tasks:
            result = known.done.get(task.task_id) or _still_waits(execution, task, known)
            if result is not None:
                ended[task.task_id] = result
    waiting = [task for task in tasks if task.task_id not in ended]
    some_wait = any(isinstance(result, GraphInterrupt) for result in ended.values())

    async def one(task: Task) -> None:
        nonlocal some_wait
        ended[task.task_id] = result = await run_task(execution, position, task, known)
        if isinstance(result, GraphInterrupt):
            some_wait = True
        elif position.checkpoint is not None and (some_wait or len(ended) < len(tasks)):
            faults.point("before_record")
            note = Note(task_id=task.task_id, node=task.node.name, kind="writes", body=result)
            execution.journal.record(execution.lease, position.checkpoint, [note])
            faults.point("after_record")

    if len(waiting) == 1:
        await one(waiting[0])
    elif waiting:
        await _all(waiting, one)
    return {task.task_id: ended[task.task_id] for task in tasks}


async def _all(tasks: Sequence[Task], one: Any) -> None:
    create = asyncio.get_running_loop().create_task
    running = [create(one(task)) for task in tasks]
    try:
        await asyncio.gather(*running)
    except BaseException:
        for future in running:
            future.cancel()
        await asyncio.wait(running)
        raise


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
    execution.state(task, events.NODE_STARTED, b'{"task_id":"%b"}' % task.task_id.encode())
    memo = Memo(execution, task, position.checkpoint, known)
    key = caching.key_of(execution.graph, task) if task.node.cache is not None else None
    found = await caching.find(execution.graph, task, key) if key else None
    if found is None:
        try:
            found = await until_done(memo, partial(_attempt, execution, position, task, memo))
        except GraphInterrupt as pause:
            return pause
        if key:
            await caching.keep(execution.graph, task, key, found)
    execution.state(task, events.NODE_UPDATE, update_data(found.writes))
    return found


async def _attempt(execution: Execution, position: Position, task: Task, memo: Memo) -> TaskWrites:
    graph, name = execution.graph, task.node.name
    token = current.set(memo)
    try:
        answer = await _call(task, memo)
    except ParentCommand as sent:  # of a node in a graph inside this node
        answer = replace(sent.command, graph=None)
    else:
        if task.node.subgraph is not None:  # keys of its own stay its own
            answer = {key: answer[key] for key in answer if key in graph.channels}
    finally:
        current.reset(token)
    writes, targets = read_answer(graph, name, answer)
    made = tuple(writes)
    execution.check_sizes(name, made)
    finished = TaskWrites(task_id=task.task_id, node=name, writes=made)
    if branches := graph.branches.get(name):
        targets += await routes(execution, position, finished, branches)
    if not targets:
        return finished
    return TaskWrites(task_id=task.task_id, node=name, writes=made, goto=tuple(targets))


async def routes(
    execution: Execution, position: Position, task: TaskWrites, branches: Sequence[Branch]
) -> list[Any]:
    """Where the routers after a task send the run. They see its own writes and no one else's."""
    graph = execution.graph
    seen = Position(values=fold(graph, position.values, [task]))
    targets: list[Any] = []
    for branch in branches:
        state = view(graph.view, seen)
        if branch.is_async:
            answer = await branch.route(state)
        elif branch.pace.slow:
            answer = await execution.in_thread(branch.route, state)
        else:
            begun = perf_counter()
            answer = branch.route(state)
            branch.pace.slow = perf_counter() - begun > SLOW_ROUTER
        targets += read_route(graph, task.node, branch, answer)
    return targets


async def _call(task: Task, memo: Memo) -> Any:
    node, args = task.node, [task.arg]
    if node.calling != "state":
        args.append(_given(memo, node.calling))
    named = {name: _given(memo, what) for name, what in node.keywords}
    if node.is_async:
        return await in_time(memo, node.run(*args, **named))
    return await in_time(memo, memo.execution.in_thread(node.run, *args, **named))


def _given(memo: Memo, what: Calling) -> Any:
    if what == "config":
        return config(memo.execution, memo.task)
    context = Context(memo) if memo.task.node.is_async else SyncContext(memo)
    return context.emit if what == "writer" else context
