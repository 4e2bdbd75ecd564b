"""StateGraph: where a graph is written down, and checked when it is compiled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Self

from . import schema, signatures
from .caching import InMemoryCache
from .checking import (
    check,
    check_atomic,
    check_cache_policy,
    check_checkpointer,
    check_edge,
    check_name,
    check_router,
    policies_of,
    seconds_of,
)
from .compiled import CompiledGraph
from .errors import InvalidGraphError
from .graph import Branch, Graph, Node, StateView
from .memory import MemoryJournal
from .ports import Journal
from .subgraphs import Subgraph
from .types import END, START, Cache, CachePolicy, RetryPolicy


class StateGraph:
    """A graph in the making: nodes that read and write one state, and edges between them.

    `state` is a TypedDict, dataclass or pydantic model whose keys are the channels;
    `Annotated[T, reducer]` merges the writes to a key. Names and meaning are LangGraph's.
    """

    def __init__(
        self,
        state: Any,
        context_schema: Any = None,
        *,
        input_schema: Any = None,
        output_schema: Any = None,
    ) -> None:
        self._context = context_schema
        self._state = state
        self._input = input_schema or state
        self._output = output_schema or state
        self._channels = schema.channels(state)
        for other in (self._input, self._output):
            self._channels = schema.together(self._channels, other)
        self._nodes: dict[str, Node] = {}
        self._edges: dict[str, list[str]] = {}
        self._branches: dict[str, list[Branch]] = {}
        self._joins: list[tuple[tuple[str, ...], str]] = []

    def add_node(
        self,
        node: str | Callable[..., Any] | CompiledGraph,
        action: Callable[..., Any] | CompiledGraph | None = None,
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
        run = action if isinstance(node, str) else node
        subgraph = run.graph if isinstance(run, CompiledGraph) else None
        if isinstance(run, CompiledGraph):
            run = Subgraph(run.graph)
        name = node if isinstance(node, str) else signatures.name_of(run)
        if run is None or not callable(run):
            raise InvalidGraphError(
                f"Node {name!r} needs a function: add_node({name!r}, function)."
            )
        if signatures.yields(run):
            raise InvalidGraphError(
                f"Node {name!r} is a generator: return what it writes, once, and say what is to be "
                "seen on the way with ctx.emit()."
            )
        check_name(name, self._nodes)
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
            destinations=_labelled(destinations or signatures.destinations(run)),
            view=self._reads(input_schema or signatures.reads(run)),
            subgraph=subgraph,
            metadata=dict(metadata or {}),
        )
        return self

    def add_edge(self, start: str | Sequence[str], end: str) -> Self:
        """After `start`, run `end`. A list of starts waits until all of them are through."""
        if isinstance(start, str) or not isinstance(start, Sequence):
            check_edge(start, end)
            self._edges.setdefault(start, []).append(end)
        else:
            if not start:
                raise InvalidGraphError(
                    f"The edge to {end!r} waits for no node; name at least one."
                )
            for one in start:
                check_edge(one, end)
            join = (tuple(sorted(set(start))), end)
            if join not in self._joins:  # said twice, it is still one edge
                self._joins.append(join)
        return self

    def add_conditional_edges(
        self,
        source: str,
        path: Callable[..., Any],
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
    ) -> Self:
        """After `source`, go where `path` says: it is called as a node is, and answers a node's
        name, END, a Send, or a list of these. `path_map` translates its answers, and draws the
        edges."""
        check_router(source, path)
        name = getattr(path, "__name__", type(path).__name__)
        calling, keywords = signatures.calling(f"Router {name!r} after {source!r}", path)
        branch = Branch(
            name=name,
            route=path,
            is_async=signatures.is_async(path),
            awaits=signatures.awaits(path),
            path_map=_path_map(path, path_map),
            calling=calling,
            keywords=keywords,
            view=self._reads(signatures.reads(path)),
        )
        self._branches.setdefault(source, []).append(branch)
        return self

    def add_sequence(self, nodes: Sequence[Callable[..., Any] | tuple[str, Any]]) -> Self:
        """Add nodes that run one after another."""
        before: str | None = None
        for item in nodes:
            name, run = item if isinstance(item, tuple) else (signatures.name_of(item), item)
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
        path: Callable[..., Any],
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
        check(self._nodes, self._all_edges(), self._branches, before | after)
        graph = Graph(
            name=name,
            channels=dict(self._channels),
            nodes=dict(self._nodes),
            edges={source: tuple(targets) for source, targets in self._edges.items()},
            branches={source: tuple(branches) for source, branches in self._branches.items()},
            joins=tuple(self._joins),
            view=schema.view(self._state),
            input_keys=tuple(schema.hints(self._input)),
            output_keys=tuple(schema.hints(self._output)),
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

    def _reads(self, kind: Any) -> StateView | None:
        """How something that reads a state of that type sees it; its keys become channels."""
        if kind is None:
            return None
        self._channels = schema.together(self._channels, kind)
        return schema.view(kind)

    def _all_edges(self) -> list[tuple[str, str]]:
        edges = [(a, b) for a, targets in self._edges.items() for b in targets]
        return edges + [(a, target) for sources, target in self._joins for a in sources]


def _labelled(names: Collection[str] | Mapping[str, str]) -> Mapping[str, str | None]:
    return dict(names) if isinstance(names, Mapping) else dict.fromkeys(names)


def _path_map(
    path: Callable[..., Any], given: Mapping[Hashable, str] | Sequence[str] | None
) -> Mapping[Any, str] | None:
    if isinstance(given, Mapping):
        return given
    names = signatures.answers(path) if given is None else given
    return None if names is None else {name: name for name in names}
