"""What is wrong with a graph before it runs. Every message names the node and says what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .errors import InvalidGraphError
from .graph import Branch, Node
from .signatures import may_choose
from .types import END, START

Edge = tuple[str, str]


def check_name(name: str, nodes: Mapping[str, Node]) -> None:
    """Whether a node may be called that."""
    if name in (START, END) or (name.startswith("__") and name.endswith("__")):
        raise InvalidGraphError(f"{name!r} is a reserved name; call the node something else.")
    if not name or any(sign in name for sign in "|:"):
        raise InvalidGraphError(f"A node cannot be called {name!r}: leave out '|' and ':'.")
    if name in nodes:
        raise InvalidGraphError(f"There is a node {name!r} already; give this one another name.")


def check_edge(start: str, end: str) -> None:
    """Whether an edge may run that way."""
    if start == END:
        raise InvalidGraphError("Nothing comes after END: an edge cannot begin there.")
    if end == START:
        raise InvalidGraphError("Nothing comes before START: an edge cannot end there.")


def check(
    nodes: Mapping[str, Node],
    edges: Iterable[Edge],
    branches: Mapping[str, Sequence[Branch]],
    stops: Iterable[str],
) -> None:
    """Raise InvalidGraphError for an edge or a stop at a node that is not there, for a node that
    nothing leads to, and for a graph without a way in."""
    edges = list(edges)
    for source, branch in branches.items():
        for one in branch:
            if one.path_map is not None:
                edges += [(source, target) for target in one.path_map.values()]
    edges += [(name, target) for name, node in nodes.items() for target in node.destinations]
    for name in [end for edge in edges for end in edge] + list(branches):
        if name not in nodes and name not in (START, END):
            raise InvalidGraphError(
                f"An edge names {name!r}, which is not a node: add_node({name!r}, ...) first."
            )
    for name in stops:
        if name not in nodes:
            raise InvalidGraphError(
                f"The graph is to stop at {name!r}, which is not a node. Its nodes are "
                f"{', '.join(map(repr, nodes))}."
            )
    _check_reachable(nodes, edges, branches)


def _check_reachable(
    nodes: Mapping[str, Node], edges: Sequence[Edge], branches: Mapping[str, Sequence[Branch]]
) -> None:
    following: dict[str, set[str]] = {}
    for source, target in edges:
        following.setdefault(source, set()).add(target)
    for source, found in branches.items():
        if any(branch.path_map is None for branch in found):
            following.setdefault(source, set()).update(nodes)
    seen, todo = {START}, [START]
    while todo:
        new = following.get(todo.pop(), set()) - seen
        seen |= new
        todo += new
    if not seen & set(nodes):
        raise InvalidGraphError("Nothing leads from START: add_edge(START, <first node>).")
    lost = [name for name in nodes if name not in seen]
    if lost and not any(_may_choose(node) for name, node in nodes.items() if name in seen):
        raise InvalidGraphError(
            f"Nothing leads to node {lost[0]!r}: add an edge to it, or remove it."
        )


def _may_choose(node: Node) -> bool:
    if node.subgraph is not None:  # its nodes may send a Command to this graph
        return any(map(_may_choose, node.subgraph.nodes.values()))
    return may_choose(node.run)
