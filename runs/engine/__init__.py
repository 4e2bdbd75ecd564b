"""The graph engine: pure Python, no Django, no I/O of its own.

    from runs.engine import END, START, StateGraph

Read `loop.py` first: it is the whole engine on one page.
"""

from .checkpoint import Checkpoint, Position
from .compiled import CompiledGraph
from .context import Context, SyncContext
from .errors import (
    EmptyInputError,
    GraphError,
    GraphRecursionError,
    InvalidGraphError,
    InvalidUpdateError,
    NodeTimeoutError,
    NotStorableError,
)
from .memory import MemoryJournal
from .ports import ArtifactRef, ArtifactStore, Blob, Journal
from .state_graph import StateGraph
from .types import END, START, Command, RetryPolicy, Send

__all__ = [
    "END",
    "START",
    "ArtifactRef",
    "ArtifactStore",
    "Blob",
    "Checkpoint",
    "Command",
    "CompiledGraph",
    "Context",
    "EmptyInputError",
    "GraphError",
    "GraphRecursionError",
    "InvalidGraphError",
    "InvalidUpdateError",
    "Journal",
    "MemoryJournal",
    "NodeTimeoutError",
    "NotStorableError",
    "Position",
    "RetryPolicy",
    "Send",
    "StateGraph",
    "SyncContext",
]
