"""One task's durable parts: what it asks, what it does once, and when it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from . import ids, serde
from .checkpoint import Checkpoint, Note
from .errors import GraphInterrupt, NotStorableError
from .execution import Execution
from .notes import Recorded
from .plan import Task
from .types import Interrupt

current: ContextVar[Memo] = ContextVar("fastgraph_task")

#: A sleep that is no longer than this does not park the run. Seconds.
SHORT = 1.0


class Memo:
    """What is recorded of a task, and where the present call of its node stands in that."""

    __slots__ = (
        "_asked",
        "_checkpoint",
        "_known",
        "_sleeps",
        "_slept",
        "_steps",
        "attempt",
        "begun",
        "execution",
        "loop",
        "named",
        "namespace",
        "stopped",
        "task",
    )

    def __init__(
        self, execution: Execution, task: Task, checkpoint: Checkpoint | None, known: Recorded
    ) -> None:
        self.execution = execution
        self.task = task
        self.loop = asyncio.get_running_loop()
        self.attempt = 0
        self._checkpoint = checkpoint
        self._known = known
        self.namespace = execution.namespace
        self._steps = known.steps.get(task.task_id) or {}
        self._sleeps = known.sleeps.get(task.task_id) or []

    def begin(self) -> None:
        """The node is called, for the first time or again."""
        self.attempt += 1
        self.stopped = False
        self.named: dict[str, int] = {}
        self.begun: list[Any] = []
        self._asked = self._slept = 0

    def interrupt(self, value: Any, schema: Any) -> Any:
        """The answer to the task's next question; GraphInterrupt while there is none."""
        interrupt_id = str(ids.derived(self.task.task_id, "interrupt", str(self._asked)))
        self._asked += 1
        if interrupt_id in self.execution.answers:
            return self.execution.answers[interrupt_id]
        node = self.task.node.name
        for what, said in (("value", value), ("schema", schema)):
            try:
                serde.dumps(said)
            except NotStorableError as error:
                raise NotStorableError(f"Interrupt {what} of node {node!r}: {error}") from None
        raise GraphInterrupt([Interrupt(value, interrupt_id, node, self.namespace, schema)])

    def inner(self, task: Task) -> Memo:
        """The memo of a task that this one has called."""
        memo = Memo(self.execution, task, self._checkpoint, self._known)
        name = f"{task.node.name}:{task.task_id}"
        memo.namespace = f"{self.namespace}|{name}" if self.namespace else name
        return memo

    def key(self, name: str) -> str:
        """The next use of `name` in this task. Taken when a step is asked for, not when it runs,
        so that steps that run at once keep their keys."""
        self.named[name] = number = self.named.get(name, 0) + 1
        return f"{name}#{number}"

    def recalled(self, key: str) -> bytes | None:
        """What the step with that key gave before, encoded."""
        return self._steps.get(key)

    def encode(self, key: str, result: Any) -> bytes:
        """The stored form of what a step gave."""
        try:
            return serde.dumps(result)
        except NotStorableError as error:
            raise NotStorableError(f"Result of step {key.rpartition('#')[0]!r}: {error}") from None

    async def keep(self, key: str, encoded: bytes) -> Any:
        """Record what a step gave; on return it is durable. Answers the value as it will be read
        back."""
        body = b'{"key":%b,"value":%b}' % (serde.dumps(key), encoded)
        idx = len(self._steps)
        self._steps = {**self._steps, key: encoded}
        await self._record(Note(**self._who, kind="step", idx=idx, body=body))
        return serde.loads(encoded)

    async def sleep(self, until: datetime | None, seconds: float = 0.0) -> None:
        """Return when it is `until`, or `seconds` after the task first came here. GraphInterrupt
        when that is not soon."""
        number, self._slept = self._slept, self._slept + 1
        now = self.execution.clock.now()
        if number < len(self._sleeps):
            until = self._sleeps[number]
        elif until is None:
            until = now + timedelta(seconds=seconds)
        wait = (until - now).total_seconds()
        if wait <= SHORT:
            await self.execution.clock.sleep(max(wait, 0.0))
            return
        if number >= len(self._sleeps):
            note = Note(**self._who, kind="sleep", idx=number, body=serde.dumps(until))
            await self._record(note)
        raise GraphInterrupt(until=until)

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a sync or async function without blocking the event loop."""
        answer = await self.execution.in_thread(function, *args, **kwargs)
        return await answer if asyncio.iscoroutine(answer) else answer

    @property
    def _who(self) -> dict[str, Any]:
        return {"task_id": self.task.task_id, "node": self.task.node.name}

    async def _record(self, note: Note) -> None:
        execution = self.execution
        assert self._checkpoint is not None
        execution.journal.record(execution.lease, self._checkpoint, [note])
        await execution.journal.settle(execution.lease)


def interrupt(value: Any, *, response_schema: Any = None) -> Any:
    """Stop here and ask: the run waits, and `value` is shown to whoever answers. When the answer
    comes, the node is run again from its beginning, and this call returns it. The calls of one
    node are answered in their order; put what must not be repeated into `ctx.step`."""
    try:
        memo = current.get()
    except LookupError:
        raise RuntimeError("interrupt() can only be called inside a node.") from None
    return memo.interrupt(value, response_schema)
