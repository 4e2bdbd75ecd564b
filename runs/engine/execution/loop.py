"""The loop: load, plan, run, update, commit, and again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal

import orjson

from runs.engine import events, faults, ids
from runs.engine.checkpoint import Change, Frontier, Note, Position, Saved, Source, TaskWrites
from runs.engine.concurrency import node_tasks, stopping
from runs.engine.concurrency.outside_calls import NoNode
from runs.engine.errors import (
    EmptyInputError,
    GraphInterrupt,
    GraphRecursionError,
    NodeError,
    RunTimeoutError,
)
from runs.engine.events import Event
from runs.engine.execution.execution import CheckpointDetail, Execution
from runs.engine.execution.limits import check_size, check_state_size
from runs.engine.execution.retrying import cancelled_itself, is_run_cancellation
from runs.engine.execution.routing import routes
from runs.engine.execution.runner import run_tasks
from runs.engine.execution.task.task_call import current
from runs.engine.journal.ports import Superstep
from runs.engine.journal.replayed_events import ReplayedEvents
from runs.engine.superstep import pending
from runs.engine.superstep.earlier_ids import with_recorded_ids
from runs.engine.superstep.pending import NO_PENDING_WRITES, PendingWrites
from runs.engine.superstep.plan import Task, plan
from runs.engine.superstep.restore import begin, restore
from runs.engine.superstep.update import commanded, fold, update
from runs.engine.superstep.writes import read_input
from runs.engine.types import START, Interrupt


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where a run stands when it has nothing to execute: at its end, or waiting for answers to
    `interrupts`, or until a time (or both: then it is `interrupted`)."""

    status: Literal["done", "interrupted", "sleeping"] = "done"
    position: Position
    interrupts: Sequence[Interrupt] = ()
    until: datetime | None = None


def advance(execution: Execution, payload: Any) -> Coroutine[Any, Any, Outcome]:
    """`_advance`, in the time that the graph gives a run."""
    node_tasks.watch(current)
    seconds = execution.graph.timeout
    if seconds is None or execution.namespace:
        return _advance(execution, payload)
    return _limited(execution, payload, seconds)


async def _limited(execution: Execution, payload: Any, seconds: float) -> Outcome:
    try:
        return await stopping.result(stopping.begin(_advance(execution, payload)), seconds)
    except stopping.TimeOver as error:
        raise RunTimeoutError(
            f"The run executed longer than its timeout of {seconds:g} s."
        ) from error.__cause__


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
        if known is not NO_PENDING_WRITES:
            tasks = with_recorded_ids(tasks, known, seen.checkpoint, run_id)
        if not tasks and not any(command.writes for command in known.commands):
            execution.refuse_late()
            return Outcome(position=position)
        if tasks and (stop := _stop(execution, position, tasks)) is not None:
            return _suspend(execution, seen, known, {stop.id: GraphInterrupt([stop])}, [])
        results = await run_tasks(execution, seen, tasks, known)
        execution.refuse_late()
        done = [result for result in results.values() if isinstance(result, TaskWrites)]
        if len(done) < len(results):
            waiting = {t: r for t, r in results.items() if isinstance(r, GraphInterrupt)}
            return _suspend(execution, seen, known, waiting, done)
        position = await commit(execution, position, done, commands=known.commands)
        known, execution.clean = NO_PENDING_WRITES, True
    if not position.frontier.next_nodes:
        return Outcome(position=position)
    raise GraphRecursionError(
        f"The run took {execution.step_limit} supersteps without coming to an end. Look for a loop "
        "that never routes to END, or raise the step limit."
    )


async def _open(execution: Execution, payload: Any) -> tuple[Position, PendingWrites, int]:
    """Where to begin, what is on record there, and the step the run's limit counts from."""
    saved = await _load(execution)
    if saved is None:
        position = begin(execution.graph)
        if not execution.fresh and not execution.namespace:
            _hear(execution, await execution.journal.heard(execution.lease.run_id))
    else:
        position = restore(execution.graph, saved.checkpoint, saved.chains)
        execution.reached = saved.checkpoint.checkpoint_id
        mine = saved.checkpoint.run_id == execution.lease.run_id
        if payload is None or (mine and execution.reached != execution.base):
            known = pending.read(saved.notes) if saved.notes else NO_PENDING_WRITES
            execution.answers.update(known.answers)
            _show(execution, position, known)
            counted = mine and not execution.recount
            return position, known, saved.entered if counted else position.step
    if payload is None:
        raise EmptyInputError("There is nothing to begin with: give an input, or a thread.")
    position = await _enter(execution, position, payload)
    execution.clean = True
    return position, NO_PENDING_WRITES, position.step


def _show(execution: Execution, position: Position, known: PendingWrites) -> None:
    """Whoever listens sees first where the run goes on. Nothing has happened, so it is no event of
    the log."""
    if execution.observer is not None and execution.resumes:
        seen = commanded(execution.graph, position, known.commands)
        stands = CheckpointDetail(graph=execution.graph, position=seen, changed=seen.values)
        execution.observer(_announced(execution, seen), stands)


async def _load(execution: Execution) -> Saved | None:
    load = partial(
        execution.journal.load,
        execution.lease.thread_id,
        namespace=execution.namespace,
        run_id=execution.lease.run_id,
    )
    saved = None
    if not execution.fresh:
        saved = await load(checkpoint_id=execution.checkpoint_id)
    if saved is None and execution.base is not None:
        saved = await load(checkpoint_id=execution.base)
    if saved is not None:
        _hear(execution, saved.heard)
    return saved


def _hear(execution: Execution, heard: Mapping[str, Sequence[tuple[str, bytes]]]) -> None:
    execution.heard.update((about, ReplayedEvents(told)) for about, told in heard.items())


async def _enter(execution: Execution, position: Position, payload: Any) -> Position:
    """The first superstep of a run: its input, and what the edges from START make of it."""
    graph, lease = execution.graph, execution.lease
    task_id = ids.derived_text(lease.run_id, START)
    # A subgraph that keeps its state is entered again and again in one run.
    reached = "" if position.checkpoint is None else position.checkpoint.checkpoint_id
    seed = f"{task_id}:{execution.namespace}:{reached}"
    writes = tuple(read_input(graph, payload, seed, known=position.tails))
    begun = TaskWrites(task_id=task_id, node=START, writes=writes)
    # What the thread still had to do gives way to the input.
    position = position.at(Frontier(inside=position.frontier.inside))
    if branches := graph.branches.get(START):
        try:
            with NoNode("a router of START", hides=False):
                goto = await routes(execution, position, begun, branches)
        except BaseException as error:
            if is_run_cancellation(error):
                raise
            if isinstance(error, asyncio.CancelledError):
                error = cancelled_itself(START, error)
            raise NodeError(START, error, namespace=execution.namespace) from error
        begun = replace(begun, goto=tuple(goto))
    return await commit(execution, position, [begun], source="input")


def _stop(execution: Execution, position: Position, tasks: Sequence[Task]) -> Interrupt | None:
    """Where the graph was compiled to wait, unless it was told to go on already."""
    before = execution.graph.stop_before
    if position.checkpoint is None or not (
        position.frontier.stop or (before and any(task.node.name in before for task in tasks))
    ):
        return None
    stop_id = pending.stop_id(execution.lease.run_id, position.checkpoint)
    if stop_id in execution.answers:
        return None
    names = ", ".join(task.node.name for task in tasks)
    return Interrupt(None, stop_id, names, execution.namespace, stop=True)


def _suspend(
    execution: Execution,
    seen: Position,
    known: PendingWrites,
    waiting: dict[str, GraphInterrupt],
    done: Sequence[TaskWrites],
) -> Outcome:
    assert seen.checkpoint is not None
    asked: list[Note] = []
    for task_id, pause in waiting.items():
        asked += pending.asked(task_id, pause.interrupts, known)
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
    event = _announced(execution, position, now)
    at = execution.lease.run_id, checkpoint.step
    faults.point("before_commit", *at)
    given: Sequence[str] = ()
    if source == "input" and not namespace:
        # What enters a channel in another form is not what the input has.
        given = _given(done[0], [c for c in changes if c.channel not in execution.graph.entries])
    known = execution.heard and execution.is_already_logged(checkpoint.checkpoint_id, event)
    said = [] if known else [event]
    superstep = Superstep(checkpoint=checkpoint, changes=changes, events=said, given=given)
    await execution.journal.commit(execution.lease, superstep)
    execution.reached = checkpoint.checkpoint_id
    faults.point("after_commit", *at)
    if execution.observer is not None:
        changed = [change.channel for change in changes]
        stands = CheckpointDetail(graph=execution.graph, position=position, changed=changed)
        execution.observer(event, stands)
    return position


def _announced(execution: Execution, position: Position, now: datetime | None = None) -> Event:
    """The event that says where a run stands."""
    checkpoint = position.checkpoint
    assert checkpoint is not None
    told = {"checkpoint_id": checkpoint.checkpoint_id, "next": checkpoint.frontier.next_nodes}
    return Event(
        name=events.CHECKPOINT,
        ts=now or execution.clock.now(),
        step=checkpoint.step,
        namespace=execution.namespace,
        data=orjson.dumps(told),
    )


def _given(begun: TaskWrites, changes: Sequence[Change]) -> list[str]:
    """The keys whose stored value is just what the input has for them. Only such as make up half of
    the input: whoever reads the value from there reads all of the input."""
    encoded = {write.channel: write.encoded for write in begun.writes}
    half = sum(map(len, encoded.values())) / 2
    return [
        change.channel
        for change in changes
        if len(said := encoded[change.channel]) >= half
        and change.value == (b"[%b]" % said if change.is_delta else said)
    ]
