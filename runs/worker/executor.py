"""Executing one claimed run: the engine's loop over the durable journal, to the run's end."""

from __future__ import annotations

import asyncio
import logging
import traceback
from concurrent.futures import Executor as Pool
from dataclasses import dataclass
from typing import Any

from runs import workflows
from runs.conf import conf
from runs.db.guard.connection_guard import ConnectionGuard
from runs.engine import events, faults, serde
from runs.engine.checkpoint import Position
from runs.engine.clock import SystemClock
from runs.engine.concurrency import guarding, stopping
from runs.engine.errors import Fenced, NodeCancelledError, NodeError, shown, storable, text_of
from runs.engine.events import Event
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import Outcome, advance
from runs.engine.journal.durability import PacedJournal, paced
from runs.engine.journal.ports import ArtifactStore
from runs.errors import Problem
from runs.journal.entry import Ending
from runs.journal.journal import DurableJournal
from runs.lifecycle import transitions
from runs.scheduling.claims import Claimed

_log = logging.getLogger("fastgraph.run")

RESULT = "result.json"
#: Up to so many bytes of state, to write a result down takes less than to ask a thread for it.
SMALL = 8 * 1024
LONGEST_MESSAGE = 10_000
LONGEST_TYPE = 200
LONGEST_TRACEBACK = 50_000


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Executes claimed runs, any number at the same time. `threads` runs sync nodes, and nothing
    else: what a run needs to end never waits for them."""

    journal: DurableJournal
    artifacts: ArtifactStore
    threads: Pool

    async def execute(self, claimed: Claimed, threads: Pool | None = None) -> None:
        """Take the run to its end and record how it ended. Never raises for what the run did: an
        error of a node, or of ours, ends the run as failed. A run that was taken away (fenced) is
        left alone. When this coroutine is cancelled, the run goes back to the queue at its last
        superstep, or ends if it was to be cancelled; if nobody has asked for that
        (`stopping`), it fails. `threads` takes the place of the shared ones."""
        faults.point("after_claim", claimed.lease.run_id)
        journal = paced(self.journal, claimed.durability, claimed.lease)
        try:
            await self._run(claimed, journal, threads or self.threads)
        except Fenced as error:
            _log.info("Left run %s: %s", claimed.lease.run_id, error)
            # Not ours any more, or to be cancelled and stopped by its node's transaction.
            await self._put_back(claimed, journal)
        except asyncio.CancelledError as error:
            if not stopping.is_asked(asyncio.current_task()):
                failure = NodeCancelledError("")
                failure.__cause__ = error
                await self._fail(claimed, journal, failure)
                return
            await self._put_back(claimed, journal)
            raise

    async def _run(self, claimed: Claimed, journal: PacedJournal, threads: Pool) -> None:
        guarding.guard.set(ConnectionGuard(claimed.lease.run_id, claimed.workflow))
        try:
            workflow = workflows.get(claimed.workflow)
            settings = conf()
            execution = Execution(
                graph=workflow.graph.graph,
                journal=journal,
                lease=claimed.lease,
                artifacts=self.artifacts,
                threads=threads,
                step_limit=settings.step_limit,
                max_event_bytes=settings.max_event_bytes,
                max_value_bytes=settings.max_value_bytes,
                max_state_bytes=settings.max_state_bytes,
                models=True,  # nobody knows who will read the stream
                checkpoint_id=claimed.checkpoint_id,
                fresh=claimed.checkpoint_id is None and claimed.lease.attempt == 1,
            )
            name = claimed.lease.run_id
            running = stopping.begin(advance(execution, claimed.payload), name)
            outcome = await stopping.result(running)
            if (fault := guarding.check()) is not None:
                raise fault
            if outcome.status == "done":
                output = workflow.graph.output(outcome.position)
                await self._complete(execution, journal, outcome.position, output)
            else:
                await self._park(execution, journal, outcome)
        except (Fenced, asyncio.CancelledError):
            raise
        except (
            BaseException
        ) as error:  # a router or reducer may raise SystemExit: no reason to exit
            await self._fail(claimed, journal, error)

    async def _complete(
        self,
        execution: Execution,
        journal: PacedJournal,
        position: Position,
        output: dict[str, Any],
    ) -> None:
        if sum(t.full_size + t.delta_size for t in position.tails.values()) <= SMALL:
            body = serde.pretty(output)
        else:  # too long for the event loop
            body = await asyncio.to_thread(serde.pretty, output)
        result = await execution.save(None, RESULT, body, "application/json")
        now = execution.clock.now()
        told = [
            Event(name=events.ARTIFACT, ts=now, data=serde.dumps(result.describe())),
            Event(
                name=events.COMPLETED,
                ts=now,
                data=serde.dumps({"step": position.step, "artifact_id": result.artifact_id}),
            ),
        ]
        faults.point("before_finish", execution.lease.run_id)
        ending = Ending(transition=transitions.COMPLETE, at=now)
        journal.flush()
        await self.journal.end(execution.lease, ending, told, [result])
        faults.point("after_finish", execution.lease.run_id)

    async def _park(self, execution: Execution, journal: PacedJournal, outcome: Outcome) -> None:
        now = execution.clock.now()
        if outcome.interrupts:
            transition, name = transitions.INTERRUPT, events.INTERRUPTED
            told: dict[str, Any] = {"interrupts": list(map(vars, outcome.interrupts))}
        else:
            transition, name = transitions.SLEEP, events.SLEEPING
            told = {"until": outcome.until.isoformat() if outcome.until else None}
        event = Event(name=name, ts=now, data=serde.dumps(told))
        faults.point("before_finish", execution.lease.run_id)
        ending = Ending(transition=transition, at=now, wake_at=outcome.until)
        journal.flush()
        await self.journal.end(execution.lease, ending, [event])
        faults.point("after_finish", execution.lease.run_id)

    async def _fail(self, claimed: Claimed, journal: PacedJournal, error: BaseException) -> None:
        now = SystemClock().now()
        told = describe(error)
        # The storable text, not exc_info: an error may hold what no log file takes.
        what = f"{told['type']}: {told['message']}\n{told['traceback']}".rstrip()
        _log.warning("Run %s of %s failed: %s", claimed.lease.run_id, claimed.workflow, what)
        short = {key: told[key] for key in ("type", "message", "node")}
        event = Event(
            name=events.FAILED,
            ts=now,
            node=told["node"] or "",
            namespace=told["namespace"],
            task_id=error.task_id if isinstance(error, NodeError) else None,
            data=serde.dumps(short),
        )
        ending = Ending(transition=transitions.FAIL, at=now, error=told)
        journal.flush()
        try:
            await self.journal.end(claimed.lease, ending, [event])
        except Fenced:
            raise
        except Exception as unstorable:  # of what was held back; the end alone is kept
            _log.warning("Steps of run %s are lost: %s", claimed.lease.run_id, unstorable)
            await self.journal.end(claimed.lease, ending, [event])

    async def _put_back(self, claimed: Claimed, journal: PacedJournal) -> None:
        ending = Ending(transition=transitions.STOP, at=SystemClock().now())
        try:
            journal.flush()
            await self.journal.end(claimed.lease, ending)
        except Fenced as error:  # somebody else has it already
            _log.info("Left run %s: %s", claimed.lease.run_id, error)
        except Exception as error:
            _log.warning(
                "Run %s was not put back, its lease will lapse: %s", claimed.lease.run_id, error
            )


def describe(error: BaseException) -> dict[str, Any]:
    """An error as a run keeps it: type, message, the node that raised it, where that is, and the
    traceback from the node on. Text is made storable whatever the error holds."""
    node = error.node if isinstance(error, NodeError) else None
    namespace = error.namespace if isinstance(error, NodeError) else ""
    cause = error.__cause__ if isinstance(error, NodeError) and error.__cause__ else error
    if isinstance(error, Problem):
        kind, message = error.code, error.detail
    else:
        kind, message = type(cause).__name__, text_of(cause)
    return {
        "type": storable(kind)[:LONGEST_TYPE],
        "message": storable(message)[:LONGEST_MESSAGE],
        "node": node,
        "namespace": namespace,
        "traceback": storable("".join(_lines(cause, node)))[-LONGEST_TRACEBACK:],
    }


def _own_frames(error: BaseException, node: str | None) -> Any:
    """The traceback without the engine's frames above the node's."""
    frame = error.__traceback__
    while node is not None and frame is not None and frame.tb_next is not None:
        if "/runs/engine/" not in frame.tb_frame.f_code.co_filename.replace("\\", "/"):
            break
        frame = frame.tb_next
    return frame


def _lines(error: BaseException, node: str | None) -> list[str]:
    try:
        return traceback.format_exception(type(error), error, _own_frames(error, node))
    except Exception as broken:  # of what it holds: an error of a user's class may be anything
        return [f"{shown(error)}\n(its traceback cannot be shown: {shown(broken)})"]
