"""Runs in this process: what `ainvoke` and `astream` do around the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from . import events, ids, notes, serde
from .checkpoint import Position
from .clock import Clock, SystemClock
from .errors import EmptyInputError, NodeError
from .events import Event
from .execution import Execution
from .graph import Graph
from .loop import Outcome, advance
from .memory import MemoryJournal
from .ports import ArtifactStore, Journal, Lease
from .types import Command

STEP_LIMIT = 10_000

Listener = Callable[[Event, Position | None], None]


class Options(TypedDict, total=False):
    """How a graph is to be run; all are optional."""

    thread_id: str
    checkpoint_id: str
    journal: Journal
    recursion_limit: int
    context: Any
    artifacts: ArtifactStore
    clock: Clock


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One call of a graph. `journal` is where its threads are kept."""

    graph: Graph
    journal: Journal
    context: Any = None
    listen: Listener | None = None
    options: Options = field(default_factory=lambda: Options())

    async def run(self, given: Any) -> Outcome:
        """Execute until the run ends or waits for an answer. What a node raises comes out as it
        is."""
        execution = await self._execution(given)
        payload = None if isinstance(given, Command) else given
        try:
            outcome = await advance(execution, payload)
            while outcome.status == "sleeping":
                assert outcome.until is not None
                wait = outcome.until - execution.clock.now()
                await execution.clock.sleep(max(wait.total_seconds(), 0.0))
                execution.fresh = False
                outcome = await advance(execution, payload)
        except NodeError as error:
            assert error.__cause__ is not None
            raise error.__cause__ from None
        if outcome.interrupts:
            asked = [{"id": one.id, "value": one.value} for one in outcome.interrupts]
            data = serde.dumps({"interrupts": asked})
            now = execution.clock.now()
            execution.say(Event(name=events.INTERRUPTED, ts=now, data=data), outcome.position)
        return outcome

    async def _execution(self, given: Any) -> Execution:
        options = self.options
        clock = options.get("clock") or SystemClock()
        thread_id = options.get("thread_id")
        execution = Execution(
            graph=self.graph,
            journal=options.get("journal") or (self.journal if thread_id else MemoryJournal()),
            lease=_new_run(thread_id, clock),
            clock=clock,
            artifacts=options.get("artifacts"),
            step_limit=options.get("recursion_limit", STEP_LIMIT),
            checkpoint_id=options.get("checkpoint_id"),
            fresh=thread_id is None,
            context=self.context,
            recount=True,
            listen=self.listen,
        )
        if given is None or isinstance(given, Command):
            await _go_on(execution, given or Command())
        return execution


def _new_run(thread_id: str | None, clock: Clock) -> Lease:
    run_id = str(ids.uuid7())
    millis = int(clock.now().timestamp() * 1000)
    return Lease(run_id=run_id, thread_id=thread_id or run_id, created_ms=millis)


async def _go_on(execution: Execution, command: Command[Any]) -> None:
    """Make `execution` the continuation of the run that stands at its thread's newest checkpoint,
    and record what was said to it. From an older checkpoint a new run goes on."""
    journal, lease = execution.journal, execution.lease
    saved = await journal.load(
        lease.thread_id, checkpoint_id=execution.checkpoint_id, run_id=lease.run_id
    )
    if saved is None:
        raise EmptyInputError("There is nothing to go on with: give an input, or a known thread.")
    checkpoint = saved.checkpoint
    known = notes.read(saved.notes)
    if execution.checkpoint_id is None:
        mine = await journal.load(lease.thread_id)
        assert mine is not None
        known = notes.read(mine.notes)
        execution.lease = Lease(
            run_id=checkpoint.run_id,
            thread_id=lease.thread_id,
            created_ms=ids.millis(checkpoint.checkpoint_id),
        )
    said = notes.resume(execution.graph, execution.lease.run_id, checkpoint, known, command)
    journal.record(execution.lease, checkpoint, said)


def options_of(config: Mapping[str, Any] | None, options: Options) -> Options:
    """`options`, with what a LangGraph config says about the thread and the limit."""
    if config is None:
        return options
    said = config.get("configurable", {})
    known = Options()
    if said.get("thread_id"):
        known["thread_id"] = str(said["thread_id"])
    if said.get("checkpoint_id"):
        known["checkpoint_id"] = said["checkpoint_id"]
    if "recursion_limit" in config:
        known["recursion_limit"] = config["recursion_limit"]
    known.update(options)
    return known
