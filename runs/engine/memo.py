"""One task's durable parts: what it asks, what it does once, and when it goes on."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from . import ids, serde
from .checkpoint import Checkpoint, Frontier, Note
from .errors import CallOver, GraphInterrupt, NotStorableError
from .execution import Execution, Turn, refuse_over
from .notes import AHEAD, Recorded
from .plan import Task
from .pool import Begun, begin
from .ports import ArtifactRef
from .types import Interrupt

T = TypeVar("T")

current: ContextVar[Memo] = ContextVar("fastgraph_task")

#: A sleep that is no longer than this does not park the run. Seconds.
SHORT = 1.0

#: Bytes that a thread may emit before it looks whether the journal is behind.
UNSEEN = 64 * 1024

#: What a task has on record that has none. Never changed.
_NO_STEPS: Mapping[str, bytes] = {}


class Memo:
    """One call of a task's node: what is recorded of the task, and where the call stands in that.
    When the node is called again, that call has its own; what is left of this one is refused."""

    __slots__ = (
        "_asked",
        "_checkpoint",
        "_known",
        "_outer",
        "_parts",
        "_sleeps",
        "_slept",
        "_steps",
        "_waits",
        "attempt",
        "begun",
        "execution",
        "gate",
        "inside",
        "loop",
        "named",
        "namespace",
        "over",
        "task",
        "turn",
        "unseen",
    )

    def __init__(
        self, execution: Execution, task: Task, checkpoint: Checkpoint | None, known: Recorded
    ) -> None:
        self.execution = execution
        self.task = task
        self.loop = asyncio.get_running_loop()
        self._checkpoint = checkpoint
        self._known = known
        self.namespace = execution.namespace
        self._outer: tuple[Memo, str] | None = None
        self._steps = known.steps.get(task.task_id, _NO_STEPS)
        self._sleeps = known.sleeps.get(task.task_id, ())
        self._begin(1)

    def _begin(self, attempt: int) -> None:
        self.attempt = attempt
        self.over = False
        self.turn: Turn | None = None
        self.named: dict[str, int] = {}
        self.begun: list[Any] = []
        self.gate: AbstractAsyncContextManager[Any] | None = None  # of the tasks that are begun
        inside = self._known.inside
        self.inside: dict[str, str] = dict(inside.get(self.task.task_id, ())) if inside else {}
        self._waits: set[Begun[Any]] = set()
        self._parts: dict[asyncio.Future[None], asyncio.Task[Any] | None] = {}
        self._asked = self._slept = 0
        self.unseen = 0  # bytes that a thread has emitted since it last waited

    def again(self) -> Memo:
        """The memo of the next call of the node."""
        memo = copy.copy(self)
        memo._begin(self.attempt + 1)
        return memo

    def end(self) -> None:
        """The call is over: what still runs of it is stopped where that can be, and refused."""
        self.over = True
        if self.begun or self._waits:
            for running in (*self.begun, *self._waits):
                running.cancel()
        if self._parts:
            own = asyncio.current_task()
            for task in self._parts.values():
                if task is not None and task is not own:
                    task.cancel()

    @contextmanager
    def part(self) -> Iterator[None]:
        """Something runs that is recorded when it ends, maybe in a task that the node made."""
        over: asyncio.Future[None] = self.loop.create_future()
        self._parts[over] = asyncio.current_task()
        try:
            yield
        finally:
            del self._parts[over]
            over.set_result(None)

    async def parts_over(self) -> None:
        """Wait for the steps and graphs that still run: what a question cuts short after its
        effect and before its record would be done again with the answer."""
        if self._parts:
            await asyncio.wait(list(self._parts))

    def check(self) -> None:
        """Raise CallOver when the call is over. From any thread."""
        if self.over:
            raise CallOver(
                f"This call of node {self.task.node.name!r} is over: its time was up, or its run "
                "was stopped. Long work in a sync node is to look at ctx.cancelled."
            )

    async def rest(self) -> None:
        """Wait for the tasks that the call has begun, and nobody has waited for."""
        if left := [begun for begun in self.begun if not begun.done()]:
            await asyncio.gather(*map(in_loop, left))

    def begin(self, doing: Coroutine[Any, Any, T]) -> Begun[T]:
        """Run a coroutine of the call on the event loop, from another thread."""
        if asyncio._get_running_loop() is self.loop or self.over:
            doing.close()
            self.check()
            raise RuntimeError(
                f"Node {self.task.node.name!r} cannot wait here for something that runs on the "
                "event loop, because this is the event loop: use the async form, with await."
            )
        running = begin(doing, self.loop)
        self._waits.add(running)
        running.add_done_callback(self._waits.discard)
        return running

    def say(self, name: str, data: bytes) -> None:
        """State an event, on the event loop."""
        self.check()
        self.execution.check_event(self.task.node.name, name, data)
        self.execution.state(self.task, name, data)

    def say_from_thread(self, name: str, data: bytes) -> None:
        """State an event, from any other thread; with the transaction of an atomic node."""
        self.check()
        self.execution.check_event(self.task.node.name, name, data)
        if self.turn is not None:
            self.turn.events.append(self.execution.event(self.task, name, data))
            return
        self.loop.call_soon_threadsafe(self._say_late, name, data)

    def is_to_wait(self, emitted: int) -> bool:
        """Whether a thread that has emitted so many bytes more is to look whether the journal is
        behind. Never in a transaction: the journal may wait for the database that it holds."""
        self.unseen += emitted
        if self.turn is not None or self.unseen <= UNSEEN:
            return False
        self.unseen = 0
        return True

    def _say_late(self, name: str, data: bytes) -> None:
        if not self.over:
            self.execution.state(self.task, name, data)

    async def save(self, name: str, data: bytes, media_type: str) -> ArtifactRef:
        """Store an artifact of the task."""
        self.check()
        return await self.execution.save(self.task, name, data, media_type, self.check)

    def interrupt(self, value: Any, schema: Any) -> Any:
        """The answer to the task's next question; GraphInterrupt while there is none."""
        self.check()
        interrupt_id = ids.derived_text(self.place, "interrupt", str(self._asked))
        self._asked += 1
        if interrupt_id in self.execution.answers:
            return self.execution.answers[interrupt_id]
        if self._asked == 1 and (ahead := self._answered_ahead()) is not None:
            answer = self.execution.answers.pop(ahead)
            self.execution.answers[interrupt_id] = answer
            return answer
        node = self.task.node.name
        for what, said in (("value", value), ("schema", schema)):
            try:
                encoded = serde.dumps(said)
            except NotStorableError as error:
                raise NotStorableError(f"Interrupt {what} of node {node!r}: {error}") from None
            limit = self.execution.max_value_bytes
            refuse_over(f"Interrupt {what} of node {node!r}", len(encoded), limit)
        raise GraphInterrupt([Interrupt(value, interrupt_id, node, self.namespace, schema)])

    @property
    def place(self) -> str:
        """Which task this is, the same in every run that goes on from the same checkpoint."""
        if self._outer is not None:
            memo, key = self._outer
            return f"{memo.place}|{key}"
        assert self._checkpoint is not None
        return place_of(self.task, self._checkpoint, self.execution.place)

    def _answered_ahead(self) -> str | None:
        """The id of an answer that was given before this task, or one around it, had asked."""
        for key in list(self.execution.answers):
            around = key.removeprefix(AHEAD)
            if around != key and f"{self.place}|".startswith(f"{around}|"):
                return key
        return None

    @property
    def seat(self) -> str:
        """Which task this is in any superstep of the thread: the only one of its node, or the
        second, and so on."""
        if self._outer is not None:
            memo, key = self._outer
            return f"{memo.seat}|{_numbered(key)}"
        return seat_of(self.task.node.name, self.task.path, self.frontier, self.execution.seat)

    @property
    def frontier(self) -> Frontier:
        """What runs in the task's superstep."""
        assert self._checkpoint is not None
        return self._checkpoint.frontier

    def inner(self, task: Task, key: str) -> Memo:
        """The memo of a task that this one has called."""
        memo = Memo(self.execution, task, self._checkpoint, self._known)
        memo._outer = (self, key)
        name = f"{task.node.name}:{task.task_id}"
        memo.namespace = f"{self.namespace}|{name}" if self.namespace else name
        return memo

    def key(self, name: str) -> str:
        """The next use of `name` in this task. Taken when a step is asked for, not when it runs,
        so that steps that run at once keep their keys."""
        self.check()
        self._refuse_in_transaction("steps, tasks and graphs")
        self.named[name] = number = self.named.get(name, 0) + 1
        return f"{name}#{number}"

    def recalled(self, key: str) -> bytes | None:
        """What the step with that key gave before, encoded."""
        return self._steps.get(key)

    def encode(self, key: str, result: Any) -> bytes:
        """The stored form of what a step gave."""
        what = f"Result of step {key.rpartition('#')[0]!r}"
        try:
            encoded = serde.dumps(result)
        except NotStorableError as error:
            raise NotStorableError(f"{what}: {error}") from None
        what += f" of node {self.task.node.name!r}"
        refuse_over(what, len(encoded), self.execution.max_value_bytes)
        return encoded

    async def keep(self, key: str, encoded: bytes) -> Any:
        """Record what a step gave; on return it is durable. Answers the value as it will be read
        back."""
        self.check()
        inside = b',"inside":%b' % serde.dumps(self.inside) if self.inside else b""
        body = b'{"key":%b,"value":%b%b}' % (serde.dumps(key), encoded, inside)
        idx = len(self._steps)
        self._steps = {**self._steps, key: encoded}
        await self._record(Note(**self._who, kind="step", idx=idx, body=body))
        return serde.loads(encoded)

    async def sleep(self, until: datetime | None, seconds: float = 0.0) -> None:
        """Return when it is `until`, or `seconds` after the task first came here. GraphInterrupt
        when that is not soon."""
        self.check()
        self._refuse_in_transaction("sleeps")
        await self.execution.journal.room()
        number, self._slept = self._slept, self._slept + 1
        now = self.execution.clock.now()
        if number < len(self._sleeps):
            until = self._sleeps[number]
        elif until is None:
            until = self._later(now, seconds)
        elif getattr(until, "tzinfo", None) is None:
            raise ValueError(
                f"A sleep until {until!r} of node {self.task.node.name!r}; give a datetime with a "
                "timezone, as datetime.now(UTC) + timedelta(hours=1)."
            )
        wait = (until - now).total_seconds()
        if wait <= SHORT:
            await self.execution.clock.sleep(max(wait, 0.0))
            return
        if number >= len(self._sleeps):
            note = Note(**self._who, kind="sleep", idx=number, body=serde.dumps(until))
            await self._record(note)
        raise GraphInterrupt(until=until)

    def _later(self, now: datetime, seconds: float) -> datetime:
        try:
            return now + timedelta(seconds=seconds)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"A sleep of {seconds!r} of node {self.task.node.name!r}; give seconds, so few "
                "that it ends before the year 10,000."
            ) from None

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a sync or async function without blocking the event loop."""
        if iscoroutinefunction(function):  # or one that is cancelled now would never be awaited
            return await function(*args, **kwargs)
        answer = await self.execution.in_thread(function, *args, **kwargs)
        return await answer if asyncio.iscoroutine(answer) else answer

    def _refuse_in_transaction(self, what: str) -> None:
        # They wait for the journal, which waits for the database that the transaction holds.
        if self.task.node.atomic:
            raise RuntimeError(
                f"Node {self.task.node.name!r} is atomic, so it takes no {what}: all that it does "
                "is recorded at once. Put them into another node."
            )

    @property
    def _who(self) -> dict[str, Any]:
        return {"task_id": self.task.task_id, "node": self.task.node.name}

    async def _record(self, note: Note) -> None:
        execution = self.execution
        assert self._checkpoint is not None
        execution.journal.record(execution.lease, self._checkpoint, [note])
        await execution.journal.settle(execution.lease)


def _numbered(key: str) -> str:
    """A key as the part of a namespace: its name, and its number from the second on."""
    name, _, number = key.rpartition("#")
    return name if number == "1" else f"{name}:{number}"


def in_loop(running: Any) -> asyncio.Future[Any]:
    """Something that was begun, as a future of the event loop."""
    return asyncio.wrap_future(running) if isinstance(running, Future) else running


def place_of(task: Task, checkpoint: Checkpoint, around: str = "") -> str:
    """Which task of the superstep after `checkpoint` it is, in any run that goes on from there."""
    begun = around or checkpoint.frontier.origin or checkpoint.checkpoint_id
    kind, number = task.path
    return f"{begun}|{task.step}:{kind}:{number}:{task.node.name}"


def seat_of(name: str, path: tuple[int, str | int], frontier: Frontier, around: str) -> str:
    """The seat of the task of node `name`, among those that `frontier` leads to."""
    pushed, number = path
    before = 0
    if pushed and isinstance(number, int):
        before = sum(send.node == name for send in frontier.sends[:number])
        before += name in frontier.nodes
    seat = f"{name}::{before + 1}" if before else name
    return f"{around}|{seat}" if around else seat


def interrupt(value: Any, *, response_schema: Any = None) -> Any:
    """Stop here and ask: the run waits, and `value` is shown to whoever answers. When the answer
    comes, the node is run again from its beginning, and this call returns it. The calls of one
    node are answered in their order; put what must not be repeated into `ctx.step`."""
    try:
        memo = current.get()
    except LookupError:
        raise RuntimeError("interrupt() can only be called inside a node.") from None
    return memo.interrupt(value, response_schema)
