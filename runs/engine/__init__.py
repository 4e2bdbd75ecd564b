"""The graph engine: pure Python, no Django, no I/O of its own.

    from runs.engine import END, START, StateGraph

Read `loop.py` first: it is the whole engine on one page.
"""

from .authoring.entrypoint import entrypoint
from .authoring.state_graph import StateGraph
from .authoring.task import task
from .calls.compiled import CompiledGraph
from .calls.snapshots import StateSnapshot
from .checkpoint import Checkpoint, Position
from .errors import (
    EmptyInputError,
    GraphError,
    GraphInterrupt,
    GraphRecursionError,
    IdentityError,
    InvalidGraphError,
    InvalidUpdateError,
    NodeCancelledError,
    NodeTimeoutError,
    NotStorableError,
    RunTimeoutError,
)
from .execution.caching import InMemoryCache
from .execution.context import Context, SyncContext
from .execution.task.waiting import interrupt
from .graph.channels import EphemeralValue
from .graph.messages import REMOVE_ALL_MESSAGES, MessagesState, RemoveMessage, add_messages
from .journal.memory import MemoryJournal
from .journal.ports import ArtifactRef, ArtifactStore, Blob, Journal
from .types import END, START, CachePolicy, Command, Interrupt, RetryPolicy, Send

__all__ = [
    "END",
    "REMOVE_ALL_MESSAGES",
    "START",
    "ArtifactRef",
    "ArtifactStore",
    "Blob",
    "CachePolicy",
    "Checkpoint",
    "Command",
    "CompiledGraph",
    "Context",
    "EmptyInputError",
    "EphemeralValue",
    "GraphError",
    "GraphInterrupt",
    "GraphRecursionError",
    "IdentityError",
    "InMemoryCache",
    "Interrupt",
    "InvalidGraphError",
    "InvalidUpdateError",
    "Journal",
    "MemoryJournal",
    "MessagesState",
    "NodeCancelledError",
    "NodeTimeoutError",
    "NotStorableError",
    "Position",
    "RemoveMessage",
    "RetryPolicy",
    "RunTimeoutError",
    "Send",
    "StateGraph",
    "StateSnapshot",
    "SyncContext",
    "add_messages",
    "entrypoint",
    "interrupt",
    "task",
]
