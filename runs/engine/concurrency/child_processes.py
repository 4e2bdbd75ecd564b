"""The processes that node calls start: a call that does not finish takes its processes along."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from runs.engine.errors import CallOver

#: Ends these processes, as they were recorded, and what they have started. Must not block.
End = Callable[[Sequence[Any]], None]

#: `Call.children` of a call that was stopped or failed.
STOPPED: list[Any] = []

_lock = threading.Lock()
_end: End | None = None


class Call(Protocol):
    """What is known here of one call of a node (`memo.TaskCall`)."""

    #: What the call has started; None before the first; `STOPPED` when it may start none.
    children: list[Any] | None
    over: bool


def _renew_lock() -> None:
    """In a forked process: the thread that holds the lock may not exist here."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def end_with(end: End | None) -> None:
    """Let `end` end processes. Without it, they are left alone."""
    global _end
    _end = end


def check(call: Call) -> None:
    """Raise CallOver if `call` was stopped or has failed: then it may start no process."""
    if call.children is STOPPED:
        raise CallOver(
            "This call of the node is over, and starts no process: its time was up, it failed, or"
            " its run was stopped."
        )


def add(call: Call, process: Any) -> None:
    """Record that `call` has started `process`; from any thread."""
    with _lock:
        if call.children is not STOPPED:
            if not call.over:  # a call that has finished keeps nothing
                call.children = call.children or []
                call.children.append(process)
            return
    if _end is not None:  # it was stopped while it started the process
        _end([process])


def stop(call: Call) -> None:
    """End the processes that `call` has started, and let it start no more."""
    with _lock:
        started, call.children = call.children, STOPPED
    if started and _end is not None:
        _end(started)
