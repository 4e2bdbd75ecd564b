"""Stopping the asyncio tasks in which nodes run: who asked for it, and how long it may take.

A task may be cancelled by those who run it, or by code inside it. Only the first is a stop; the
second is the node's own failure. And a stop has an end, whatever the code does with CancelledError.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any, TypeVar

from runs.engine.concurrency import child_processes, outside_calls

T = TypeVar("T")

_log = logging.getLogger("fastgraph.node")

#: How long code that is stopped may take to end. After that nobody waits for it. Seconds.
GRACE_SECONDS = 5.0

#: The tasks in which the engine runs nodes, and whether each was asked to stop.
_tasks: dict[asyncio.Future[Any], bool] = {}

#: Tasks that code of a node has stopped and that have time to end, by the task that runs the node.
_postponed: dict[Any, set[asyncio.Future[Any]]] = {}

#: Tasks that wait, in `end`, for others.
_ending: set[asyncio.Future[Any]] = set()

#: Tasks that were stopped and go on all the same. They are kept also when their loop has ended: to
#: collect one is to run its code, in whatever place that happens.
_abandoned: set[asyncio.Future[Any]] = set()


class TimeOver(Exception):
    """What `result` waited for took too long, and was stopped."""


class _Carried(Exception):
    """Has an error (`__cause__`) that would end the event loop if it came out of a task."""


async def carried(doing: Coroutine[Any, Any, T]) -> T:
    """`doing` for a task of its own, which `opened` waits for."""
    try:
        return await doing
    except (SystemExit, KeyboardInterrupt) as error:
        raise _Carried from error


async def opened(task: asyncio.Future[T]) -> T:
    """What a task of `carried` gives, or raises."""
    try:
        return await task
    except _Carried as error:
        raised = error.__cause__
    assert raised is not None
    try:  # outside of the handler: its own cause and context stay what they are
        raise raised
    finally:
        del raised  # its traceback has this frame


def own(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """From now on a cancellation of these tasks counts as a stop only if `ask` has made it."""
    for task in tasks:
        _tasks[task] = False
        hide(task)


def hide(task: asyncio.Future[Any] | None) -> None:
    """Leave the task out of `asyncio.all_tasks()`: a node that cancels or awaits all of those must
    not reach other runs, nor the worker. `asyncio.run` does not wait for it either."""
    if isinstance(task, asyncio.Task):
        asyncio.tasks._unregister_task(task)


def disown(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Nobody runs these tasks any more."""
    for task in tasks:
        _tasks.pop(task, None)


def abandoned(loop: asyncio.AbstractEventLoop) -> int:
    """How many tasks on the loop go on though they were stopped."""
    return sum(not task.done() for task in list(_abandoned) if task.get_loop() is loop)


def ask(task: asyncio.Future[Any]) -> None:
    """Stop the task. To be called on its event loop."""
    if task in _tasks:
        _tasks[task] = True
    task.cancel()
    for one in tuple(_postponed.get(task, ())):
        one.cancel()


def is_asked(task: asyncio.Task[Any] | None) -> bool:
    """Whether the task was asked to stop. Of a task that user code has made, any cancellation
    counts: user code may stop it."""
    if task is None:
        return True
    asked = _tasks.get(task)
    return task.cancelling() > 0 if asked is None else asked


def is_stopped(task: Any) -> bool:
    """Whether `ask` has stopped the task, in which the engine runs a node."""
    return _tasks.get(task, False)


def postpone(task: asyncio.Future[Any], owner: Any, cancel: Callable[[], object]) -> None:
    """Let a task go on for GRACE_SECONDS, and no longer than `owner`, and then `cancel` it."""
    task.get_loop().call_later(GRACE_SECONDS, cancel)
    late = _postponed.setdefault(owner, set())
    late.add(task)

    def ended(task: asyncio.Future[Any]) -> None:
        late.discard(task)
        if not late and _postponed.get(owner) is late:
            del _postponed[owner]

    task.add_done_callback(ended)


async def heed(task: Any) -> None:
    """Make a cancellation count that code in `task`, the current one, has passed over: raises
    CancelledError if the task was asked to stop, or if a cancellation is still to come."""
    asked = _tasks.get(task)
    if asked is None:
        return
    if asked:
        raise asyncio.CancelledError
    while task.cancelling():
        task.uncancel()
    await asyncio.sleep(0)


def begin(doing: Awaitable[T], name: str | None = None) -> asyncio.Future[T]:
    """Start `doing` in a task of its own, to be given to `result` at once."""
    if not asyncio.iscoroutine(doing):
        task = asyncio.ensure_future(doing)
    else:
        # Not by the loop's factory: this is no task of a node's code.
        task = asyncio.Task(carried(doing), loop=asyncio.get_running_loop(), name=name)
        task.add_done_callback(lambda _: doing.close())  # if it was cancelled before it began
    own([task])
    return task


async def result(task: asyncio.Future[T], seconds: float | None = None) -> T:
    """What a task gives that `begin` has started. When it takes longer than `seconds`, it is
    stopped, and TimeOver raised; when this is cancelled, it is stopped, too. Either way this
    returns GRACE_SECONDS later at the latest."""
    try:
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            await end([task])
            raise TimeOver from _error_of(task)
        return await opened(task)  # CancelledError, if its own code has cancelled it
    except asyncio.CancelledError:
        if not task.done():
            await end([task])
        raise
    finally:
        _error_of(task)  # it is seen, whatever becomes of it
        disown([task])


async def end(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Stop the tasks and wait until they have ended, GRACE_SECONDS at most. Those that go on are
    abandoned: all that they ask of the engine is refused."""
    for task in tasks:
        ask(task)
    own = asyncio.current_task()
    assert own is not None
    _ending.add(own)
    try:
        cancelled = await _ended_in_time(tasks)
        # What stops others itself has begun that later, and is done a moment later.
        cancelled = await _ended_in_time(_ending.intersection(tasks)) or cancelled
    finally:
        _ending.discard(own)
    for task in tasks:
        if not task.done():
            abandon(task)
    if cancelled is not None:
        raise cancelled


async def _ended_in_time(tasks: Collection[asyncio.Future[Any]]) -> BaseException | None:
    """Wait for tasks that are stopped. Answers the cancellation that came meanwhile, if one did:
    they have the rest of their time."""
    loop, cancelled = asyncio.get_running_loop(), None
    until = loop.time() + GRACE_SECONDS
    left = [task for task in tasks if not task.done()]
    while left and (seconds := until - loop.time()) > 0:
        try:
            await asyncio.wait(left, timeout=seconds)
        except asyncio.CancelledError as error:
            cancelled = error
        left = [task for task in left if not task.done()]
    return cancelled


def abandon(task: asyncio.Future[Any]) -> None:
    """Let a task go on without anybody waiting for it: not even `asyncio.run`, at its end."""
    names, left = set(), [task]
    for call in tuple(outside_calls.in_progress):
        if call.owner is task:
            if call.task.node.subgraph is None:
                names.add(call.task.node.name)
            call.end()
            child_processes.stop(call)
            left += call.strands.open() if call.strands is not None else ()
    who = f"Node {', '.join(map(repr, sorted(names)))}" if names else "A task of a node's code"
    _log.error(
        "%s did not end within %g s when it was stopped, and is left behind (at %s)",
        who,
        GRACE_SECONDS,
        place_of(task),
    )
    for one in left:
        one.cancel()  # once more for the task itself; the first time for those that it has made
        _abandoned.add(one)
        one.add_done_callback(_ended)
        hide(one)
        if isinstance(one, asyncio.Task):
            one._log_destroy_pending = False  # type: ignore[attr-defined]


async def end_others(seconds: float) -> None:
    """Stop all other tasks of the event loop, which nodes have left on it: `asyncio.run` would wait
    for them for ever. Those that go on after `seconds` are left behind."""
    loop = asyncio.get_running_loop()
    owned = {task for task in _tasks if task.get_loop() is loop}
    others = (asyncio.all_tasks() | owned) - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        _, deaf = await asyncio.wait(others, timeout=seconds)
        for task in deaf:
            abandon(task)


def place_of(task: asyncio.Future[Any]) -> str:
    """Where the code of a task waits, as `file:line in function`."""
    coroutine = task.get_coro() if isinstance(task, asyncio.Task) else None
    place = "an unknown place"
    while coroutine is not None:
        if (frame := getattr(coroutine, "cr_frame", None)) is not None:
            place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        coroutine = getattr(coroutine, "cr_await", None)
    return place


def _ended(task: asyncio.Future[Any]) -> None:
    _abandoned.discard(task)
    _error_of(task)


def _error_of(task: asyncio.Future[Any]) -> BaseException | None:
    """The error that a task has ended with, which asyncio would log if nobody had seen it."""
    return task.exception() if task.done() and not task.cancelled() else None
