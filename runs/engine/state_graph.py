"""StateGraph: where a graph is written down, and checked when it is compiled."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Self

from . import schema
from .compiled import CompiledGraph
from .errors import InvalidGraphError
from .graph import Branch, Calling, Graph, Node
from .types import END, START, RetryPolicy


class StateGraph:
    """A graph in the making: nodes that read and write one state, and edges between them.

    `state` is a TypedDict, dataclass or pydantic model whose keys are the channels;
    `Annotated[T, reducer]` merges the writes to a key. Names and meaning are LangGraph's.
    """

    def __init__(self, state: Any, *, input_schema: Any = None, output_schema: Any = None) -> None:
        self._state = state
        self._input = input_schema or state
        self._output = output_schema or state
        self._channels = {
            **schema.channels(self._input),
            **schema.channels(self._output),
            **schema.channels(state),
        }
        self._nodes: dict[str, Node] = {}
        self._edges: dict[str, list[str]] = {}
        self._branches: dict[str, list[Branch]] = {}
        self._joins: list[tuple[tuple[str, ...], str]] = []

    def add_node(
        self,
        node: str | Callable[..., Any],
        action: Callable[..., Any] | None = None,
        *,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        timeout: float | None = None,
        defer: bool = False,
        destinations: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """Add `action` under a name; a function alone goes by its own name. It is called with the
        state, and with a context or config when it takes a second argument. `timeout` is in
        seconds; a `defer`red node waits until nothing else is to run."""
        name, run = (node, action) if isinstance(node, str) else (node.__name__, node)
        if run is None or not callable(run):
            raise InvalidGraphError(
                f"Node {name!r} needs a function: add_node({name!r}, function)."
            )
        self._check_name(name)
        policies = (retry_policy,) if isinstance(retry_policy, RetryPolicy) else retry_policy
        self._nodes[name] = Node(
            name=name,
            run=run,
            is_async=_is_async(run),
            calling=_calling(name, run),
            retry=tuple(policies or ()),
            timeout=timeout,
            defer=defer,
            destinations=tuple(destinations),
            metadata=dict(metadata or {}),
        )
        return self

    def add_edge(self, start: str | Sequence[str], end: str) -> Self:
        """After `start`, run `end`. A list of starts waits until all of them are through."""
        if isinstance(start, str):
            _refuse_ends(start, end)
            self._edges.setdefault(start, []).append(end)
        else:
            if not start:
                raise InvalidGraphError(
                    f"The edge to {end!r} waits for no node; name at least one."
                )
            for one in start:
                _refuse_ends(one, end)
            self._joins.append((tuple(sorted(set(start))), end))
        return self

    def add_conditional_edges(
        self,
        source: str,
        path: Callable[..., Any],
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
    ) -> Self:
        """After `source`, go where `path` says: it gets the state and answers a node's name, END,
        a Send, or a list of these. `path_map` translates its answers, and draws the edges."""
        name = getattr(path, "__name__", type(path).__name__)
        branch = Branch(
            name=name, route=path, is_async=_is_async(path), path_map=_path_map(path_map)
        )
        self._branches.setdefault(source, []).append(branch)
        return self

    def add_sequence(self, nodes: Sequence[Callable[..., Any] | tuple[str, Any]]) -> Self:
        """Add nodes that run one after another."""
        before: str | None = None
        for item in nodes:
            name, run = item if isinstance(item, tuple) else (item.__name__, item)
            self.add_node(name, run)
            if before is not None:
                self.add_edge(before, name)
            before = name
        return self

    def set_entry_point(self, name: str) -> Self:
        """`add_edge(START, name)`."""
        return self.add_edge(START, name)

    def set_finish_point(self, name: str) -> Self:
        """`add_edge(name, END)`."""
        return self.add_edge(name, END)

    def compile(self, *, name: str = "graph", description: str | None = None) -> CompiledGraph:
        """Check and freeze. Edges to nodes that are not there, nodes that nothing leads to and a
        graph without a way in raise InvalidGraphError, which names the node."""
        self._check_edges()
        self._check_reachable()
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
        )
        return CompiledGraph(
            graph=graph, state=self._state, input=self._input, description=description
        )

    def _check_name(self, name: str) -> None:
        if name in (START, END):
            raise InvalidGraphError(f"{name!r} is a reserved name; call the node something else.")
        if not name or any(sign in name for sign in "|:"):
            raise InvalidGraphError(f"A node cannot be called {name!r}: leave out '|' and ':'.")
        if name in self._nodes:
            raise InvalidGraphError(
                f"There is a node {name!r} already; give this one another name."
            )

    def _check_edges(self) -> None:
        for source, target in self._all_edges():
            for end in (source, target):
                if end not in self._nodes and end not in (START, END):
                    raise InvalidGraphError(
                        f"An edge names {end!r}, which is not a node: add_node({end!r}, ...) first."
                    )

    def _check_reachable(self) -> None:
        following: dict[str, set[str]] = {}
        for source, target in self._all_edges():
            following.setdefault(source, set()).add(target)
        for source, branches in self._branches.items():
            if any(branch.path_map is None for branch in branches):
                following.setdefault(source, set()).update(self._nodes)
        seen, todo = {START}, [START]
        while todo:
            new = following.get(todo.pop(), set()) - seen
            seen |= new
            todo += new
        if seen == {START}:
            raise InvalidGraphError("Nothing leads from START: add_edge(START, <first node>).")
        chosen = any(_may_choose(node) for node in self._nodes.values())
        lost = [name for name in self._nodes if name not in seen]
        if lost and not chosen:
            raise InvalidGraphError(
                f"Nothing leads to node {lost[0]!r}: add an edge to it, or remove it."
            )

    def _all_edges(self) -> list[tuple[str, str]]:
        edges = [(a, b) for a, targets in self._edges.items() for b in targets]
        edges += [(a, target) for sources, target in self._joins for a in sources]
        for source, branches in self._branches.items():
            edges += [(source, t) for b in branches for t in (b.path_map or {}).values()]
            edges += [(source, source)] if source not in self._nodes and source != START else []
        edges += [(name, t) for name, node in self._nodes.items() for t in node.destinations]
        return edges


def _may_choose(node: Node) -> bool:
    """Whether a node may go where no edge says, by returning a Command: its annotation tells,
    or does not say."""
    returns = inspect.signature(node.run).return_annotation
    return returns is inspect.Signature.empty or "Command" in str(returns)


def _refuse_ends(start: str, end: str) -> None:
    if start == END:
        raise InvalidGraphError("Nothing comes after END: an edge cannot begin there.")
    if end == START:
        raise InvalidGraphError("Nothing comes before START: an edge cannot end there.")


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "func", function)  # a partial is as async as what it calls
    if not inspect.isroutine(call):
        call = type(call).__call__
    return inspect.iscoroutinefunction(inspect.unwrap(call))


def _calling(name: str, run: Callable[..., Any]) -> Calling:
    """From the signature: `(state)`, `(state, config)`, or `(state, <anything else>)`."""
    try:
        parameters = list(inspect.signature(run).parameters.values())
    except (TypeError, ValueError):
        return "state"
    positional = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if (not positional and not takes_any) or len(positional) > 2:
        raise InvalidGraphError(
            f"Node {name!r} takes {len(positional)} arguments; a node takes (state), "
            "(state, ctx) or (state, config)."
        )
    if len(positional) < 2:
        return "state"
    return "config" if positional[1].name == "config" else "context"


def _path_map(given: Mapping[Hashable, str] | Sequence[str] | None) -> Mapping[Any, str] | None:
    if given is None or isinstance(given, Mapping):
        return given
    return {name: name for name in given}
