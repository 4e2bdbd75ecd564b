"""One run in execution: the ports it writes to, and what a task may ask of them."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runs.engine import events, faults, ids, serde
from runs.engine.checkpoint import Position, Sent, Write
from runs.engine.clock import Clock, SystemClock
from runs.engine.concurrency import forked
from runs.engine.concurrency.guarding import guarded
from runs.engine.concurrency.thread_pool import threads_of
from runs.engine.errors import NodeError, NotStorableError
from runs.engine.events import Event
from runs.engine.execution.commit_gate import CommitGate
from runs.engine.execution.limits import check_size, refuse_over
from runs.engine.graph.graph import Graph
from runs.engine.journal.ports import ArtifactRef, ArtifactStore, Blob, Journal, Lease
from runs.engine.journal.replayed_events import ReplayedEvents
from runs.engine.superstep.plan import Task
from runs.engine.types import Interrupt
from runs.engine.values.copies import copied, copied_containers

_log = logging.getLogger("fastgraph.node")


@dataclass(frozen=True, kw_only=True)
class CheckpointDetail:
    """What stands behind a checkpoint or an interrupt, for those who listen: the keys that were
    `changed`, or what is waited for."""

    graph: Graph
    position: Position
    changed: Collection[str] = ()
    interrupts: Sequence[Interrupt] = ()


@dataclass(kw_only=True)
class Execution:
    """What stays the same while a run executes. `threads` runs sync nodes (a Pool, since they may
    wait for each other); None is the pool of this process. `checkpoint_id` is where to go on, None
    the thread's newest; `fresh`: nothing of the run is on record, and the thread has no checkpoint.
    `heard` holds what was stated before of what is repeated, by the id of its task or checkpoint;
    `answers` what people have said, by interrupt id, `late` what was asked of the run when it had
    gone on; they are shared with subgraphs. `context` and
    `config` are what `ainvoke` was given. `clean`: nothing of the present superstep was on record
    when this process began it. `recount`: the step limit counts from where this execution begins,
    not from where its run did. `resumes`: who listens sees first where
    the run goes on. A subgraph is at `place` in its run (the same in each run that goes on from the
    same checkpoint) and at `seat` in its thread; one that keeps its state goes on from checkpoint
    `base`, and `inside` says where those in it stand. `reached` is the newest checkpoint that was
    read or written. `observer` is told every event, with what stands behind it: the Standing
    of a checkpoint or an interrupt, the Task of a node that begins, the arguments of a task
    function. `models`: what LangChain's models say in nodes is an event, as it is said. `again`:
    what waits for an answer is called again without one."""

    graph: Graph
    journal: Journal
    lease: Lease
    clock: Clock = field(default_factory=SystemClock)
    artifacts: ArtifactStore | None = None
    threads: Executor | None = None
    step_limit: int = 10_000
    max_event_bytes: int | None = None
    max_value_bytes: int | None = None
    max_state_bytes: int | None = None
    namespace: str = ""
    checkpoint_id: str | None = None
    fresh: bool = False
    clean: bool = False
    recount: bool = False
    resumes: bool = False
    place: str = ""
    seat: str = ""
    base: str | None = None
    inside: Mapping[str, str] = field(default_factory=dict)
    reached: str | None = None
    observer: Callable[[Event, Any], None] | None = None
    models: bool = False
    again: bool = False
    context: Any = None
    config: Mapping[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    heard: dict[str, ReplayedEvents] = field(default_factory=dict)
    late: list[NodeError] = field(default_factory=list)

    def child(self, graph: Graph, namespace: str, **changes: Any) -> Execution:
        """The execution of a subgraph in this one's run."""
        own = {"graph": graph, "namespace": namespace, "checkpoint_id": None, "clean": False}
        return Execution(**{**vars(self), **own, "reached": None, **changes})

    def too_late(self, node: str, error: Exception) -> None:
        """Let the run fail where it is, for what was done after a node had returned. From any
        thread."""
        _log.error("Run %s: %s", self.lease.run_id, error)
        self.late.append(NodeError(node, error, namespace=self.namespace))

    def refuse_late(self) -> None:
        """Raise NodeError when something was asked too late."""
        if self.late:
            raise self.late[0]

    def gate(self) -> AbstractAsyncContextManager[Any]:
        """Lets through as many at once as the config says (`max_concurrency`); all if it does not
        say. One for each superstep, and one for the tasks that a call has begun: what is inside
        has gates of its own, so that none waits for what it contains."""
        most = self.config.get("max_concurrency")
        return nullcontext() if most is None else asyncio.Semaphore(most)

    def check_sizes(self, node: str, writes: Sequence[Write]) -> None:
        """Refuse a value that is too big to be a value of the state."""
        limit = self.max_value_bytes
        for write in writes if limit is not None else ():
            check_size(node, write.channel, len(write.encoded), limit)

    def check_sends(self, node: str, targets: Sequence[object]) -> None:
        """Refuse a Send whose argument is too big to be one."""
        for target in targets if self.max_value_bytes is not None else ():
            if isinstance(target, Sent):
                what = f"What node {node!r} sends to {target.node!r}"
                refuse_over(what, len(target.encoded), self.max_value_bytes)

    def check_event(self, node: str, name: str, data: bytes) -> None:
        """Refuse an event of a node that is too big to be one."""
        limit = self.max_event_bytes
        # What a retry says is short, and read again after a crash.
        if limit is not None and len(data) > limit and name != events.RETRY:
            raise NotStorableError(
                f"Event {name!r} of node {node!r} has {len(data):,} bytes; an event may have "
                f"{limit:,}. Keep big things with ctx.save_artifact() and emit their artifact_id, "
                "or raise the limit (FASTGRAPH_MAX_EVENT_BYTES on the server)."
            )

    def emit_task_event(self, task: Task, name: str, data: bytes, behind: Any = None) -> None:
        """Put an event of `task` on record. What stands `behind` it is not kept."""
        event = self.event(task, name, data)
        if self.heard and self.is_already_logged(task.task_id, event):
            return
        self.journal.append(self.lease, [event])
        if self.observer is not None:
            self.observer(event, behind)

    def emit_run_event(self, event: Event, behind: Any = None) -> None:
        """Put any event of the run on record."""
        self.journal.append(self.lease, [event])
        if self.observer is not None:
            self.observer(event, behind)

    def event(self, task: Task, name: str, data: bytes) -> Event:
        """An event of `task`, not on record yet."""
        limit = self.max_event_bytes
        if limit is not None and len(data) > limit:
            data = events.cut_note(data)
        elif data.startswith(events.CUT):
            data = serde.as_pairs(data)  # a mapping of the user's: not to be taken for a note
        return Event(
            name=name,
            ts=self.clock.now(),
            node=task.node.name,
            step=task.step,
            namespace=self.namespace,
            task_id=task.task_id,
            data=data,
        )

    def is_already_logged(self, about: str, event: Event) -> bool:
        """Whether the event of a task or checkpoint (`about`: its id) is already in the log, from
        the attempt before."""
        told = self.heard.get(about)
        return told is not None and told.again(event.name, event.data)

    async def save(
        self,
        task: Task | None,
        name: str,
        data: bytes,
        media_type: str,
        check: Callable[[], None] = lambda: None,
    ) -> ArtifactRef:
        """Store an artifact: bytes first, then its row with its event. `task` None is the run;
        `check` raises when the bytes came too late for the rest."""
        # Not in the threads of sync nodes, which may all wait for this.
        blob = await asyncio.to_thread(self._store.write, data)
        check()
        ref = self._ref(task, name, media_type, blob)
        if task is not None:
            event = self.event(task, events.ARTIFACT, serde.dumps(ref.describe()))
            stated = [] if self.is_already_logged(task.task_id, event) else [event]
            self.journal.append(self.lease, stated, [ref])
            if self.observer is not None and stated:
                self.observer(stated[0], None)
        return ref

    def save_in(
        self, turn: CommitGate, task: Task, name: str, data: bytes, media_type: str
    ) -> ArtifactRef:
        """`save` in this thread, for a task in a transaction: the row and the event go with it."""
        ref = self._ref(task, name, media_type, self._store.write(data))
        turn.events.append(self.event(task, events.ARTIFACT, serde.dumps(ref.describe())))
        turn.artifacts.append(ref)
        return ref

    @property
    def _store(self) -> ArtifactStore:
        if self.artifacts is None:
            raise RuntimeError(
                "This run has nowhere to put artifacts: give ainvoke(artifacts=...) a store, or "
                "run the workflow on the server."
            )
        return self.artifacts

    def _ref(self, task: Task | None, name: str, media_type: str, blob: Blob) -> ArtifactRef:
        faults.point("after_artifact_bytes", self.lease.run_id, task.step if task else None)
        return ArtifactRef(
            artifact_id=ids.derived_text(self.lease.run_id, task.task_id if task else "", name),
            run_id=self.lease.run_id,
            node=task.node.name if task else "",
            name=name,
            media_type=media_type,
            size=blob.size,
            sha256=blob.sha256,
        )

    async def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a blocking function without blocking the other runs, in a copy of this context and
        under its guard."""
        call = partial(contextvars.copy_context().run, _caught, guarded, function, *args, **kwargs)
        threads = threads_of(self.threads)
        answer, error = await asyncio.get_running_loop().run_in_executor(threads, call)
        if error is not None:
            raise error
        return answer


def _caught(
    function: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[Any, BaseException | None]:
    """Errors as values: a future takes no StopIteration, and would never be done."""
    began = forked.generation
    try:
        answer = function(*args, **kwargs)
    except BaseException as error:
        if forked.generation != began:
            forked.leave(error)
        if isinstance(error, StopIteration):
            stopped = error  # with it its place in the user's code
            error = RuntimeError(f"The function raised StopIteration({stopped.value!r}).")
            error.__cause__ = stopped
        return None, error
    if forked.generation != began:
        forked.leave()
    return answer, None


def config(execution: Execution, task: Task) -> Mapping[str, Any]:
    """The config mapping for nodes that take one: what the run was given, and which task it is."""
    given: dict[str, Any] = copied_containers(dict(execution.config))
    place = namespace_of(execution.namespace, task)
    configurable = dict(given.get("configurable") or ())
    configurable.pop("checkpoint_id", None)  # where the run began, and not where it is now
    configurable["thread_id"] = execution.lease.thread_id
    configurable["checkpoint_ns"] = place
    metadata = dict(given.get("metadata") or ())
    if task.node.metadata:
        metadata.update(copied(task.node.metadata))
    metadata["run_id"] = execution.lease.run_id
    metadata["langgraph_node"] = task.node.name
    metadata["langgraph_step"] = task.step
    metadata["langgraph_checkpoint_ns"] = place
    given["configurable"] = configurable
    given["recursion_limit"] = execution.step_limit
    given["tags"] = list(given.get("tags") or ())
    given["metadata"] = metadata
    return given


def namespace_of(around: str, task: Task) -> str:
    """Where what a task calls is, in the namespace `around` it."""
    name = f"{task.node.name}:{task.task_id}"
    return f"{around}|{name}" if around else name
