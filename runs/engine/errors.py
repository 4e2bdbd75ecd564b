"""What can go wrong in a graph. Messages name the node or key and say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from runs.engine.types import Command, Interrupt

#: Of an error that is shown in passing, so many characters.
_SHOWN = 1_000


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


class NodeCancelledError(GraphError):
    """A node raised CancelledError, or cancelled its own task, and nobody had stopped its run.
    `node` is its name; empty for code of the workflow outside its nodes."""

    def __init__(self, node: str) -> None:
        who = f"Node {node!r}" if node else "Code of the workflow"
        super().__init__(
            f"{who} raised asyncio.CancelledError, and nobody had stopped the run: it has cancelled"
            " its own task, or awaited something that was cancelled. Catch the error there, or"
            " raise another one."
        )
        self.node = node


class RunTimeoutError(GraphError, TimeoutError):
    """A run executed longer than its `timeout`."""


class NotStorableError(GraphError, TypeError):
    """A value cannot be kept in the journal."""


class IdentityError(GraphError, RuntimeError):
    """Which of the recorded calls of a node this one is cannot be told, so nothing was called.
    Never retried. The message says what to give a `key=`."""


class CallOver(GraphError, RuntimeError):
    """A call of a node did something after its end: it took too long, or its run was stopped.
    Another call may be at the same by now, so nothing that this one says is kept."""


class Fenced(GraphError):
    """This attempt no longer holds the run's lease: another one owns the run, and nothing that
    this one writes is kept. Stop silently."""


class NodeError(GraphError):
    """A node raised. `node` is its name, `__cause__` what it raised; `namespace` is where its graph
    stands in the run (empty for the outermost), `task_id` which task or call it was, if known."""

    def __init__(
        self, node: str, cause: BaseException, *, namespace: str = "", task_id: str | None = None
    ) -> None:
        text = text_of(cause)
        super().__init__(f"{type(cause).__name__} in node {node!r}" + (text and f": {text}"))
        self.node = node
        self.namespace = namespace
        self.task_id = task_id
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
    """Carries a Command out of a subgraph, to the graph around it: several, if several graphs sent
    one."""

    def __init__(self, *commands: Command[Any]) -> None:
        super().__init__("A node sent a Command to the parent graph, and there is none.")
        self.commands = commands


def text_of(error: BaseException) -> str:
    """The message of `error`, whatever class of the user's it is: one may be unable to say it."""
    try:
        return str(error)
    except BaseException as broken:
        return f"(its message raised {type(broken).__name__})"


def add_note(error: BaseException, note: str) -> None:
    """Say more of `error`, not by its own methods: a frozen dataclass would raise another error."""
    notes = object.__getattribute__(error, "__dict__").setdefault("__notes__", [])
    if isinstance(notes, list):
        notes.append(note)


def storable(text: str) -> str:
    """`text` as every journal takes it: without NUL and without halves of characters."""
    return text.replace("\x00", "\\x00").encode("utf-8", "replace").decode()


def shown(error: BaseException) -> str:
    """Class and message of `error` in one short text that can be stored."""
    text = text_of(error)
    return storable(f"{type(error).__name__}: {text}" if text else type(error).__name__)[:_SHOWN]
