"""Parts of a node call in asyncio tasks of their own, which go on when the call has to wait.

Code of the node may stop them for a question beside them, as a TaskGroup does. Then they would be
done again with the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from runs.engine.concurrency import stopping
from runs.engine.concurrency.node_tasks import Strands
from runs.engine.execution.task.task_call import TaskCall

T = TypeVar("T")


class PartTask(asyncio.Task[Any]):
    """A task in which a part of the call `memo` runs. One that is stopped while the call waits for
    an answer has GRACE_SECONDS to end, and whoever awaits it waits as long."""

    memo: TaskCall

    def cancel(self, msg: Any = None) -> bool:
        memo = self.memo
        if memo.signals is None or memo.over or self.done() or stopping.is_stopped(memo.owner):
            return super().cancel(msg)
        stopping.postpone(self, memo.owner, super().cancel)
        return False


def begin(memo: TaskCall, doing: Coroutine[Any, Any, Any], *, apart: bool) -> PartTask:
    """Run a part in a task of its own. If it is `apart`, it asks in a place of its own."""
    task = PartTask(doing, loop=memo.loop)
    task.memo = memo
    if memo.strands is None:
        memo.strands = Strands()
    memo.strands.add(task, asyncio.current_task(), same=not apart)
    if apart:
        memo.strands.set_apart(task)
    return task


async def whole(memo: TaskCall, doing: Coroutine[Any, Any, T]) -> T:
    """What `doing` gives, a part of the call. Where code of the node may stop it, because something
    else asks, it runs in a task of its own."""
    if memo.strands is None or not memo.strands.has_others:
        return await doing
    task = begin(memo, stopping.carried(doing), apart=False)
    task.add_done_callback(lambda _: doing.close())  # if it was cancelled before it began
    given: T = await stopping.opened(task)
    return given
