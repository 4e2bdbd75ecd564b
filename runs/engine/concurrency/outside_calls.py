"""Questions that cannot be placed: asked in a thread or task without the context of its node, or in
code that is no part of a node. None is passed over, also when its code catches the error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextvars import ContextVar, Token
from typing import Any

_log = logging.getLogger("fastgraph.node")

#: The calls (TaskCall) of nodes and tasks that are in progress in this process.
in_progress: set[Any] = set()


class NoNode:
    """A block of user code, called `where` in messages, that is no part of a node: what is asked
    in it raises RuntimeError at the end of the block. With `hides` that also goes for a reducer or
    the like that happens to run in the context of a node."""

    __slots__ = ("_token", "error", "hides", "where")

    def __init__(self, where: str, *, hides: bool = True) -> None:
        self.where = where
        self.hides = hides
        self.error: RuntimeError | None = None

    def __enter__(self) -> None:
        self._token: Token[NoNode | None] = _block.set(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _block.reset(self._token)
        if self.error is not None and kind is None:
            raise self.error


_block: ContextVar[NoNode | None] = ContextVar("fastgraph_no_node", default=None)


def hidden() -> bool:
    """Whether this code is no part of the node in whose context it runs."""
    block = _block.get()
    return block is not None and block.hides


def unplaced(what: str, *, place: str = "inside a node") -> RuntimeError:
    """The error to raise for a call of `what`, such as "interrupt()", that belongs to no known
    node. Where all calls in progress are of one run, they fail with it too: one of them has most
    likely started the thread. Of several runs nobody can tell which; then the log says so."""
    if (block := _block.get()) is not None:
        error = RuntimeError(
            f"{what} can only be called {place}, and not in {block.where}: call it in a node."
        )
        block.error = block.error or error
        return error
    calls = _possible()
    if not calls:
        return RuntimeError(f"{what} can only be called {place}.")
    names = ", ".join(sorted({repr(call.task.node.name) for call in calls}))
    error = RuntimeError(
        f"{what} can only be called {place}, and was called in a thread or task without the "
        f"context of its node, while {names} ran. Start it with the context: "
        "asyncio.to_thread(f), or executor.submit(contextvars.copy_context().run, f)."
    )
    if len({call.execution.lease.run_id for call in calls}) > 1:
        _log.error("Nobody can tell which run a call belongs to, so none fails: %s", error)
        return error
    for call in calls:
        call.fault = call.fault or error
    return error


def _possible() -> Sequence[Any]:
    """The calls in progress that may have come here: on an event loop of nodes, those on it."""
    calls = [call for call in tuple(in_progress) if not call.over]
    loop = asyncio._get_running_loop()
    return [call for call in calls if call.loop is loop] or calls
