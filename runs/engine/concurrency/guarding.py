"""The guard: the port through which a host watches every call of user code on a thread."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol


class Guard(Protocol):
    """Keeps what a thread shares between calls, such as a database connection, usable."""

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """What `function` returns or raises, on the current thread.

        Called in the context of the task that the call belongs to. When the call leaves the thread
        in a state that the next call must not see, the guard repairs that, sets the task's `fault`
        and raises it.
        """
        ...

    def check(self, node: str) -> Exception | None:
        """Repair the event loop's own thread after an attempt of `node`; what was wrong there.

        Called in the context of the attempt. `node` is empty for user code outside nodes.
        """
        ...

    def locks_journal(self) -> bool:
        """Whether the current thread has locked something that the journal needs to write."""
        ...


#: The guard of the run that executes here; without one, functions are called as they are.
guard: ContextVar[Guard | None] = ContextVar("fastgraph_guard", default=None)


def guarded(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `function` under the guard of this context."""
    current = guard.get()
    if current is None:
        return function(*args, **kwargs)
    return current.call(function, *args, **kwargs)


def check(node: str = "") -> Exception | None:
    """What the guard of this context finds wrong on the event loop's thread."""
    current = guard.get()
    return None if current is None else current.check(node)


def locks_journal() -> bool:
    """Whether this thread must not wait for the journal."""
    current = guard.get()
    return current is not None and current.locks_journal()
