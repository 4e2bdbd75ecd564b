"""One task's durable parts: what it asks, what it does once, and when it goes on."""

from __future__ import annotations

import asyncio
import copy
import itertools
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from runs.engine import serde
from runs.engine.checkpoint import Checkpoint, Frontier, Note, NoteKind
from runs.engine.concurrency import guarding
from runs.engine.concurrency.node_tasks import Hand, Strands, Where, where
from runs.engine.concurrency.thread_pool import LoopFuture, begin
from runs.engine.errors import CallOver, GraphInterrupt, NotStorableError
from runs.engine.execution.commit_gate import CommitGate
from runs.engine.execution.execution import Execution, namespace_of
from runs.engine.execution.limits import refuse_over
from runs.engine.execution.task.parts import Parts, in_loop
from runs.engine.execution.task.signals import Noted, Signal, again, in_step
from runs.engine.execution.task.task_record import Ledger
from runs.engine.graph import messages
from runs.engine.journal.ports import ArtifactRef
from runs.engine.superstep import pending
from runs.engine.superstep.pending import PendingWrites
from runs.engine.superstep.plan import Task
from runs.engine.superstep.recorded_call import Call
from runs.engine.superstep.task_keys import place_of, seat_of

T = TypeVar("T")

current: ContextVar[TaskCall] = ContextVar("fastgraph_task")

#: A sleep that is no longer than this does not park the run. Seconds.
SHORT = 1.0

#: Bytes that a thread may emit before it looks whether the journal is behind.
UNSEEN = 64 * 1024


class TaskCall:
    """One call of a task's node: what is recorded of the task, and where the call stands in that.
    When the node is called again, that call has its own; what is left of this one is refused."""

    __slots__ = (
        "_checkpoint",
        "_known",
        "_ledger",
        "_outer",
        "_parts",
        "_waits",
        "attempt",
        "begun",
        "children",
        "execution",
        "fault",
        "fresh",
        "gate",
        "inside",
        "loop",
        "namespace",
        "over",
        "owner",
        "returned",
        "signals",
        "strands",
        "task",
        "turn",
        "unseen",
    )

    def __init__(
        self, execution: Execution, task: Task, checkpoint: Checkpoint | None, known: PendingWrites
    ) -> None:
        self.execution = execution
        self.task = task
        self.loop = asyncio.get_running_loop()
        self._checkpoint = checkpoint
        self._known = known
        self.namespace = execution.namespace
        self._outer: tuple[TaskCall, Call] | None = None
        self._begin(1)

    def _begin(self, attempt: int) -> None:
        self.attempt = attempt
        self.owner: Hand = asyncio.current_task()  # who runs the node's own line of code
        self.over = self.returned = False
        #: What the guard found wrong with a call of the node: it fails the node, even if the node
        #: swallows the error.
        self.fault: Exception | None = None
        self.turn: CommitGate | None = None
        self.signals: Noted | None = None
        self.strands: Strands | None = None
        self._ledger: Ledger | None = None
        self.begun: list[Any] = []
        self.children: list[Any] | None = None
        self.gate: AbstractAsyncContextManager[Any] | None = None  # of the tasks that are begun
        inside = self._known.inside
        self.inside: dict[str, str] = dict(inside.get(self.task.task_id, ())) if inside else {}
        self._waits: set[LoopFuture[Any]] = set()
        self._parts: Parts | None = None
        self.fresh = itertools.count()  # of calls that make messages
        self.unseen = 0  # bytes that a thread has emitted since it last waited

    def again(self) -> TaskCall:
        """The memo of the next call of the node."""
        memo = copy.copy(self)
        memo._begin(self.attempt + 1)
        if self._ledger is not None:
            memo._ledger = memo._new_ledger(self._ledger)
        return memo

    def end(self) -> None:
        """The call is over: what still runs of it is stopped where that can be, and refused."""
        self.over = True
        if self.begun or self._waits:
            for running in (*self.begun, *self._waits):
                running.cancel()
        if self._parts is not None:
            self._parts.cancel()

    async def parts_over(self) -> None:
        """Wait for the steps, tasks and graphs that still run."""
        if self.signals is not None:
            self.signals.closing = True  # nothing more is begun, or there would be no end
        await self.parts.over()

    @property
    def parts(self) -> Parts:
        """What runs in the call and is recorded when it ends."""
        if self._parts is None:
            self._parts = Parts(self.loop)
        return self._parts

    def check(self) -> None:
        """Raise CallOver when the call is over. From any thread."""
        if self.over:
            raise CallOver(
                f"This call of node {self.task.node.name!r} is over: its time was up, or its run "
                "was stopped. Long work in a sync node is to look at ctx.cancelled."
            )

    async def rest(self) -> None:
        """Wait for the tasks that the call has begun, and nobody has waited for. When one has to
        wait for an answer, the others end first, or ask as well."""
        unfinished = [in_loop(begun) for begun in self.begun if not begun.done()]
        # What the node has cancelled itself is not needed any more.
        if left := [one for one in unfinished if not _is_cancelling(one)]:
            try:
                await asyncio.gather(*left)
            except GraphInterrupt:
                await asyncio.gather(*left, return_exceptions=True)
                raise

    @property
    def ledger(self) -> Ledger:
        """What is on record of the task, as far as this call has claimed it."""
        if self._ledger is None:
            self._ledger = self._new_ledger()
        return self._ledger

    def _new_ledger(self, before: Ledger | None = None) -> Ledger:
        return Ledger(
            self.task.node.name,
            self._known,
            self.execution.answers,
            task_id=self.task.task_id,
            root_id=self._root.task.task_id,
            place=self.place,
            before=before,
        )

    @property
    def _root(self) -> TaskCall:
        """The memo of the superstep's task that this one belongs to."""
        memo = self
        while memo._outer is not None:
            memo = memo._outer[0]
        return memo

    @property
    def is_old(self) -> bool:
        """Whether what is on record of its superstep is of an earlier version."""
        return self._known.old

    @property
    def outer(self) -> TaskCall | None:
        """The call of a node, or of a task, that has called its task."""
        return None if self._outer is None else self._outer[0]

    @property
    def is_inner(self) -> bool:
        """Whether its task was called by another one."""
        return self._outer is not None

    @property
    def tasks_made(self) -> int:
        """How many asyncio tasks the call has made so far."""
        return self.strands.count if self.strands is not None else 0

    def where(self) -> Where:
        """Which of the call's lines of code this is."""
        return where(self.owner, self.loop, self.strands)

    def noted(self, signal: Signal) -> Signal:
        """`signal`, which is about to be raised. It counts, whatever becomes of the exception."""
        if self.signals is None:
            self.signals = Noted(after=self.strands.count if self.strands is not None else 0)
        self.signals.add(self, signal, self.strands)
        return signal

    def refuse_while_waiting(self) -> None:
        """Raise once more what the call waits for, if its code goes on as if it did not: nothing
        is to be asked or done on the ground of an answer that is not there."""
        if self.signals is not None:
            self.signals.refuse(self.owner, self.strands)

    def refuse_begun(self) -> None:
        """Raise once more what the call waits for, in a task that only now can begin."""
        if self.signals is not None and self.signals.closing:
            raise again(self.signals.items)

    def keep_questions(self) -> None:
        """Put on record what the call has asked, though it fails."""
        if self.signals is None or self._outer is not None or self._checkpoint is None:
            return
        asked = {one.id: one for one in self.signals.interrupts}
        said = pending.asked(self.task.task_id, list(asked.values()), self._known)
        self.execution.journal.record(self.execution.lease, self._checkpoint, said)

    def begin(self, doing: Coroutine[Any, Any, T]) -> LoopFuture[T]:
        """Run a coroutine of the call on the event loop, from another thread."""
        if asyncio._get_running_loop() is self.loop or self.over:
            doing.close()
            self.check()
            raise RuntimeError(
                f"Node {self.task.node.name!r} cannot wait here for something that runs on the "
                "event loop, because this is the event loop: use the async form, with await."
            )
        if self.turn is None and guarding.locks_journal():  # atomic nodes have words of their own
            doing.close()
            raise RuntimeError(
                f"Node {self.task.node.name!r} waits here for the journal inside a transaction "
                "that keeps the journal from being written, so both would wait for ever: end the "
                "transaction first."
            )
        running = begin(doing, self.loop)
        self._waits.add(running)
        running.add_done_callback(self._waits.discard)
        return running

    def emit(self, name: str, data: bytes) -> None:
        """State an event, on the event loop."""
        self.check()
        self.execution.check_event(self.task.node.name, name, data)
        self.execution.emit_task_event(self.task, name, data)

    def emit_from_thread(self, name: str, data: bytes) -> None:
        """State an event, from any other thread; with the transaction of an atomic node."""
        self.check()
        self.execution.check_event(self.task.node.name, name, data)
        if self.turn is not None:
            self.turn.events.append(self.execution.event(self.task, name, data))
            return
        self.loop.call_soon_threadsafe(self._emit_late, name, data)

    def is_to_wait(self, emitted: int) -> bool:
        """Whether a thread that has emitted so many bytes more is to look whether the journal is
        behind. Never in a transaction: the journal may wait for the database that it holds."""
        self.unseen += emitted
        if self.turn is not None or self.unseen <= UNSEEN or guarding.locks_journal():
            return False
        self.unseen = 0
        return True

    def _emit_late(self, name: str, data: bytes) -> None:
        if not self.over:
            self.execution.emit_task_event(self.task, name, data)

    async def save(self, name: str, data: bytes, media_type: str) -> ArtifactRef:
        """Store an artifact of the task."""
        self.check()
        return await self.execution.save(self.task, name, data, media_type, self.check)

    @property
    def place(self) -> str:
        """Which task this is, the same in every run that goes on from the same checkpoint."""
        if self._outer is not None:
            memo, call = self._outer
            return f"{memo.place}|{call.place}"
        assert self._checkpoint is not None
        return place_of(self.task, self._checkpoint, self.execution.place)

    @property
    def seat(self) -> str:
        """Which task this is in any superstep of the thread: the only one of its node, or the
        second, and so on."""
        if self._outer is not None:
            memo, call = self._outer
            return f"{memo.seat}|{call.seat}"
        return seat_of(self.task.node.name, self.task.path, self.frontier, self.execution.seat)

    @property
    def frontier(self) -> Frontier:
        """What runs in the task's superstep."""
        assert self._checkpoint is not None
        return self._checkpoint.frontier

    def inner(self, task: Task, call: Call) -> TaskCall:
        """The memo of a task that this one has called."""
        memo = TaskCall(self.execution, task, self._checkpoint, self._known)
        memo._outer = (self, call)
        memo.namespace = namespace_of(self.namespace, task)
        return memo

    def hold_place(self) -> None:
        """Put on record which call this one is, and those around it, where tasks of the node make
        them: so that it has the same place when they arrive in another order."""
        if self._outer is None:
            return
        memo, call = self._outer
        memo.hold_place()
        if call.apart or not call.own:
            memo.hold(call)

    def hold(self, call: Call) -> None:
        """Put on record which call it is, before it has a result."""
        if not (call.old or call.held or (call.kept is not None)):
            call.held = True
            described = self.ledger.calls.recorded(call)
            body = b'{"key":%b,"call":%b}' % (serde.dumps(call.key), described)
            self.record("step", self.ledger.kept(call, described, None), body)

    def encode(self, name: str, result: Any) -> bytes:
        """The stored form of what the step `name` gave."""
        what = f"Result of step {name!r}"
        try:
            encoded = serde.dumps(result)
        except NotStorableError as error:
            raise NotStorableError(f"{what}: {error}") from None
        what += f" of node {self.task.node.name!r}"
        refuse_over(what, len(encoded), self.execution.max_value_bytes)
        return encoded

    async def keep(self, call: Call, encoded: bytes) -> Any:
        """Record what a step gave; on return it is durable. Answers the value as it will be read
        back."""
        self.check()
        described = b"{}" if call.old else self.ledger.calls.recorded(call)
        more = b"" if call.old else b',"call":%b' % described
        if self.inside:
            more += b',"inside":%b' % serde.dumps(self.inside)
        body = b'{"key":%b,"value":%b%b}' % (serde.dumps(call.key), encoded, more)
        self.record("step", self.ledger.kept(call, described, encoded), body)
        await self.settle()
        return serde.loads(encoded)

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a sync or async function without blocking the event loop."""
        if iscoroutinefunction(function):  # or one that is cancelled now would never be awaited
            return await function(*args, **kwargs)
        answer = await self.in_thread(function, *args, **kwargs)
        return await answer if asyncio.iscoroutine(answer) else answer

    async def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """`Execution.in_thread`. What the node's own line of code calls so is a part of it."""
        if asyncio.current_task() is not self.owner:
            return await self.execution.in_thread(function, *args, **kwargs)
        return await self.execution.in_thread(self._in_own_thread, function, *args, **kwargs)

    def _in_own_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        before, self.owner = self.owner, threading.get_ident()
        try:
            return function(*args, **kwargs)
        finally:
            self.owner = before

    def refuse_in_transaction(self, what: str) -> None:
        # They wait for the journal, which waits for the database that the transaction holds.
        if self.task.node.atomic:
            raise RuntimeError(
                f"Node {self.task.node.name!r} is atomic, so it takes no {what}: all that it does "
                "is recorded at once. Put them into another node."
            )

    def record(self, kind: NoteKind, idx: int, body: bytes) -> None:
        """Put a note of the task on record. It is durable when `settle` returns."""
        execution = self.execution
        assert self._checkpoint is not None
        note = Note(
            task_id=self.task.task_id, node=self.task.node.name, kind=kind, idx=idx, body=body
        )
        execution.journal.record(execution.lease, self._checkpoint, [note])

    async def settle(self) -> None:
        """Wait until all that was recorded is durable."""
        await self.execution.journal.settle(self.execution.lease)


def _is_cancelling(running: asyncio.Future[Any]) -> bool:
    return isinstance(running, asyncio.Task) and running.cancelling() > 0


def _seed_of_messages() -> str | None:
    """What a step makes is recorded, and not made again: if it counted, what the node makes after
    it would get other ids when the node is called again."""
    memo = current.get(None)
    if memo is None or in_step(memo):
        return None
    return f"{memo.task.task_id}:made:{next(memo.fresh)}"


messages.seed_of_call = _seed_of_messages


def forget_call() -> None:
    """In a forked process: it is inside no call of a node, whose event loop does not run here. A
    context of that call, which it may still have, refuses everything."""
    memo = current.get(None)
    if memo is not None:
        memo.over = True
        current.set(None)  # type: ignore[arg-type]
