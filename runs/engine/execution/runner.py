"""Run: the tasks of one superstep at the same time, each recorded when it finishes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from runs.engine import events, faults
from runs.engine.checkpoint import Note, Position, TaskWrites
from runs.engine.concurrency import stopping
from runs.engine.errors import GraphInterrupt, NodeError, ParentCommand
from runs.engine.execution import caching, language_models
from runs.engine.execution.arguments import arguments
from runs.engine.execution.atomic import run_atomic
from runs.engine.execution.execution import Execution
from runs.engine.execution.node_call import call_node
from runs.engine.execution.retrying import run_with_retries, with_timeout
from runs.engine.execution.routing import refuse_sent_commands, routes, sent_commands, with_routes
from runs.engine.execution.task.signals import again
from runs.engine.execution.task.task_call import SHORT, TaskCall, current
from runs.engine.superstep.pending import NO_PENDING_WRITES, PendingWrites, Sleep, asked
from runs.engine.superstep.plan import Task
from runs.engine.superstep.writes import identified, read_answer, update_data
from runs.engine.types import Interrupt

Result = TaskWrites | GraphInterrupt
Attempt = Callable[[TaskCall], Awaitable[TaskWrites]]


async def run_tasks(
    execution: Execution, position: Position, tasks: Sequence[Task], known: PendingWrites
) -> dict[str, Result]:
    """What became of every task, by id, in the order of `tasks`: what it wrote, or what it waits
    for. Those that are done already, and those that still wait, are not run again.

    A task that finishes while others run is recorded at once, so that a crash does not repeat it;
    the last one goes with its superstep's commit. The first error stops the other tasks and is
    raised as NodeError; what had finished stays recorded, and so does what others had asked.
    """
    ended = {} if known is NO_PENDING_WRITES else _ended_before(execution, tasks, known)
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
            faults.point("before_record", execution.lease.run_id, task.step)
            note = Note(task_id=task.task_id, node=task.node.name, kind="writes", body=result)
            execution.journal.record(execution.lease, position.checkpoint, [note])
            faults.point("after_record", execution.lease.run_id, task.step)

    if waiting:
        try:
            await _all(waiting, one)
        except NodeError:
            _keep_questions(execution, position, ended, known)
            raise
    return {task.task_id: ended[task.task_id] for task in tasks}


def _keep_questions(
    execution: Execution, position: Position, ended: Mapping[str, Result], known: PendingWrites
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
    stopping.own(running)
    try:
        await over
    except BaseException:
        await stopping.end(running)
        raise
    finally:
        stopping.disown(running)


def _ended_before(
    execution: Execution, tasks: Sequence[Task], known: PendingWrites
) -> dict[str, Result]:
    """The tasks that are not to be run (again): done already, or waiting still."""
    found = {
        task.task_id: known.done.get(task.task_id) or _still_waits(execution, task, known)
        for task in tasks
    }
    return {task_id: result for task_id, result in found.items() if result is not None}


def _still_waits(execution: Execution, task: Task, known: PendingWrites) -> GraphInterrupt | None:
    """What a task waits for, as far as it says so itself: of what waits in a subgraph, the
    subgraph knows best."""
    interrupts = [
        interrupt
        for interrupt in known.asked.get(task.task_id, ())
        if interrupt.id not in execution.answers and interrupt.namespace == execution.namespace
    ]
    sleeps = known.sleeps.get(task.task_id, ())
    now = execution.clock.now()
    left = [one for one in sleeps if (one.until - now).total_seconds() > SHORT]
    if execution.again and interrupts and not left:
        return None
    if not known.old and _goes_on(task, known, interrupts, sleeps, left):
        return None
    until = (max if known.old else min)((one.until for one in left), default=None)
    return GraphInterrupt(interrupts, until=until) if interrupts or until else None


def _goes_on(
    task: Task,
    known: PendingWrites,
    interrupts: Sequence[Interrupt],
    sleeps: Sequence[Sleep],
    left: Sequence[Sleep],
) -> bool:
    """Whether one of several things is over that the task waited for at the same time: a question
    is answered, or a sleep has ended. The others are asked, and slept, on."""
    asked, waits = known.asked.get(task.task_id, ()), known.waits.get(task.task_id, ())
    still = {one.id for one in interrupts}
    answered = [number for number, one in enumerate(asked) if one.id in known.answers]
    first = min((waits[n] for n, one in enumerate(asked) if one.id in still), default=None)
    if first is not None and any(waits[number] >= first for number in answered):
        return True
    over = [one for one in sleeps if one not in left]
    return any(
        any(number >= one.asked for number in answered)
        or any(one.since is not None and other.until > one.since for other in over)
        for one in left
    )


async def run_task(
    execution: Execution, position: Position, task: Task, known: PendingWrites
) -> Result:
    """Run one task to its end, again after an error as its retry policy says."""
    told = b'{"task_id":"%b"}' % task.task_id.encode()
    execution.emit_task_event(task, events.NODE_STARTED, told, task)
    memo = TaskCall(execution, task, position.checkpoint, known)
    try:
        if task.node.cache is None:
            attempt: Attempt = partial(_attempt, position, None)
            if task.node.timeout is not None:
                attempt = _timed(task, attempt)
            found = await run_with_retries(memo, attempt)
        else:
            found = await _kept_or_made(memo, position, known)
    except GraphInterrupt as pause:
        return pause
    if not task.node.atomic:
        execution.emit_task_event(task, events.NODE_UPDATE, update_data(found.writes))
    return found


def _timed(task: Task, attempt: Attempt) -> Attempt:
    """The attempt in the time that the node has, for its routers too: they are a part of it. An
    atomic node decides itself when it is too late."""
    if task.node.timeout is None or task.node.atomic:
        return attempt
    return lambda memo: with_timeout(memo, attempt(memo))


async def _kept_or_made(memo: TaskCall, position: Position, known: PendingWrites) -> TaskWrites:
    """What the cache has of a task like this one, with where its routers lead now; or what the
    node does, which is then kept."""
    execution, task = memo.execution, memo.task
    graph = execution.graph
    try:
        key = caching.key_of(graph, task, execution)
        # What has asked before goes on with its answers, and not with the result of another run.
        asks = task.task_id in known.asked
        kept = None if key is None or asks else await caching.find(graph, task, key)
    except Exception as error:
        raise NodeError(
            task.node.name, error, namespace=execution.namespace, task_id=task.task_id
        ) from error
    if kept is not None:
        kept = identified(graph, kept)
        return await run_with_retries(memo, _timed(task, partial(with_routes, position, kept)))
    made: list[TaskWrites] = []
    found = await run_with_retries(memo, _timed(task, partial(_attempt, position, made)))
    if key is not None:
        await caching.keep(graph, task, key, made[-1])
    return found


async def _attempt(
    position: Position, alone: list[TaskWrites] | None, memo: TaskCall
) -> TaskWrites:
    """One call of the node and its routers. To `alone` goes what the node said without them."""
    execution, task = memo.execution, memo.task
    graph, name = execution.graph, task.node.name
    token = current.set(memo)  # for the routers too: they are a part of the task
    leave = language_models.enter(memo)
    try:
        if task.node.atomic:
            args, named = arguments((task.argument(),), task.node, memo)
            return await run_atomic(memo, position, partial(task.node.run, *args, **named))
        try:
            answer = await call_node(memo)
            if memo.signals is not None:  # its code caught what it asked
                raise again(memo.signals.items)
        except BaseException as error:
            answer = sent_commands(memo, error)
        else:
            if task.node.subgraph is not None:  # keys of its own stay its own
                answer = {key: answer[key] for key in answer if key in graph.channels}
        seed = None if alone is not None else task.task_id
        writes, targets = read_answer(graph, name, answer, seed)
        made = tuple(writes)
        if execution.max_value_bytes is not None:
            execution.check_sizes(name, made)
            execution.check_sends(name, targets)
        finished = TaskWrites(task_id=task.task_id, node=name, writes=made, inside=memo.inside)
        if alone is not None:
            alone.append(replace(finished, goto=tuple(targets)))
            finished = identified(graph, alone[-1])  # a kept result gets new ids each time
            made, targets = finished.writes, list(finished.goto)
        if execution.models:
            language_models.tell(memo, position.values, made)
        if branches := graph.branches.get(name):
            try:
                targets += await routes(execution, position, finished, branches)
            except ParentCommand:
                refuse_sent_commands(memo)
                raise
            if memo.signals is not None:
                refuse_sent_commands(memo)
    finally:
        current.reset(token)
        if leave is not None:
            leave()
    if not targets:
        return finished
    return TaskWrites(  # not replace(), which costs several times as much
        task_id=task.task_id, node=name, writes=made, goto=tuple(targets), inside=memo.inside
    )
