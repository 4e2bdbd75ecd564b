"""Attempts: calling a node or a task until it is done, in its time, as its retry policies say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from . import events, retry, serde
from .errors import (
    Fenced,
    GraphInterrupt,
    InvalidUpdateError,
    NodeError,
    NodeTimeoutError,
    ParentCommand,
)
from .memo import Memo
from .plan import Task

T = TypeVar("T")


async def until_done(memo: Memo, attempt: Callable[[Memo], Awaitable[T]]) -> T:
    """What `attempt` gives, called again, with a memo of its own, after an error as the task's
    retry policies say. What is final comes out as NodeError; GraphInterrupt and the end of the run
    pass."""
    execution, task = memo.execution, memo.task
    while True:
        try:
            answer = await attempt(memo)
            if memo.begun:
                await memo.rest()
            return answer
        except GraphInterrupt:
            await memo.parts_over()
            raise
        except Fenced:
            raise
        except ParentCommand:
            if execution.namespace:
                raise
            orphan = _no_parent(task.node.name)
            raise NodeError(task.node.name, orphan) from orphan
        except BaseException as error:  # a node may raise SystemExit; the worker must not exit
            if is_ours(error):
                raise
            inner = error if isinstance(error, NodeError) else NodeError(task.node.name, error)
            wait = _wait(task, memo.attempt, inner.__cause__)
            if wait is None:
                raise inner from inner.__cause__
            said = f"{type(inner.__cause__).__name__}: {inner.__cause__}"
            told = {"attempt": memo.attempt, "delay": wait, "error": said}
            execution.state(task, events.RETRY, serde.dumps(told))
        finally:
            memo.end()  # before the wait: what is left of this call is not to run into the next
        await execution.clock.sleep(wait)
        memo = memo.again()


def in_time(memo: Memo, call: Awaitable[T]) -> Awaitable[T]:
    """What `call` gives; NodeTimeoutError when it takes longer than the node may."""
    seconds = memo.task.node.timeout
    return call if seconds is None else _limited(memo, call, seconds)


async def _limited(memo: Memo, call: Awaitable[T], seconds: float) -> T:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await call
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise NodeTimeoutError(
            f"Node {memo.task.node.name!r} took longer than its timeout of {seconds:g} s."
        ) from error


def is_ours(error: BaseException) -> bool:
    """Whether it was the run that was stopped, rather than something inside the node."""
    current = asyncio.current_task()
    return isinstance(error, (asyncio.CancelledError, GeneratorExit)) and (
        current is None or current.cancelling() > 0
    )


def _no_parent(node: str) -> InvalidUpdateError:
    return InvalidUpdateError(
        f"Node {node!r} sent a Command to the parent graph, and there is none: leave out graph=."
    )


def _wait(task: Task, attempt: int, error: BaseException | None) -> float | None:
    if not isinstance(error, Exception):
        return None
    waits = (retry.delay(policy, attempt, error) for policy in task.node.retry)
    return next((wait for wait in waits if wait is not None), None)
