"""What a node may ask for beside its state: Context in async nodes, SyncContext in sync ones."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

from . import events, names, serde
from .memo import Memo
from .ports import ArtifactRef

T = TypeVar("T")

_NAME = re.compile(r"[\w.-]{1,30}")
_log = logging.getLogger("fastgraph.node")


class _Facts:
    """What is the same in both."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._execution = memo.execution
        self._task = memo.task

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
    def namespace(self) -> str:
        """The subgraph this task belongs to; empty in the graph itself."""
        return self._execution.namespace

    @property
    def attempt(self) -> int:
        """Which claim of the run this is, from 1."""
        return self._execution.lease.attempt

    @property
    def idempotency_key(self) -> str:
        """The same however often this task is run again: hand it to services that take one."""
        return self._task.task_id

    @property
    def context(self) -> Any:
        """What `ainvoke(context=...)` was given, as the graph's `context_schema`."""
        return self._execution.context

    @property
    def cancelled(self) -> bool:
        """Whether the node is to stop: the run was cancelled, or its time is over. A thread
        cannot be stopped from outside, so long loops in sync nodes look at this."""
        return self._memo.stopped

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        return logging.LoggerAdapter(_log, {"run_id": self.run_id, "node": self.node})


class Context(_Facts):
    """The context of an async node."""

    def emit(self, data: Any, name: str | None = None) -> None:
        """Put a `custom` event on the run's stream (`custom:<name>` when it has one). Never
        waits."""
        self._execution.state(self._task, _event(name), serde.dumps(data))

    @property
    def stream_writer(self) -> Callable[..., None]:
        """`emit`, by the name LangGraph's runtime has for it."""
        return self.emit

    @property
    def in_thread(self) -> SyncContext:
        """The same, for code that runs in a thread."""
        return SyncContext(self._memo)

    async def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What `function(*args, **kwargs)` gives, recorded under `name`: when the node is run
        again after a crash or an interrupt, it is not called again. The result must be storable.
        The same name may be used several times; the uses are told apart by their order."""
        key = self._memo.key(name)
        known = self._memo.recalled(key)
        if known is not None:
            return serde.loads(known)
        result = await self._memo.call(function, *args, **kwargs)
        return await self._memo.keep(key, self._memo.encode(key, result))

    async def sleep(self, seconds: float) -> None:
        """Go on after that many seconds. A long sleep parks the run: nothing of it stays in
        memory, and when the time has come the node is run again up to here."""
        await self._memo.sleep(None, seconds)

    async def sleep_until(self, moment: datetime) -> None:
        """Go on at `moment` (timezone-aware), as `sleep` does."""
        await self._memo.sleep(moment)

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

    def emit(self, data: Any, name: str | None = None) -> None:
        """Put a `custom` event on the run's stream (`custom:<name>` when it has one). Never
        waits."""
        told = (self._task, _event(name), serde.dumps(data))
        self._memo.loop.call_soon_threadsafe(self._execution.state, *told)

    @property
    def stream_writer(self) -> Callable[..., None]:
        """`emit`, by the name LangGraph's runtime has for it."""
        return self.emit

    def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As `Context.step`; `function` is called in this thread."""
        key = self._memo.key(name)
        known = self._memo.recalled(key)
        if known is not None:
            return serde.loads(known)
        encoded = self._memo.encode(key, function(*args, **kwargs))
        return self._wait(self._memo.keep(key, encoded))

    def sleep(self, seconds: float) -> None:
        """As `Context.sleep`."""
        self._wait(self._memo.sleep(None, seconds))

    def sleep_until(self, moment: datetime) -> None:
        """As `Context.sleep_until`."""
        self._wait(self._memo.sleep(moment))

    def save_artifact(
        self, name: str, data: bytes | str, media_type: str | None = None
    ) -> ArtifactRef:
        """As `Context.save_artifact`; returns when the bytes are stored."""
        return self._wait(Context(self._memo).save_artifact(name, data, media_type))

    def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._memo.loop).result()


def _event(name: str | None) -> str:
    if name is None:
        return events.CUSTOM
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name an event: use up to 30 letters, digits, _, -, '.'.")
    return f"{events.CUSTOM}:{name}"
