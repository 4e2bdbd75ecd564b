"""StateGraph: where a graph is written down, and checked when it is compiled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, Self

from runs.engine.authoring.path_map import validated_path_map, with_labels
from runs.engine.calls.compiled import CompiledGraph
from runs.engine.errors import InvalidGraphError
from runs.engine.execution.caching import InMemoryCache
from runs.engine.execution.subgraphs import Subgraph
from runs.engine.graph import schema, signatures
from runs.engine.graph.channels import Channel
from runs.engine.graph.destinations import destinations as named_by
from runs.engine.graph.destinations import may_be_none
from runs.engine.graph.function_identity import check_identity
from runs.engine.graph.graph import Branch, Graph, Node, StateView
from runs.engine.graph.runnables import Runnable, as_function
from runs.engine.graph.validation import (
    check,
    check_atomic,
    check_cache_policy,
    check_checkpointer,
    check_depth,
    check_edge,
    check_name,
    check_router,
    check_text,
    check_yields_nothing,
    policies_of,
    seconds_of,
)
from runs.engine.journal.memory import MemoryJournal
from runs.engine.journal.ports import Journal
from runs.engine.names import as_text
from runs.engine.types import END, START, Cache, CachePolicy, RetryPolicy


class StateGraph:
    """A graph in the making: nodes that read and write one state, and edges between them.

    `state_schema` is a TypedDict, dataclass or pydantic model whose keys are the channels;
    `Annotated[T, reducer]` merges the writes to a key. Names and meaning are LangGraph's.
    """

    def __init__(
        self,
        state_schema: Any,
        context_schema: Any = None,
        *,
        input_schema: Any = None,
        output_schema: Any = None,
    ) -> None:
        self._context = context_schema
        schema.read_types(context_schema)
        self._state = state_schema
        self._input = input_schema or state_schema
        self._output = output_schema or state_schema
        self._channels: dict[str, Channel] = {}
        self._defaults: dict[str, Callable[[], Any]] = {}
        for schemas in (state_schema, self._input, self._output):
            schema.hints(schemas)
            self._include(schemas)
        if self._input is not state_schema:
            of_input = schema.defaults(self._input, self._channels, every=True)
            self._defaults = {**self._defaults, **of_input}
        self._view = schema.view(state_schema, self._channels)
        self._nodes: dict[str, Node] = {}
        self._edges: dict[str, list[str]] = {}
        self._branches: dict[str, list[Branch]] = {}
        self._joins: list[tuple[tuple[str, ...], str]] = []

    def add_node(
        self,
        node: str | Callable[..., Any] | CompiledGraph | Runnable,
        action: Callable[..., Any] | CompiledGraph | Runnable | None = None,
        *,
        input_schema: Any = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        cache_policy: CachePolicy | None = None,
        timeout: float | timedelta | None = None,
        defer: bool = False,
        atomic: bool = False,
        destinations: Collection[str] | Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """Add `action` under a name; a function alone goes by its own name. It is called with the
        state, and with a context or config when it takes a second argument. It sees the keys of
        `input_schema`, or of the type its first parameter is annotated with, or else the whole
        state. `timeout` is in seconds; a `defer`red node waits until nothing else is to run. An
        `atomic` one, which must be sync, runs in a database transaction of its own: what it does to
        the database and the record of its result are committed together, or not at all."""
        run = as_function(action if isinstance(node, str) else node)
        subgraph = run.graph if isinstance(run, CompiledGraph) else None
        if isinstance(run, CompiledGraph):
            run = Subgraph(run.graph)
        name = as_text(node) if isinstance(node, str) else signatures.name_of(run)
        if run is None or not callable(run):
            raise InvalidGraphError(
                f"Node {name!r} needs a function: add_node({name!r}, function)."
            )
        check_yields_nothing(f"Node {name!r}", run)
        check_name(name, self._nodes)
        check_depth(name, subgraph)
        calling, keywords = signatures.calling(f"Node {name!r}", run)
        check_cache_policy(f"Node {name!r}", cache_policy)
        if atomic:
            check_atomic(name, run, cached=cache_policy is not None)
        self._nodes[name] = Node(
            name=name,
            run=run,
            is_async=signatures.is_async(run),
            awaits=signatures.awaits(run),
            calling=calling,
            keywords=keywords,
            retry=policies_of(f"Node {name!r}", retry_policy),
            cache=cache_policy,
            timeout=seconds_of(f"Node {name!r}", timeout),
            defer=defer,
            atomic=atomic,
            destinations=with_labels(name, destinations or named_by(run)),
            view=self._seen_by(f"Node {name!r}", run, input_schema),
            subgraph=subgraph,
            metadata=dict(metadata or {}),
        )
        return self

    def add_edge(self, start: str | Sequence[str], end: str) -> Self:
        """After `start`, run `end`. A list of starts waits until all of them are through."""
        if isinstance(start, str) or not isinstance(start, Sequence):
            check_edge(start, end)
            self._edges.setdefault(as_text(start), []).append(as_text(end))
        else:
            if not start:
                raise InvalidGraphError(
                    f"The edge to {end!r} waits for no node; name at least one."
                )
            for one in start:
                check_edge(one, end)
            join = (tuple(sorted(set(map(as_text, start)))), as_text(end))
            if join not in self._joins:  # said twice, it is still one edge
                self._joins.append(join)
        return self

    def add_conditional_edges(
        self,
        source: str,
        path: Callable[..., Any] | Runnable,
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
    ) -> Self:
        """After `source`, go where `path` says: it is called as a node is, and answers a node's
        name, END, a Send, or a list of these. `path_map` translates its answers, and draws the
        edges."""
        route: Callable[..., Any] = as_function(path)
        check_router(source, route)
        source = as_text(source)
        name = signatures.name_of(route)
        who = f"Router {name!r} after {source!r}"
        check_yields_nothing(who, route)
        calling, keywords = signatures.calling(who, route)
        targets = validated_path_map(who, route, path_map)
        branch = Branch(
            name=name,
            route=route,
            is_async=signatures.is_async(route),
            awaits=signatures.awaits(route),
            path_map=targets,
            none_ends=may_be_none(route) and None not in (path_map or ()),
            calling=calling,
            keywords=keywords,
            view=self._seen_by(who, route),
        )
        self._branches.setdefault(source, []).append(branch)
        return self

    def add_sequence(
        self, nodes: Sequence[Callable[..., Any] | Runnable | tuple[str, Any]]
    ) -> Self:
        """Add nodes that run one after another: at least one."""
        if not nodes:
            raise InvalidGraphError("A sequence needs at least one node.")
        before: str | None = None
        for item in nodes:
            one = item if isinstance(item, tuple) else as_function(item)
            name, run = one if isinstance(one, tuple) else (signatures.name_of(one), one)
            self.add_node(name, run)
            if before is not None:
                self.add_edge(before, name)
            before = name
        return self

    def set_entry_point(self, name: str) -> Self:
        """`add_edge(START, name)`."""
        return self.add_edge(START, name)

    def set_conditional_entry_point(
        self,
        path: Callable[..., Any] | Runnable,
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
    ) -> Self:
        """`add_conditional_edges(START, path, path_map)`."""
        return self.add_conditional_edges(START, path, path_map)

    def set_finish_point(self, name: str) -> Self:
        """`add_edge(name, END)`."""
        return self.add_edge(name, END)

    def compile(
        self,
        checkpointer: Journal | bool | None = None,
        *,
        name: str = "graph",
        description: str | None = None,
        interrupt_before: Sequence[str] | Literal["*"] = (),
        interrupt_after: Sequence[str] | Literal["*"] = (),
        cache: Cache | None = None,
        timeout: float | timedelta | None = None,
    ) -> CompiledGraph:
        """Check and freeze. Edges to nodes that are not there, nodes that nothing leads to and a
        graph without a way in raise InvalidGraphError, which names the node. A run waits for a
        Command before and after the nodes that are named ("*": all of them). `cache` is where the
        results of nodes with a cache policy are kept (in memory otherwise). `timeout` is how many
        seconds a run may execute at a stretch; waiting for an answer or a time does not count. With
        `checkpointer=True` the graph keeps its state from call to call when it is a subgraph: one
        state per thread and place; run by itself, it is kept per thread anyway. A journal as the
        `checkpointer` is where its threads are kept."""
        journal = check_checkpointer(checkpointer)
        before = frozenset(self._nodes if interrupt_before == "*" else interrupt_before)
        after = frozenset(self._nodes if interrupt_after == "*" else interrupt_after)
        check_text("graph", name)
        check(self._nodes, self._all_edges(), self._branches, before | after)
        nodes = {name: self._identified(node) for name, node in self._nodes.items()}
        graph = Graph(
            name=as_text(name),
            channels=dict(self._channels),
            nodes=nodes,
            edges={source: tuple(targets) for source, targets in self._edges.items()},
            branches={source: tuple(branches) for source, branches in self._branches.items()},
            joins=tuple(self._joins),
            view=self._view,
            input_keys=tuple(schema.hints(self._input)),
            output_keys=tuple(schema.hints(self._output)),
            defaults=dict(self._defaults),
            ephemeral=tuple(n for n, channel in self._channels.items() if channel.ephemeral),
            deferred=frozenset(name for name, node in self._nodes.items() if node.defer),
            cache=cache or InMemoryCache(),
            timeout=seconds_of(f"Graph {name!r}", timeout),
            stop_before=before,
            stop_after=after,
            keeps=checkpointer is True,
        )
        return CompiledGraph(
            graph=graph,
            state=self._state,
            input=self._input,
            context=self._context,
            description=description,
            journal=MemoryJournal() if journal is None else journal,
        )

    def _identified(self, node: Node) -> Node:
        """The node with what its results are kept by, if they are kept."""
        if node.cache is None:
            return node
        return replace(
            node, identity=check_identity(f"Node {node.name!r}", node, channels=self._channels)
        )

    def _seen_by(self, who: str, run: Callable[..., Any], given: Any = None) -> StateView | None:
        """How something that reads the state sees it, if not as the whole of it. The keys of the
        type that it is annotated with become channels."""
        kind = given or signatures.reads(who, run, known={getattr(self._state, "__name__", "")})
        if kind is None:
            # A graph is given the state as it is kept; its own nodes convert what they are given.
            raw = isinstance(run, Subgraph) and self._view.convert
            return schema.view(self._state, converts=False) if raw else None
        if given is not None:
            schema.hints(given)
        self._include(kind)
        return schema.view(kind, self._channels)

    def _include(self, kind: Any) -> None:
        self._channels = schema.together(self._channels, kind)
        self._defaults = {**schema.defaults(kind, self._channels), **self._defaults}

    def _all_edges(self) -> list[tuple[str, str]]:
        edges = [(a, b) for a, targets in self._edges.items() for b in targets]
        return edges + [(a, target) for sources, target in self._joins for a in sources]
