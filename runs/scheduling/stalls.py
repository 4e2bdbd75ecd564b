"""Workers that stand still: an event loop that a node blocks, or a pool with no thread free.

The heartbeat thread of each worker looks. It writes what it finds to the log, and to a file in the
data folder, where health and `why` read it, and the workers that have the spare slot.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal

from runs.db.guard import callers
from runs.db.guard.open_transactions import place_of
from runs.engine.concurrency import outside_calls
from runs.engine.concurrency.thread_pool import Pool
from runs.process import reports
from runs.scheduling import thread_waits

_log = logging.getLogger("fastgraph.worker")

#: A worker that has not gone on for so long stands still. Seconds.
STANDING_SECONDS = 5.0
_KIND = "standstills"
#: Of the nodes that have a thread, so many are named.
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Standstill:
    """What a worker's runs wait for. `run_id` is the run whose code blocks the event loop, if that
    is known."""

    kind: Literal["loop_stands_still", "threads_full"]
    worker: str
    run_id: str
    seconds: float
    detail: str
    process: str

    def __str__(self) -> str:
        return self.detail


class Watch:
    """Looks at one event loop and the threads of its sync nodes. To be made on the loop's thread;
    `look` is for another one, again and again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Pool) -> None:
        self._loop = loop
        self._threads = threads
        self._ident = threading.get_ident()
        self._asked_at: float | None = None
        self._logged: set[str] = set()
        self._path = reports.path_of(_KIND)
        for kind in (_KIND, thread_waits.KIND):
            reports.remove_stale(kind)

    def look(self, worker: str) -> list[Standstill]:
        """What stands still now, which is also published."""
        process = reports.own_process()
        found = [
            Standstill(worker=worker, process=process, **said)
            for said in (self._of_loop(process), self._of_threads(process))
            if said is not None
        ]
        for one in found:
            if one.kind not in self._logged:
                stack = self._stack() if one.kind == "loop_stands_still" else ""
                _log.error("%s%s", one, stack)
        if ended := self._logged - {one.kind for one in found}:
            _log.warning("The worker %s goes on (%s)", process, ", ".join(sorted(ended)))
        self._logged = {one.kind for one in found}
        try:
            reports.publish(self._path, found)
            thread_waits.publish(self._threads)
        except OSError as error:
            _log.warning("A standstill cannot be reported to other processes: %s", error)
        return found

    def end(self) -> None:
        """Nothing is looked at any more."""
        with suppress(OSError):
            reports.publish(self._path, [])
            thread_waits.publish(None)

    def _went_on(self) -> None:
        self._asked_at = None

    def _of_loop(self, process: str) -> dict[str, Any] | None:
        if self._asked_at is None:
            self._asked_at = monotonic()
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._went_on)
            return None
        seconds = monotonic() - self._asked_at
        if seconds < STANDING_SECONDS:
            return None
        run_id, who = _at_work(asyncio.current_task(self._loop))
        place = place_of(sys._current_frames().get(self._ident))
        where = f" (at {place})" if place else ""
        detail = (
            f"{who}{where} has kept the event loop of worker {process} from running for"
            f" {seconds:.0f} s, so all runs of this worker wait. In an async node, await what takes"
            " long, or call it with asyncio.to_thread(); a sync node has a thread of its own."
        )
        kind = "loop_stands_still"
        return {"kind": kind, "run_id": run_id, "seconds": seconds, "detail": detail}

    def _of_threads(self, process: str) -> dict[str, Any] | None:
        seconds = self._threads.waited()
        if seconds < STANDING_SECONDS:
            return None
        nodes = Counter(caller.node for caller in callers.at_work())
        named = ", ".join(f"{name!r} ({count})" for name, count in nodes.most_common(_NAMED))
        detail = (
            f"All {self._threads.size} threads of worker {process} are taken, by calls of"
            f" {named or 'nodes that have ended'}; a sync node has waited for one for"
            f" {seconds:.0f} s. Make nodes that wait async, or raise FASTGRAPH_NODE_THREADS."
        )
        return {"kind": "threads_full", "run_id": "", "seconds": seconds, "detail": detail}

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._ident)
        return "\n" + "".join(traceback.format_stack(frame)).rstrip() if frame else ""


def published() -> list[Standstill]:
    """The standstills of all processes that share this data folder, longest first."""
    return sorted(reports.published(_KIND, Standstill), key=lambda one: -one.seconds)


def of_host() -> bool:
    """Whether the event loop of a worker of this host stands still."""
    host = socket.gethostname()
    return any(
        one.kind == "loop_stands_still" and one.process.rpartition(":")[0] == host
        for one in published()
    )


def _at_work(task: asyncio.Task[Any] | None) -> tuple[str, str]:
    """The run whose code `task` executes, as far as that is known, and its node in words."""
    calls = [
        call
        for call in tuple(outside_calls.in_progress)
        if call.owner is task or (call.strands is not None and call.strands.has(task))
    ]
    if calls:
        call = max(calls, key=lambda call: len(call.namespace))
        run_id = call.execution.lease.run_id
        return run_id, f"Node {call.task.node.name!r} of run {run_id}"
    name = task.get_name() if task is not None else ""
    known = name.count("-") == 4  # the executor names the task of a run by its id
    return (name, f"Code of run {name} outside a node") if known else ("", "Code outside a node")
