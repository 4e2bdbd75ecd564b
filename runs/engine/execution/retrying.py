"""Attempts: calling a node or a task until it is done, in its time, as its retry policies say."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from runs.engine import events, serde
from runs.engine.concurrency import child_processes, forked, guarding, outside_calls, stopping
from runs.engine.errors import (
    Fenced,
    GraphInterrupt,
    IdentityError,
    InvalidUpdateError,
    NodeCancelledError,
    NodeError,
    NodeTimeoutError,
    ParentCommand,
    add_note,
    shown,
)
from runs.engine.execution.execution import Execution
from runs.engine.execution.task import signals
from runs.engine.execution.task.signals import again
from runs.engine.execution.task.task_call import TaskCall
from runs.engine.graph import retry
from runs.engine.superstep.plan import Task

T = TypeVar("T")


async def run_with_retries(memo: TaskCall, attempt: Callable[[TaskCall], Awaitable[T]]) -> T:
    """What `attempt` gives, called again, with a memo of its own, after an error as the task's
    retry policies say. What is final comes out as NodeError; GraphInterrupt and the end of the run
    pass. What was asked counts, also where the node's code caught the exception (`signals`)."""
    execution, task = memo.execution, memo.task
    began = forked.generation
    if execution.heard and not execution.recount:  # who goes on after a failure begins anew
        memo = await _next_on_record(memo)
    while True:
        finished = False
        outside_calls.in_progress.add(memo)
        try:
            answer = await attempt(memo)
            if memo.over:  # it was left behind, and nobody waits for what it gives
                raise asyncio.CancelledError
            if memo.owner.cancelling():  # type: ignore[union-attr]
                await stopping.heed(memo.owner)
            if memo.begun:
                await memo.rest()
            if memo.signals is not None:
                raise again(memo.signals.items)
            if (fault := _fault_of(memo)) is not None:
                raise fault
            memo.returned = finished = True
            return answer
        except Fenced:
            raise
        except BaseException as raised:  # a node may raise SystemExit; the worker must not exit
            left_behind = memo.over and not isinstance(raised, NodeTimeoutError)
            if left_behind or is_run_cancellation(raised):
                raise
            error = await _settled(memo, raised)
            inner = _named(memo, error)
            wait = _wait(task, memo.attempt, inner.__cause__)
            if wait is None:
                memo.keep_questions()
                raise inner from inner.__cause__
            assert inner.__cause__ is not None
            until = retry.moment(execution.clock.now(), wait)
            told = {"attempt": memo.attempt, "delay": wait, "error": shown(inner.__cause__)}
            execution.emit_task_event(
                task,
                events.RETRY,
                serde.dumps({**told, "until": until.isoformat(), **within(memo)}),
            )
        finally:
            if forked.generation != began:
                forked.leave(sys.exc_info()[1])
            outside_calls.in_progress.discard(memo)
            memo.end()  # before the wait: what is left of this call is not to run into the next
            if not finished and not isinstance(sys.exc_info()[1], ParentCommand):
                child_processes.stop(memo)
        await execution.journal.settle(execution.lease)  # or a crash would allow one call more
        await _sleep_until(execution, until)
        memo = memo.again()


def _named(memo: TaskCall, error: BaseException) -> NodeError:
    """The error with the node that raised it: the innermost one."""
    if isinstance(error, NodeError):
        return error
    task, namespace = memo.task, memo.execution.namespace
    return NodeError(task.node.name, error, namespace=namespace, task_id=task.task_id)


async def _next_on_record(memo: TaskCall) -> TaskCall:
    """The memo of the call that comes next, when it is due: calls that failed before a crash count
    as they would have counted without it."""
    heard = memo.execution.heard.get(memo.task.task_id)
    said = heard.retried() if heard is not None else None
    if said is None or said.get("within") != within(memo).get("within"):
        return memo
    if "until" in said:
        await _sleep_until(memo.execution, datetime.fromisoformat(said["until"]))
    memo.attempt = said["attempt"]
    return memo.again()


def within(memo: TaskCall) -> dict[str, int]:
    """Of a task that a node calls: in which call of the node that is."""
    return {} if memo.outer is None else {"within": memo.outer.attempt}


async def _sleep_until(execution: Execution, moment: datetime) -> None:
    await execution.clock.sleep(max(0.0, (moment - execution.clock.now()).total_seconds()))


async def _settled(memo: TaskCall, raised: BaseException) -> BaseException:
    """The error that a call failed with; what it waits for, or sends to the graph around, is
    raised."""
    noted = memo.signals.items if memo.signals is not None else []
    error = signals.settled(raised, noted)
    assert error is not None
    if isinstance(error, asyncio.CancelledError):
        error = cancelled_itself(memo.task.node.name, error)
    if isinstance(error, (GraphInterrupt, ParentCommand)) and (fault := _fault_of(memo)):
        return fault
    if isinstance(error, GraphInterrupt):
        await memo.parts_over()
        if memo.signals is not None:  # with what was asked meanwhile
            error = signals.merged([*memo.signals.items, error])
        raise error
    if isinstance(error, ParentCommand):
        if memo.execution.namespace or memo.is_inner:
            raise error
        return _no_parent(memo.task.node.name)
    if noted and not isinstance(error, IdentityError):
        add_note(
            error,
            f"Node {memo.task.node.name!r} had asked something, or slept, before it failed; what "
            "its code caught there was not an error.",
        )
    return error


def _fault_of(memo: TaskCall) -> Exception | None:
    """What the guard has found wrong with a call of the node."""
    return guarding.check(memo.task.node.name) or memo.fault


def with_timeout(memo: TaskCall, call: Awaitable[T]) -> Awaitable[T]:
    """What `call` gives; NodeTimeoutError when it takes longer than the node may."""
    seconds = memo.task.node.timeout
    return call if seconds is None else _limited(memo, call, seconds)


async def _limited(memo: TaskCall, call: Awaitable[T], seconds: float) -> T:
    running = stopping.begin(call)
    memo.owner = running if isinstance(running, asyncio.Task) else memo.owner
    try:
        return await stopping.result(running, seconds)
    except stopping.TimeOver as error:
        raise NodeTimeoutError(
            f"Node {memo.task.node.name!r} took longer than its timeout of {seconds:g} s."
        ) from error.__cause__


def is_run_cancellation(error: BaseException) -> bool:
    """Whether it was the run that was stopped, rather than something inside the node."""
    return isinstance(error, (asyncio.CancelledError, GeneratorExit)) and stopping.is_asked(
        asyncio.current_task()
    )


def cancelled_itself(node: str, error: asyncio.CancelledError) -> NodeCancelledError:
    """The failure of a node that raised `error`, which is not to count against what comes now."""
    own = asyncio.current_task()
    while own is not None and own.cancelling():
        own.uncancel()
    failure = NodeCancelledError(node)
    failure.__cause__ = error
    return failure.with_traceback(error.__traceback__)


def _no_parent(node: str) -> InvalidUpdateError:
    return InvalidUpdateError(
        f"Node {node!r} sent a Command to the parent graph, and there is none: leave out graph=."
    )


def _wait(task: Task, attempt: int, error: BaseException | None) -> float | None:
    if not isinstance(error, Exception) or isinstance(error, IdentityError):
        return None
    for policy in task.node.retry:
        try:
            wait = retry.delay(policy, attempt, error)
        except BaseException as broken:  # the node's own error is what the run fails with
            add_note(
                error,
                f"Node {task.node.name!r} is not called again, because the retry_on of its"
                f" RetryPolicy raised {shown(broken)}",
            )
            return None
        if wait is not None:
            return wait
    return None
