"""Runs in this process: what `ainvoke` and `astream` do around the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from runs.engine import events, ids, serde
from runs.engine.calls.options import Options
from runs.engine.checkpoint import Checkpoint, Saved
from runs.engine.clock import Clock, SystemClock
from runs.engine.concurrency import stopping
from runs.engine.errors import EmptyInputError, NodeCancelledError, NodeError
from runs.engine.events import Event
from runs.engine.execution.execution import CheckpointDetail, Execution
from runs.engine.execution.loop import Outcome, advance
from runs.engine.graph.graph import Graph
from runs.engine.journal.durability import PacedJournal, paced
from runs.engine.journal.memory import MemoryJournal
from runs.engine.journal.ports import Journal, Lease, Superstep
from runs.engine.superstep import pending
from runs.engine.superstep.earlier_ids import for_a_fork, with_recorded_ids
from runs.engine.superstep.pending import PendingWrites
from runs.engine.superstep.plan import Task, plan
from runs.engine.superstep.restore import restore
from runs.engine.superstep.task_keys import place_of
from runs.engine.types import MISSING, Command

STEP_LIMIT = 10_000

Listener = Callable[[Event, Any], None]


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One call of a graph. `journal` is where its threads are kept, `config` what its nodes see."""

    graph: Graph
    journal: Journal
    context: Any = None
    observer: Listener | None = None
    models: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=lambda: Options())

    async def run(self, given: Any) -> Outcome:
        """Execute until the run ends or waits for an answer. What a node raises comes out as it
        is."""
        execution = await self._execution(given)
        journal = paced(
            execution.journal, self.options.get("durability") or "sync", execution.lease
        )
        execution.journal = journal
        outcome = failure = None
        try:
            payload = None if isinstance(given, Command) else given
            outcome = await stopping.result(stopping.begin(_awake(execution, journal, payload)))
        except NodeError as error:
            failure = error.__cause__
        except asyncio.CancelledError as error:
            if stopping.is_asked(asyncio.current_task()):
                raise
            raise NodeCancelledError("") from error
        finally:
            journal.flush()
        if outcome is None:  # raised here, where nothing takes the place of its own cause
            assert failure is not None
            try:
                raise failure
            finally:
                del failure  # its traceback has this frame
        await journal.settle(execution.lease)
        if outcome.interrupts:
            asked = [{"id": one.id, "value": one.value} for one in outcome.interrupts]
            data = serde.dumps({"interrupts": asked})
            now = execution.clock.now()
            stands = CheckpointDetail(
                graph=self.graph, position=outcome.position, interrupts=outcome.interrupts
            )
            execution.emit_run_event(Event(name=events.INTERRUPTED, ts=now, data=data), stands)
        return outcome

    async def _execution(self, given: Any) -> Execution:
        options = self.options
        clock = options.get("clock") or SystemClock()
        # Texts by now, whatever they were given as (`options_of`).
        thread_id = cast("str | None", options.get("thread_id"))
        begin = cast("str | None", options.get("checkpoint_id"))
        journal = options.get("journal") or (self.journal if thread_id else MemoryJournal())
        lease = await new_run(journal, thread_id, clock, branches=begin is not None)
        execution = Execution(
            graph=self.graph,
            journal=journal,
            lease=lease,
            clock=clock,
            artifacts=options.get("artifacts"),
            step_limit=options.get("recursion_limit") or STEP_LIMIT,
            checkpoint_id=begin,
            fresh=thread_id is None,
            context=self.context,
            config=self.config,
            recount=True,
            observer=self.observer,
            models=self.models,
        )
        if given is None or isinstance(given, Command):
            await _go_on(execution, given or Command())
            execution.resumes, execution.again = True, given is None
        return execution


async def _awake(execution: Execution, journal: PacedJournal, payload: Any) -> Outcome:
    """`advance`, again after every sleep."""
    outcome = await advance(execution, payload)
    while outcome.status == "sleeping":
        assert outcome.until is not None
        await journal.settle(execution.lease)
        wait = outcome.until - execution.clock.now()
        await execution.clock.sleep(max(wait.total_seconds(), 0.0))
        execution.fresh = execution.resumes = False
        outcome = await advance(execution, payload)
    return outcome


async def new_run(
    journal: Journal, thread_id: str | None, clock: Clock, *, branches: bool
) -> Lease:
    """The lease of a run that nobody else knows of. Checkpoints sort by the millisecond their run
    was created in, and then by step: one that `branches` off, at a step the thread had before, is
    to be later than all that is there."""
    run_id = str(ids.uuid7())
    millis = int(clock.now().timestamp() * 1000)
    newest = await journal.load(thread_id) if branches and thread_id else None
    if newest is not None:
        millis = max(millis, ids.millis(newest.checkpoint.checkpoint_id) + 1)
    return Lease(run_id=run_id, thread_id=thread_id or run_id, created_ms=millis)


async def _go_on(execution: Execution, command: Command[Any]) -> None:
    """Make `execution` the continuation of the run that stands at its thread's newest checkpoint,
    and record what was said to it. From an older checkpoint a new run goes on, at a copy of it,
    and is told the answer to what was asked there, whatever was answered then."""
    journal, lease = execution.journal, execution.lease
    saved = await journal.load(lease.thread_id, checkpoint_id=execution.checkpoint_id)
    if saved is None:
        raise EmptyInputError("There is nothing to go on with: give an input, or a known thread.")
    checkpoint = saved.checkpoint
    known = pending.read(saved.notes, shown=True)
    newest = await journal.load(lease.thread_id) if execution.checkpoint_id else saved
    execution.checkpoint_id = None
    if newest is not None and newest.checkpoint.checkpoint_id != checkpoint.checkpoint_id:
        before, checkpoint = checkpoint, await _fork(execution, checkpoint)
        if known.old:
            tasks = _tasks(execution.graph, saved)
            tasks = with_recorded_ids(tasks, known, before, before.run_id)
            known, command = for_a_fork(known, command, tasks, before)
        else:
            known = PendingWrites(asked=known.asked)
    else:
        execution.lease = Lease(
            run_id=checkpoint.run_id,
            thread_id=lease.thread_id,
            created_ms=ids.millis(checkpoint.checkpoint_id),
        )
    asks = None
    if checkpoint.source == "update" and command.resume is not MISSING and not known.open():
        asks = await _asks_again(execution, saved)
    run_id = execution.lease.run_id
    said = pending.resume(execution.graph, run_id, checkpoint, known, command, asks=asks)
    journal.record(execution.lease, checkpoint, said)


async def _asks_again(execution: Execution, edited: Saved) -> str | None:
    """The place of the first task that comes after an edit and had asked before it."""
    graph, journal, before = execution.graph, execution.journal, edited
    while before.checkpoint.source == "update" and (parent := before.checkpoint.parent_id):
        found = await journal.load(before.checkpoint.thread_id, checkpoint_id=parent)
        if found is None:
            return None
        before = found
    known, at = pending.read(before.notes, shown=True), before.checkpoint
    tasks = with_recorded_ids(_tasks(graph, before), known, at, at.run_id)
    names = {task.node.name for task in tasks if task.task_id in known.asked}
    again = (task for task in _tasks(graph, edited) if task.node.name in names)
    return next((place_of(task, edited.checkpoint) for task in again), None)


def _tasks(graph: Graph, saved: Saved) -> list[Task]:
    position = restore(graph, saved.checkpoint, saved.chains)
    return plan(graph, position, run_id=saved.checkpoint.run_id)


async def _fork(execution: Execution, old: Checkpoint) -> Checkpoint:
    """Make a copy of an old checkpoint the thread's newest, for a new run to go on from."""
    lease, now = execution.lease, execution.clock.now()
    forked = old.fork(run_id=lease.run_id, created_ms=lease.created_ms, now=now)
    told = {"checkpoint_id": forked.checkpoint_id, "next": forked.frontier.next_nodes}
    event = Event(name=events.CHECKPOINT, ts=now, step=old.step, data=serde.dumps(told))
    superstep = Superstep(checkpoint=forked, changes=[], events=[event])
    await execution.journal.commit(lease, superstep)
    return forked
