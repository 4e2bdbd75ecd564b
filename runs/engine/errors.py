"""What can go wrong in a graph. Messages name the node or key and say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from .types import Command, Interrupt


class GraphError(Exception):
    """Any error of this package."""


class InvalidGraphError(GraphError, ValueError):
    """The graph does not make sense; raised while it is built."""


class InvalidUpdateError(GraphError):
    """A node wrote something that its state does not take."""


class EmptyInputError(GraphError):
    """A run was started with nothing to begin with."""


class GraphRecursionError(GraphError, RecursionError):
    """The run took as many supersteps as it may without coming to an end."""


class NodeTimeoutError(GraphError, TimeoutError):
    """A node ran longer than its `timeout`."""


class RunTimeoutError(GraphError, TimeoutError):
    """A run executed longer than its `timeout`."""


class NotStorableError(GraphError, TypeError):
    """A value cannot be kept in the journal."""


class CallOver(GraphError, RuntimeError):
    """A call of a node did something after its end: it took too long, or its run was stopped.
    Another call may be at the same by now, so nothing that this one says is kept."""


class Fenced(GraphError):
    """This attempt no longer holds the run's lease: another one owns the run, and nothing that
    this one writes is kept. Stop silently."""


class NodeError(GraphError):
    """A node raised. `node` is its name, `__cause__` what it raised."""

    def __init__(self, node: str, cause: BaseException) -> None:
        super().__init__(f"{type(cause).__name__} in node {node!r}: {text_of(cause)}")
        self.node = node
        self.__cause__ = cause


class GraphInterrupt(BaseException):
    """Carries a task out of its node: it waits for answers to `interrupts`, or until a time. Not
    an Exception, so that `except Exception` in a node does not swallow it."""

    def __init__(
        self, interrupts: Sequence[Interrupt] = (), *, until: datetime | None = None
    ) -> None:
        super().__init__(*(interrupt.value for interrupt in interrupts))
        self.interrupts = tuple(interrupts)
        self.until = until


class ParentCommand(BaseException):
    """Carries a Command out of a subgraph, to the graph around it."""

    def __init__(self, command: Command[Any]) -> None:
        super().__init__("A node sent a Command to the parent graph, and there is none.")
        self.command = command


def text_of(error: BaseException) -> str:
    """The message of `error`, whatever class of the user's it is: one may be unable to say it."""
    try:
        return str(error)
    except Exception as broken:
        return f"(its message raised {type(broken).__name__})"
