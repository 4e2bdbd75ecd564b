"""What a node may ask for beside its state: Context in async nodes, SyncContext in sync ones."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from . import events, names, serde
from .execution import Execution
from .plan import Task
from .ports import ArtifactRef

_log = logging.getLogger("fastgraph.node")


class _Facts:
    """What is the same in both."""

    def __init__(self, execution: Execution, task: Task) -> None:
        self._execution = execution
        self._task = task

    @property
    def run_id(self) -> str:
        return self._execution.lease.run_id

    @property
    def thread_id(self) -> str:
        return self._execution.lease.thread_id

    @property
    def node(self) -> str:
        return self._task.node.name

    @property
    def step_number(self) -> int:
        """The superstep this task belongs to."""
        return self._task.step

    @property
    def task_id(self) -> str:
        return self._task.task_id

    @property
    def attempt(self) -> int:
        """Which claim of the run this is, from 1."""
        return self._execution.lease.attempt

    @property
    def idempotency_key(self) -> str:
        """The same however often this task is run again: hand it to services that take one."""
        return self._task.task_id

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        return logging.LoggerAdapter(_log, {"run_id": self.run_id, "node": self.node})

    def _state_custom(self, data: Any) -> None:
        self._execution.state(self._task, events.CUSTOM, serde.dumps(data))


class Context(_Facts):
    """The context of an async node."""

    def emit(self, data: Any) -> None:
        """Put a `custom` event on the run's stream. Never waits."""
        self._state_custom(data)

    async def save_artifact(
        self, name: str, data: bytes | str, media_type: str | None = None
    ) -> ArtifactRef:
        """Store `data` as a file of this run; text is stored as UTF-8. The media type is guessed
        from the name when it is not given. Saving the same name again replaces it. A name that
        cannot be a file's (a path, control characters) raises ValueError."""
        kind = names.media_type(names.check_name(name), media_type)
        raw = data.encode() if isinstance(data, str) else bytes(data)
        return await self._execution.save(self._task, name, raw, kind)


class SyncContext(_Facts):
    """The context of a sync node, which runs in a thread: the same words, without `await`."""

    def __init__(self, execution: Execution, task: Task, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(execution, task)
        self._context = Context(execution, task)
        self._loop = loop

    def emit(self, data: Any) -> None:
        """Put a `custom` event on the run's stream. Never waits."""
        encoded = serde.dumps(data)
        state = self._execution.state
        self._loop.call_soon_threadsafe(state, self._task, events.CUSTOM, encoded)

    def save_artifact(
        self, name: str, data: bytes | str, media_type: str | None = None
    ) -> ArtifactRef:
        """As `Context.save_artifact`; returns when the bytes are stored."""
        saving = self._context.save_artifact(name, data, media_type)
        return asyncio.run_coroutine_threadsafe(saving, self._loop).result()
