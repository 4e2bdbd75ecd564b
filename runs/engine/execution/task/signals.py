"""What ends a node's call other than its answer: a question or a sleep that has to be waited for,
and a Command to the parent graph. Whatever the node's code does with the exception, it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

from runs.engine.concurrency.node_tasks import Hand, Strands, hand
from runs.engine.errors import GraphError, GraphInterrupt, IdentityError, ParentCommand
from runs.engine.types import Interrupt

#: All of them are noted in the call that they are raised in. An IdentityError is one as well: the
#: call cannot go on rightly, so the node fails also when its code catches the error.
Signal = GraphInterrupt | ParentCommand | IdentityError

_SIGNALS = (GraphInterrupt, ParentCommand, IdentityError)

#: So many links of a chain of errors are looked at.
_LONG = 100


def settled(error: BaseException | None, noted: Sequence[Signal]) -> BaseException | None:
    """How a call ends that raised `error` (None: it returned) and in which `noted` were raised:
    with the signals, as one exception; with an error of its own; or None, with its answer.

    An error wins over a question, unless it comes of the question: it was raised while the
    question was handled, or it is a cancellation. A group counts by what is in it."""
    if error is None:
        return merged(noted) if noted else None
    found, real = _sorted_out(error)
    if fatal := [one for one in (*noted, *found) if isinstance(one, IdentityError)]:
        return fatal[0]
    signals = [*noted, *(one for one in found if one not in noted)]
    if not signals or (real is not None and not _is_cancellation(real)):
        return real if real is not None else error
    return merged(signals)


def merged(signals: Sequence[Signal]) -> Signal:
    """Several signals as one: what all of them wait for; or, when nothing is waited for, all
    Commands. A Command beside a question comes again when the question is answered."""
    if len(signals) == 1:
        return signals[0]
    for signal in signals:
        if isinstance(signal, IdentityError):
            return signal
    pauses = [signal for signal in signals if isinstance(signal, GraphInterrupt)]
    if not pauses:
        sent = [signal for signal in signals if isinstance(signal, ParentCommand)]
        commands = {id(command): command for one in sent for command in one.commands}
        return ParentCommand(*commands.values())
    interrupts = {one.id: one for pause in pauses for one in pause.interrupts}
    until = min((pause.until for pause in pauses if pause.until is not None), default=None)
    return GraphInterrupt(list(interrupts.values()), until=until)


def again(noted: Sequence[Signal]) -> Signal:
    """What was raised, to be raised once more somewhere else."""
    signal = merged(noted)
    if isinstance(signal, GraphInterrupt):
        return GraphInterrupt(signal.interrupts, until=signal.until)
    if isinstance(signal, ParentCommand):
        return ParentCommand(*signal.commands)
    return IdentityError(*signal.args)


def waits(error: BaseException) -> bool:
    """Whether `error` is a signal, a group of signals, or comes of one."""
    found, real = _sorted_out(error)
    return bool(found) and (real is None or _is_cancellation(real))


def _sorted_out(error: BaseException) -> tuple[list[Signal], BaseException | None]:
    """The signals that `error` is, holds or comes of; and what is an error of its own in it."""
    if isinstance(error, _SIGNALS):
        return [error], None
    if not isinstance(error, BaseExceptionGroup):
        # What the engine says of a signal is an error of its own, and so is that of a node inside.
        found = [] if isinstance(error, GraphError) else _behind(error)
        return found, None if found else error
    found, kept = [], []
    for one in error.exceptions:
        more, real = _sorted_out(one)
        found += more
        if real is not None:
            kept.append(real)
    if not kept:
        return found, None
    if not found:
        return [], error
    return found, error.derive(kept).with_traceback(error.__traceback__)


def _behind(error: BaseException) -> list[Signal]:
    """The first signal among the causes of an error."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error.__cause__, error.__context__]
    while todo and len(seen) < _LONG:
        cause = todo.pop(0)
        if cause is None or id(cause) in seen:
            continue
        if isinstance(cause, _SIGNALS):
            return [cause]
        seen.add(id(cause))
        todo += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            todo += cause.exceptions
    return []


def _is_cancellation(error: BaseException) -> bool:
    """Whether it only says that something was stopped."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_cancellation, error.exceptions))
    return isinstance(error, (asyncio.CancelledError, GeneratorExit))


class _Scope:
    """What was raised in the function of a step of one call; and the step around it."""

    __slots__ = ("around", "found", "memo")

    def __init__(self, memo: object, around: _Scope | None) -> None:
        self.memo = memo
        self.around = around
        self.found: list[Signal] = []


_scope: ContextVar[_Scope | None] = ContextVar("fastgraph_step", default=None)


class watched:
    """The signals of the call `memo` that come from within the block, also from tasks and threads
    with a copy of its context. A result that was made without an answer is not to be recorded."""

    __slots__ = ("_scope", "_token")

    def __init__(self, memo: object) -> None:
        self._scope = _Scope(memo, _scope.get())

    def __enter__(self) -> list[Signal]:
        self._token = _scope.set(self._scope)
        return self._scope.found

    def __exit__(self, *error: object) -> None:
        _scope.reset(self._token)


def in_step(memo: object) -> bool:
    """Whether the function of a step of the call `memo` runs here."""
    scope = _scope.get()
    return scope is not None and scope.memo is memo


class Noted:
    """The signals of one node call, the tasks that raised them and those that made these (`by`),
    and how many tasks the call had made before (`after`). When it is `closing`, nothing more is
    begun in the call."""

    __slots__ = ("after", "by", "closing", "items")

    def __init__(self, after: int) -> None:
        self.items: list[Signal] = []
        self.by: set[Hand] = set()
        self.after = after
        self.closing = False

    def add(self, memo: object, signal: Signal, strands: Strands | None) -> None:
        """Take a signal of the call `memo` into account, and in the steps of it around here."""
        self.items.append(signal)
        self._raised(hand(), strands)
        scope = _scope.get()
        while scope is not None:
            if scope.memo is memo:
                scope.found.append(signal)
            scope = scope.around

    def refuse(self, owner: Hand, strands: Strands | None) -> None:
        """Raise the signals once more, to code that goes on in spite of them: the node's own, tasks
        that raised one or made a task that did, and tasks that were made since. What ran before may
        go on, and so may threads, which serve many."""
        here = hand()
        again_here = late = False
        if isinstance(here, asyncio.Task):
            again_here = here in self.by
            late = strands is not None and strands.number(here) > self.after
        if self.closing or here == owner or again_here or late:
            self._raised(here, strands)
            raise again(self.items)

    def _raised(self, here: Hand, strands: Strands | None) -> None:
        if isinstance(here, asyncio.Task):
            self.by |= {here} if strands is None else strands.line(here)

    @property
    def interrupts(self) -> list[Interrupt]:
        """All that was asked."""
        pauses = [one for one in self.items if isinstance(one, GraphInterrupt)]
        return [interrupt for pause in pauses for interrupt in pause.interrupts]
