"""The frozen graph: plain data that planning and updating read. Built by `state_graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from runs.engine.graph.channels import Channel, Entry
from runs.engine.types import Cache, CachePolicy, RetryPolicy

#: What a node is called with beside its state: nothing, a context, a config mapping, or a function
#: that puts custom events on the stream.
ExtraArgument = Literal["state", "context", "config", "writer"]


class _Called:
    """What nodes and routers have in common."""

    calling: ExtraArgument
    keywords: tuple[tuple[str, ExtraArgument], ...]

    @cached_property
    def takes_context(self) -> bool:
        """Whether it is called with a context."""
        return self.takes("context")

    def takes(self, what: ExtraArgument) -> bool:
        """Whether it is called with that, as its second argument or by keyword."""
        return self.calling == what or any(one == what for _, one in self.keywords)


@dataclass(frozen=True, kw_only=True)
class Node(_Called):
    """One node: its function and how to run it. `calling` is what its second parameter gets,
    `keywords` what its keyword parameters get. `is_async`: calling it gives a coroutine; one that
    `awaits` is written as async, though a sync wrapper may hide that. `timeout` is in seconds. An
    `atomic` one runs in a transaction of its own."""

    name: str
    run: Callable[..., Any]
    #: Which function it is, among the results in a cache (see `function_identity`); empty without
    #: a policy.
    identity: str = ""
    is_async: bool
    awaits: bool = False
    calling: ExtraArgument = "state"
    keywords: tuple[tuple[str, ExtraArgument], ...] = ()
    retry: Sequence[RetryPolicy] = ()
    cache: CachePolicy | None = None
    timeout: float | None = None
    defer: bool = False
    atomic: bool = False
    destinations: Mapping[str, str | None] = field(default_factory=dict)
    view: StateView | None = None
    subgraph: Graph | None = field(default=None, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Branch(_Called):
    """A conditional edge: `route` sees the state with the node's own writes and answers targets,
    which `path_map` translates when there is one; `none_ends` when None is END, as its annotation
    allows it. What it is called with, as for a Node."""

    name: str
    route: Callable[..., Any]
    is_async: bool
    path_map: Mapping[Any, str] | None = None
    none_ends: bool = False
    calling: ExtraArgument = "state"
    keywords: tuple[tuple[str, ExtraArgument], ...] = ()
    awaits: bool = False
    view: StateView | None = None


@dataclass(frozen=True, kw_only=True)
class StateView:
    """How a node sees the state: `keys` of the channels, handed to `build` (dict, a dataclass or a
    pydantic model). `convert` makes what the annotation of a key says of what JSON has."""

    keys: tuple[str, ...]
    build: Callable[..., Any]
    convert: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes, edges and channels. `joins` are the edges that wait for several sources; `stop_before`
    and `stop_after` the nodes at which a run waits to be told to go on; `ephemeral` the channels
    whose values last for one superstep; `deferred` the nodes that run when nothing else is left;
    `timeout` is how long a run may execute, in seconds. As a subgraph it begins anew at every call,
    or, if it `keeps` its state, where the last one ended."""

    name: str
    channels: Mapping[str, Channel]
    nodes: Mapping[str, Node]
    edges: Mapping[str, tuple[str, ...]]
    branches: Mapping[str, tuple[Branch, ...]]
    joins: tuple[tuple[tuple[str, ...], str], ...]
    view: StateView
    input_keys: tuple[str, ...]
    output_keys: tuple[str, ...]
    #: What keys begin with: reduced ones by the default of their type, others by the input type's.
    defaults: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    ephemeral: tuple[str, ...] = ()
    deferred: frozenset[str] = frozenset()
    cache: Cache | None = field(default=None, repr=False)
    timeout: float | None = None
    stop_before: frozenset[str] = frozenset()
    stop_after: frozenset[str] = frozenset()
    keeps: bool = False

    @cached_property
    def depth(self) -> int:
        """How many graphs are inside one another: 1 without a graph in a node."""
        inner = [node.subgraph.depth for node in self.nodes.values() if node.subgraph is not None]
        return 1 + max(inner, default=0)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """What is done with values that enter a channel, by its name."""
        found = {name: channel.entry for name, channel in self.channels.items()}
        return {name: entry for name, entry in found.items() if entry is not None}
