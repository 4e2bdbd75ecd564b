"""The graph engine: pure Python, no Django, no I/O of its own.

    from runs.engine import END, START, StateGraph

Read `loop.py` first: it is the whole engine on one page.
"""

from .caching import InMemoryCache
from .channels import EphemeralValue
from .checkpoint import Checkpoint, Position
from .compiled import CompiledGraph
from .context import Context, SyncContext
from .entrypoints import entrypoint
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
from .functional import task
from .memory import MemoryJournal
from .messages import REMOVE_ALL_MESSAGES, MessagesState, RemoveMessage, add_messages
from .ports import ArtifactRef, ArtifactStore, Blob, Journal
from .questions import interrupt
from .snapshots import StateSnapshot
from .state_graph import StateGraph
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
