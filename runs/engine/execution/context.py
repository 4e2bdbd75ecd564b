"""What a node may ask for beside its state: Context in async nodes, SyncContext in sync ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import datetime
from typing import Any, TypeVar

from runs.engine import events, names, serde
from runs.engine.execution.step import (
    has_event_loop,
    own_copies,
    run_step,
    split_step_key,
    step_call,
)
from runs.engine.execution.task import part_tasks, unmatched_calls, waiting
from runs.engine.execution.task.signals import again, watched
from runs.engine.execution.task.task_call import TaskCall
from runs.engine.journal.ports import ArtifactRef, Journal
from runs.engine.names import Content

T = TypeVar("T")

_NAME = re.compile(r"[\w.-]{1,30}")
_log = logging.getLogger("fastgraph.node")


class _Facts:
    """What is the same in both."""

    def __init__(self, memo: TaskCall) -> None:
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
        return self._memo.over

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        return logging.LoggerAdapter(_log, {"run_id": self.run_id, "node": self.node})


class Emitted:
    """Awaited, it waits while the journal is behind; left alone, it does nothing."""

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __await__(self) -> Generator[Any, None, None]:
        return self._journal.room().__await__()


class Context(_Facts):
    """The context of an async node."""

    def emit(self, data: Any, name: str | None = None) -> Awaitable[None]:
        """Put a `custom` event on the run's stream (`custom:<name>` when it has one). It is on its
        way when this returns, and no commit is waited for. A node that emits without end says
        `await ctx.emit(...)`: then it waits while the journal is behind."""
        self._memo.emit(_event(name), serde.dumps(data))
        return Emitted(self._execution.journal)

    @property
    def stream_writer(self) -> Callable[..., object]:
        """`emit`, by the name LangGraph's runtime has for it."""
        return self.emit

    @property
    def in_thread(self) -> SyncContext:
        """The same, for code that runs in a thread."""
        return SyncContext(self._memo)

    async def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What `function(*args, **kwargs)` gives, recorded under `name`: when the node is run
        again after a crash or an interrupt, it is not called again. The result must be storable,
        and is all that comes back: the function gets copies of its arguments, as a `@task` does,
        and of those that a `partial` binds.

        The same name may be used several times; the uses are told apart by their arguments (in
        JSON; what has no JSON counts by its type), those with equal ones by their order. Where
        arguments are new each time (a time, a random id), or do not say it all, give a `key=`: a
        text, used once in a call of the node. A call of which nobody can tell whether it is on
        record raises IdentityError, and is not made. A function that has a parameter `key` of its
        own gets it; to give the step a key as well, bind that: `partial(function, key=...)`."""
        memo = self._memo
        key, kwargs = split_step_key(memo, name, function, kwargs)
        call = step_call(memo, name, function, args, kwargs, key)
        if call.kept is not None and call.kept.value is not None:
            return serde.loads(call.kept.value)
        await unmatched_calls.settle(memo, call)
        return await part_tasks.whole(memo, run_step(memo, call, name, function, args, kwargs))

    async def sleep(self, seconds: float, *, key: str | None = None) -> None:
        """Go on after that many seconds. A long sleep parks the run: nothing of it stays in
        memory, and when the time has come the node is run again up to here. A sleep after another
        ends when its first call set, also if the seconds are others by then. Sleeps that run at
        once are told apart by their seconds; give a `key` if these are new each time."""
        await waiting.sleep(self._memo, None, seconds, key)

    async def sleep_until(self, moment: datetime, *, key: str | None = None) -> None:
        """Go on at `moment` (timezone-aware), as `sleep` does."""
        await waiting.sleep(self._memo, moment, key=key)

    def save_artifact(
        self, name: str, data: Content, media_type: str | None = None
    ) -> Coroutine[Any, Any, ArtifactRef]:
        """Store `data` as a file of this run; text is stored as UTF-8, and a buffer as it is now.
        The media type is guessed from the name when it is not given. Saving the same name again
        replaces it. A name that cannot be a file's (a path, control characters) raises ValueError,
        and what is neither bytes nor text TypeError: a number, a file, an iterator, None."""
        name = names.check_name(name)
        kind = names.media_type(name, media_type)
        return self._save_artifact(name, names.content(data), kind)

    async def _save_artifact(self, name: str, data: bytes, media_type: str) -> ArtifactRef:
        await self._execution.journal.room()
        return await self._memo.save(name, data, media_type)


class SyncContext(_Facts):
    """The context of a sync node, which runs in a thread: the same words, without `await`."""

    def emit(self, data: Any, name: str | None = None) -> None:
        """Put a `custom` event on the run's stream (`custom:<name>` when it has one). No commit is
        waited for, but while the journal is behind this waits. In an atomic node it is a part of
        the transaction, and never waits."""
        body = serde.dumps(data)
        self._memo.emit_from_thread(_event(name), body)
        if self._memo.is_to_wait(len(body)) and not has_event_loop():
            # In its turn: the loop has taken all that was emitted before, so none of it piles up.
            self._wait(self._execution.journal.room())

    @property
    def stream_writer(self) -> Callable[..., None]:
        """`emit`, by the name LangGraph's runtime has for it."""
        return self.emit

    def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As `Context.step`; `function` is called in this thread."""
        memo = self._memo
        key, kwargs = split_step_key(memo, name, function, kwargs)
        call = step_call(memo, name, function, args, kwargs, key)
        if call.kept is not None and call.kept.value is not None:
            return serde.loads(call.kept.value)
        if call.doubtful:
            unmatched_calls.settle_in_thread(memo, call)
        failed = True
        try:
            with memo.parts.one_in_thread():
                with watched(memo) as asked:
                    function, args, kwargs = own_copies(function, args, kwargs)
                    result = function(*args, **kwargs)
                if asked:  # it was made without the answer
                    raise again(asked)
                kept = self._wait(memo.keep(call, memo.encode(name, result)))
            failed = False
            return kept
        finally:
            memo.ledger.calls.end(call, failed=failed)

    def sleep(self, seconds: float, *, key: str | None = None) -> None:
        """As `Context.sleep`."""
        self._wait(waiting.sleep(self._memo, None, seconds, key))

    def sleep_until(self, moment: datetime, *, key: str | None = None) -> None:
        """As `Context.sleep_until`."""
        self._wait(waiting.sleep(self._memo, moment, key=key))

    def save_artifact(self, name: str, data: Content, media_type: str | None = None) -> ArtifactRef:
        """As `Context.save_artifact`; returns when the bytes are stored."""
        if (turn := self._memo.turn) is not None:
            name = names.check_name(name)
            kind = names.media_type(name, media_type)
            raw = names.content(data)
            # Not by another thread: all of them may be waiting for this one's transaction.
            return self._execution.save_in(turn, self._task, name, raw, kind)
        return self._wait(Context(self._memo).save_artifact(name, data, media_type))

    def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return self._memo.begin(doing).result()


def _event(name: str | None) -> str:
    if name is None:
        return events.CUSTOM
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name an event: use up to 30 letters, digits, _, -, '.'.")
    return f"{events.CUSTOM}:{names.as_text(name)}"
