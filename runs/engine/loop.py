"""The loop: load, plan, run, update, commit, and again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import orjson

from . import events, faults, ids, notes
from .checkpoint import Frontier, Note, Position, Saved, Source, TaskWrites
from .errors import EmptyInputError, GraphInterrupt, GraphRecursionError, NodeError, RunTimeoutError
from .events import Event
from .execution import Execution, check_size, check_state_size
from .notes import NOTHING, Recorded
from .plan import Task, plan
from .ports import Superstep
from .restore import begin, restore
from .runner import routes, run_tasks
from .types import START, Interrupt
from .update import commanded, fold, update
from .writes import read_input


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where a run stands when it has nothing to execute: at its end, or waiting for answers to
    `interrupts`, or until a time (or both: then it is `interrupted`)."""

    status: Literal["done", "interrupted", "sleeping"] = "done"
    position: Position
    interrupts: Sequence[Interrupt] = ()
    until: datetime | None = None


async def advance(execution: Execution, payload: Any) -> Outcome:
    """`_advance`, in the time that the graph gives a run."""
    seconds = execution.graph.timeout
    if seconds is None or execution.namespace:
        return await _advance(execution, payload)
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await _advance(execution, payload)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise RunTimeoutError(
            f"The run executed longer than its timeout of {seconds:g} s."
        ) from error


async def _advance(execution: Execution, payload: Any) -> Outcome:
    """Take a run as far as it goes now.

    With a payload the thread's state is where it begins, the payload is its first superstep;
    without one it goes on where its checkpoint says. A run that waited, or that a crash cut short,
    goes on after its last superstep either way, and does not run again what was recorded.
    """
    graph, run_id = execution.graph, execution.lease.run_id
    position, known, first = await _open(execution, payload)
    while position.step - first < execution.step_limit:
        seen = commanded(graph, position, known.commands)
        tasks = plan(graph, seen, run_id=run_id)
        if not tasks and not any(command.writes for command in known.commands):
            return Outcome(position=position)
        if tasks and (stop := _stop(execution, position, tasks)) is not None:
            return _suspend(execution, seen, known, {stop.id: GraphInterrupt([stop])}, [])
        results = await run_tasks(execution, seen, tasks, known)
        waiting = {t: r for t, r in results.items() if isinstance(r, GraphInterrupt)}
        done = [result for result in results.values() if isinstance(result, TaskWrites)]
        if waiting:
            return _suspend(execution, seen, known, waiting, done)
        position = await commit(execution, position, done, commands=known.commands)
        known, execution.clean = NOTHING, True
    if not position.frontier.next_nodes:
        return Outcome(position=position)
    raise GraphRecursionError(
        f"The run took {execution.step_limit} supersteps without coming to an end. Look for a loop "
        "that never routes to END, or raise the step limit."
    )


async def _open(execution: Execution, payload: Any) -> tuple[Position, Recorded, int]:
    """Where to begin, what is on record there, and the step the run's limit counts from."""
    saved = None if execution.fresh else await _load(execution)
    if saved is None:
        position = begin(execution.graph)
    else:
        position = restore(execution.graph, saved.checkpoint, saved.chains)
        if saved.checkpoint.run_id == execution.lease.run_id or payload is None:
            known = notes.read(saved.notes) if saved.notes else NOTHING
            execution.answers.update(known.answers)
            mine = saved.checkpoint.run_id == execution.lease.run_id and not execution.recount
            return position, known, saved.entered if mine else position.step
    if payload is None:
        raise EmptyInputError("There is nothing to begin with: give an input, or a thread.")
    position = await _enter(execution, position, payload)
    execution.clean = True
    return position, NOTHING, position.step


async def _load(execution: Execution) -> Saved | None:
    saved = await execution.journal.load(
        execution.lease.thread_id,
        namespace=execution.namespace,
        checkpoint_id=execution.checkpoint_id,
        run_id=execution.lease.run_id,
    )
    if saved is not None:
        execution.heard.update((task_id, deque(told)) for task_id, told in saved.heard.items())
    return saved


async def _enter(execution: Execution, position: Position, payload: Any) -> Position:
    """The first superstep of a run: its input, and what the edges from START make of it."""
    graph, lease = execution.graph, execution.lease
    writes = tuple(read_input(graph, payload))
    begun = TaskWrites(task_id=str(ids.derived(lease.run_id, START)), node=START, writes=writes)
    position = position.at(Frontier())  # what the thread still had to do gives way to the input
    if branches := graph.branches.get(START):
        try:
            goto = await routes(execution, position, begun, branches)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            raise NodeError(START, error) from error
        begun = replace(begun, goto=tuple(goto))
    return await commit(execution, position, [begun], source="input")


def _stop(execution: Execution, position: Position, tasks: Sequence[Task]) -> Interrupt | None:
    """Where the graph was compiled to wait, unless it was told to go on already."""
    before = execution.graph.stop_before
    if position.checkpoint is None or not (
        position.frontier.stop or (before and any(task.node.name in before for task in tasks))
    ):
        return None
    stop_id = notes.stop_id(execution.lease.run_id, position.checkpoint)
    if stop_id in execution.answers:
        return None
    names = ", ".join(task.node.name for task in tasks)
    return Interrupt(None, stop_id, names, execution.namespace, stop=True)


def _suspend(
    execution: Execution,
    seen: Position,
    known: Recorded,
    waiting: dict[str, GraphInterrupt],
    done: Sequence[TaskWrites],
) -> Outcome:
    assert seen.checkpoint is not None
    asked: list[Note] = []
    for task_id, pause in waiting.items():
        asked += notes.asked(task_id, pause.interrupts, known)
    if asked:
        execution.journal.record(execution.lease, seen.checkpoint, asked)
    values = fold(execution.graph, seen.values, done)
    interrupts = [interrupt for pause in waiting.values() for interrupt in pause.interrupts]
    return Outcome(
        status="interrupted" if interrupts else "sleeping",
        position=replace(seen, values=values),
        interrupts=interrupts,
        until=min((p.until for p in waiting.values() if p.until is not None), default=None),
    )


async def commit(
    execution: Execution,
    position: Position,
    done: Sequence[TaskWrites],
    *,
    commands: Sequence[TaskWrites] = (),
    source: Source = "loop",
) -> Position:
    """End a superstep: state, checkpoint and event in one go. Answers where the run stands then."""
    now, namespace = execution.clock.now(), execution.namespace
    position, changes = update(
        execution.graph,
        position,
        done,
        lease=execution.lease,
        now=now,
        namespace=namespace,
        source=source,
        commands=commands,
    )
    checkpoint = position.checkpoint
    assert checkpoint is not None
    if execution.max_value_bytes is not None or execution.max_state_bytes is not None:
        nodes = ", ".join(sorted({task.node for task in done}))
        sizes = {key: tail.full_size + tail.delta_size for key, tail in position.tails.items()}
        for change in changes:
            check_size(nodes, change.channel, sizes[change.channel], execution.max_value_bytes)
        check_state_size(nodes, sizes, execution.max_state_bytes)
    told = {"checkpoint_id": checkpoint.checkpoint_id, "next": checkpoint.frontier.next_nodes}
    event = Event(
        name=events.CHECKPOINT,
        ts=now,
        step=checkpoint.step,
        namespace=namespace,
        data=orjson.dumps(told),
    )
    faults.point("before_commit")
    superstep = Superstep(checkpoint=checkpoint, changes=changes, events=[event])
    await execution.journal.commit(execution.lease, superstep)
    faults.point("after_commit")
    if execution.listen is not None:
        execution.listen(event, position)
    return position
