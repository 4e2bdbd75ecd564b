"""A call without a record, while a record of its name is left over: is it the same, with another
argument, or another one? Where several tasks of the node run, those that come later may tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

from runs.engine.execution.task.signals import again
from runs.engine.execution.task.task_call import TaskCall
from runs.engine.superstep.recorded_call import Call

#: Seconds that a call waits at most for other tasks of the node to claim what is left over. They
#: may wait for this one.
LONGEST = 5.0

#: Seconds between two looks.
_STEP = 0.02


async def settle(memo: TaskCall, call: Call) -> None:
    """Return when `call` is known to be another one than those on record; IdentityError when
    nobody is left who could tell."""
    calls, strands = memo.ledger.calls, memo.strands
    if not call.doubtful:
        return
    task, until = asyncio.current_task(), time.monotonic() + LONGEST
    line = strands.line(task) if strands is not None else set()
    calls.in_doubt.update(line)
    try:
        while calls.is_doubtful(call):
            others = _who_may_tell(memo, task, calls.in_doubt)
            if not others or time.monotonic() > until:
                raise _refusal(memo, call)
            await asyncio.wait(others, timeout=_STEP, return_when=asyncio.FIRST_COMPLETED)
            memo.check()  # the call may be over by now, or wait for an answer
            memo.refuse_while_waiting()
    except BaseException:
        calls.end(call, failed=True)
        raise
    finally:
        calls.in_doubt.difference_update(line)


def _refusal(memo: TaskCall, call: Call) -> BaseException:
    """What ends the call. Those that could tell may wait for an answer: then this does, too."""
    if memo.signals is not None:
        return again(memo.signals.items)
    return memo.noted(memo.ledger.calls.refusal(call))


def _who_may_tell(
    memo: TaskCall, task: asyncio.Task[Any] | None, in_doubt: Collection[Any]
) -> list[asyncio.Task[Any]]:
    """The tasks of the node that may still ask for what is left over."""
    others = memo.strands.others(task) if memo.strands is not None else ()
    return [other for other in others if other not in in_doubt]


def settle_in_thread(memo: TaskCall, call: Call) -> None:
    """`settle`, for a thread that the node's code has made, and which does not know what runs
    beside it."""
    calls, until = memo.ledger.calls, time.monotonic() + LONGEST
    while calls.is_doubtful(call):
        if time.monotonic() > until:
            calls.end(call, failed=True)
            raise _refusal(memo, call)
        time.sleep(_STEP)
        memo.check()
