"""The asyncio tasks that the code of a node call has made: which of them run beside which."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, Literal

#: What runs a line of code: an asyncio task, or a thread by its id.
Hand = asyncio.Task[Any] | int | None

#: Where something is done in a node call: by the node's own line of code (`own`), one thing after
#: another; by a task of the node beside which no other ran (`alone`); or by one of several tasks,
#: or any other thread (`beside`).
Where = Literal["own", "alone", "beside"]

#: So many tasks are kept before those that have ended are dropped.
_ENOUGH = 64


class Strands:
    """The tasks of one node call, each with the task that made it and its number in that order.
    Those that are `apart` are calls of task functions, which ask in a place of their own."""

    __slots__ = ("_aparts", "_limit", "_made_by", "_open", "_parted", "_single", "apart", "count")

    def __init__(self) -> None:
        self.count = 0
        self._aparts = 0
        self.apart: set[Any] = set()
        #: Tasks that had not ended when last looked at, in order; not those that are apart.
        self._open: dict[asyncio.Task[Any], None] = {}
        #: Those of them beside which no other was made; and those that the newest task ended.
        self._single: set[asyncio.Task[Any]] = set()
        self._parted: set[asyncio.Task[Any]] = set()
        self._limit = _ENOUGH
        self._made_by: dict[asyncio.Task[Any], tuple[asyncio.Task[Any] | None, int]] = {}

    def add(
        self, task: asyncio.Task[Any], maker: asyncio.Task[Any] | None, *, same: bool = False
    ) -> None:
        """A task was made. One that only goes on with what its maker does is the `same`."""
        self.count += not same
        number = self._made_by.get(maker, (None, 0))[1] if same and maker else self.count
        self._made_by[task] = (maker, number)
        line = self.line(task)
        self._parted = {one for one in self._single if one not in line}
        self._single -= self._parted
        if self._is_single(line):
            self._single.add(task)
        self._open[task] = None
        if len(self._made_by) > self._limit:
            self._drop([one for one in self._made_by if one.done()])
            self._limit = max(_ENOUGH, 2 * len(self._made_by))

    def set_apart(self, task: asyncio.Task[Any]) -> None:
        """The newest task is a call of a task function: it counts as beside no other."""
        self._aparts += 1
        self.apart.add(task)
        self._open.pop(task, None)
        self._single |= self._parted

    @property
    def has_others(self) -> bool:
        """Whether there ever was one that is not apart."""
        return self.count > self._aparts

    def is_single(self, task: asyncio.Task[Any]) -> bool:
        """Whether no other task was open when it was made, and none was made beside it. A task
        that has ended counts: the next call of the node may find it open still."""
        return task in self._single or task not in self._made_by

    def _is_single(self, line: Collection[asyncio.Task[Any]]) -> bool:
        ended, found = [], True
        for one in self._open:
            if one.done():
                ended.append(one)
            elif one not in line:
                found = False
                break
        for one in ended:
            del self._open[one]
            self._single.discard(one)
        return found

    def has(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether the call has made this task. From any thread."""
        return task in self._made_by

    def open(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended."""
        return [one for one in self._made_by if not one.done()]

    def _drop(self, ended: Collection[asyncio.Task[Any]]) -> None:
        for one in ended:
            del self._made_by[one]
            self._open.pop(one, None)
            self._single.discard(one)
        self.apart.difference_update(ended)

    def number(self, task: asyncio.Task[Any]) -> int:
        """Which task of the call it is, from 1; a task that is not known yet is the newest."""
        return self._made_by.get(task, (None, self.count + 1))[1]

    def line(self, task: asyncio.Task[Any] | None) -> set[asyncio.Task[Any]]:
        """A task with those that it was made by."""
        line: set[asyncio.Task[Any]] = set()
        while task is not None and task not in line:
            line.add(task)
            task = self._made_by.get(task, (None, 0))[0]
        return line

    def others(self, task: asyncio.Task[Any] | None) -> Generator[asyncio.Task[Any], None, None]:
        """The tasks that have not ended, but for those that are apart, `task` itself and those that
        it was made by: they wait for it, or are where it was begun from."""
        line, ended = self.line(task), []
        try:
            for one in self._made_by:
                if one.done():
                    ended.append(one)
                elif one not in line and one not in self.apart:
                    yield one
        finally:
            self._drop(ended)  # so that nobody looks at them again


def hand() -> Hand:
    """What runs the present line of code."""
    running = asyncio._get_running_loop()
    return threading.get_ident() if running is None else asyncio.current_task()


def where(owner: Hand, loop: asyncio.AbstractEventLoop, strands: Strands | None) -> Where:
    """Where the present line of code is in a node call on `loop`, whose own line `owner` runs."""
    running, here = asyncio._get_running_loop(), hand()
    if here == owner:
        return "own"
    if running is not loop or not isinstance(here, asyncio.Task):
        return "beside"
    if strands is None:
        return "alone"
    if not strands.is_single(here):
        return "beside"
    others = strands.others(here)
    found = next(others, None)
    others.close()
    return "alone" if found is None else "beside"


def _factory(before: Any, current: ContextVar[Any]) -> Callable[..., asyncio.Task[Any]]:
    """What makes tasks as the loop did `before`, and files those of a node call with it."""
    get = current.get

    def make(
        loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any]
        if before is None:
            task = asyncio.Task(coro, loop=loop, **options)
        else:
            task = before(loop, coro, **options)
        if options and (context := options.get("context")) is not None:
            memo = context.get(current)
        else:
            memo = get(None)
        if memo is not None and memo.loop is loop:
            if memo.strands is None:
                memo.strands = Strands()
            memo.strands.add(task, asyncio.current_task(loop))
        return task

    make._files_tasks = True  # type: ignore[attr-defined]
    return make


def watch(current: ContextVar[Any]) -> None:
    """Let the running event loop file the tasks that node calls make; `current` holds the call.
    A task factory that the loop has already goes on making the tasks."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    if not hasattr(before, "_files_tasks"):
        loop.set_task_factory(_factory(before, current))
