"""One run in execution: the ports it writes to, and what a task may ask of them."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from . import events, faults, ids, serde
from .checkpoint import Position, Write
from .clock import Clock, SystemClock
from .errors import NotStorableError
from .events import Event
from .graph import Graph
from .plan import Task
from .ports import ArtifactRef, ArtifactStore, Journal, Lease


@dataclass(kw_only=True)
class Execution:
    """What stays the same while a run executes. `threads` runs sync nodes; None is the event
    loop's own pool. `checkpoint_id` is where to go on, None the thread's newest; a `fresh` thread
    is known to have none. `heard` holds, per task that is repeated, what it had stated before;
    `answers` what people have said, by interrupt id; both are shared with subgraphs. `context` is
    what `ainvoke(context=...)` was given. `clean`: nothing of the present superstep was on record
    when this process began it. `recount`: the step limit counts from where this execution begins,
    not from where its run did. `listen` is told every event, with the position that a checkpoint or
    an interrupt stands for."""

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
    listen: Callable[[Event, Position | None], None] | None = None
    context: Any = None
    answers: dict[str, Any] = field(default_factory=dict)
    heard: dict[str, deque[tuple[str, bytes]]] = field(default_factory=dict)

    def child(self, graph: Graph, namespace: str, *, fresh: bool) -> Execution:
        """The execution of a subgraph in this one's run."""
        return replace(
            self, graph=graph, namespace=namespace, checkpoint_id=None, fresh=fresh, clean=False
        )

    def check_sizes(self, node: str, writes: Sequence[Write]) -> None:
        """Refuse a value that is too big to be a value of the state."""
        limit = self.max_value_bytes
        for write in writes if limit is not None else ():
            check_size(node, write.channel, len(write.encoded), limit)

    def state(self, task: Task, name: str, data: bytes) -> None:
        """Put an event of `task` on record."""
        event = self.event(task, name, data)
        if not self.heard or not self._heard_before(event):
            self.say(event)

    def say(self, event: Event, position: Position | None = None) -> None:
        """Put any event of the run on record."""
        self.journal.append(self.lease, [event])
        if self.listen is not None:
            self.listen(event, position)

    def event(self, task: Task, name: str, data: bytes) -> Event:
        """An event of `task`, not on record yet."""
        limit = self.max_event_bytes
        if limit is not None and len(data) > limit:
            data = serde.dumps({"$cut": len(data), "head": data[:200].decode(errors="replace")})
        return Event(
            name=name,
            ts=self.clock.now(),
            node=task.node.name,
            step=task.step,
            namespace=self.namespace,
            task_id=task.task_id,
            data=data,
        )

    def _heard_before(self, event: Event) -> bool:
        """Whether the event is already in the log, from the attempt before. From the first that
        differs on, the task has taken another way, and all it says is new."""
        told = self.heard.get(event.task_id or "")
        if not told:
            return False
        if told.popleft() == (event.name, event.data):
            return True
        told.clear()
        return False

    async def save(self, task: Task | None, name: str, data: bytes, media_type: str) -> ArtifactRef:
        """Store an artifact: bytes first, then its row with its event. `task` None is the run."""
        if self.artifacts is None:
            raise RuntimeError(
                "This run has nowhere to put artifacts: give ainvoke(artifacts=...) a store, or "
                "run the workflow on the server."
            )
        blob = await self.in_thread(self.artifacts.write, data)
        faults.point("after_artifact_bytes")
        ref = ArtifactRef(
            artifact_id=str(ids.derived(self.lease.run_id, task.task_id if task else "", name)),
            run_id=self.lease.run_id,
            node=task.node.name if task else "",
            name=name,
            media_type=media_type,
            size=blob.size,
            sha256=blob.sha256,
        )
        if task is not None:
            event = self.event(task, events.ARTIFACT, serde.dumps(ref.describe()))
            stated = [] if self._heard_before(event) else [event]
            self.journal.append(self.lease, stated, [ref])
            if self.listen is not None and stated:
                self.listen(stated[0], None)
        return ref

    async def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a blocking function without blocking the other runs, in a copy of this context."""
        call = partial(contextvars.copy_context().run, _caught, function, *args, **kwargs)
        answer, error = await asyncio.get_running_loop().run_in_executor(self.threads, call)
        if error is not None:
            raise error
        return answer


def check_size(node: str, channel: str, size: int, limit: int | None) -> None:
    """Raise NotStorableError when `size` is over the limit."""
    if limit is not None and size > limit:
        raise NotStorableError(
            f"Key {channel!r} of node {node!r} has {size:,} bytes; a value may have {limit:,}. "
            "Keep big things with ctx.save_artifact() and put their artifact_id into the state, or "
            "raise the limit (FASTGRAPH_MAX_VALUE_BYTES on the server)."
        )


def check_state_size(node: str, sizes: Mapping[str, int], limit: int | None) -> None:
    """Raise NotStorableError when all keys together (`sizes`: stored bytes) are over the limit."""
    total = sum(sizes.values())
    if limit is not None and total > limit:
        biggest = max(sizes, key=lambda key: sizes[key])
        raise NotStorableError(
            f"After node {node!r} the state has {total:,} bytes; it may have {limit:,}. Most of it "
            f"is key {biggest!r} ({sizes[biggest]:,} bytes). Keep big things with "
            "ctx.save_artifact(), or raise the limit (FASTGRAPH_MAX_STATE_BYTES on the server)."
        )


def _caught(
    function: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[Any, BaseException | None]:
    """Errors as values: a future takes no StopIteration, and would never be done."""
    try:
        return function(*args, **kwargs), None
    except StopIteration as error:
        return None, RuntimeError(f"The function raised StopIteration({error.value!r}).")
    except BaseException as error:
        return None, error


def config(execution: Execution, task: Task) -> Mapping[str, Any]:
    """The config mapping for nodes that take one."""
    return {
        "configurable": {"thread_id": execution.lease.thread_id},
        "recursion_limit": execution.step_limit,
        "metadata": {
            "run_id": execution.lease.run_id,
            "langgraph_node": task.node.name,
            "langgraph_step": task.step,
        },
    }
