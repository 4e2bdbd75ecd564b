"""The frozen graph: plain data that planning and updating read. Built by `state_graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .channels import Channel
from .types import Cache, CachePolicy, RetryPolicy

#: What a node is called with beside its state: nothing, a context, a config mapping, or a function
#: that puts custom events on the stream.
Calling = Literal["state", "context", "config", "writer"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node: its function and how to run it. `calling` is what its second parameter gets,
    `keywords` what its keyword parameters get. `timeout` is in seconds."""

    name: str
    run: Callable[..., Any]
    is_async: bool
    calling: Calling = "state"
    keywords: tuple[tuple[str, Calling], ...] = ()
    retry: Sequence[RetryPolicy] = ()
    cache: CachePolicy | None = None
    timeout: float | None = None
    defer: bool = False
    destinations: tuple[str, ...] = ()
    view: StateView | None = None
    subgraph: Graph | None = field(default=None, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Pace:
    """How a router has behaved so far: one that was `slow` once is called in a thread from then
    on, any other one on the event loop, where a call costs a tenth."""

    slow: bool = False


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A conditional edge: `route` sees the state with the node's own writes and answers targets,
    which `path_map` translates when there is one."""

    name: str
    route: Callable[..., Any]
    is_async: bool
    path_map: Mapping[Any, str] | None = None
    pace: Pace = field(default_factory=lambda: Pace(), compare=False)


@dataclass(frozen=True, kw_only=True)
class StateView:
    """How a node sees the state: `keys` of the channels, handed to `build` (dict, a dataclass or a
    pydantic model)."""

    keys: tuple[str, ...]
    build: Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes, edges and channels. `joins` are the edges that wait for several sources; `stop_before`
    and `stop_after` the nodes at which a run waits to be told to go on; `ephemeral` the channels
    whose values last for one superstep; `timeout` is how long a run may execute, in seconds."""

    name: str
    channels: Mapping[str, Channel]
    nodes: Mapping[str, Node]
    edges: Mapping[str, tuple[str, ...]]
    branches: Mapping[str, tuple[Branch, ...]]
    joins: tuple[tuple[tuple[str, ...], str], ...]
    view: StateView
    input_keys: tuple[str, ...]
    output_keys: tuple[str, ...]
    ephemeral: tuple[str, ...] = ()
    cache: Cache | None = field(default=None, repr=False)
    timeout: float | None = None
    stop_before: frozenset[str] = frozenset()
    stop_after: frozenset[str] = frozenset()
