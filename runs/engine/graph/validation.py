"""What is wrong with a graph before it runs. Every message names the node and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from runs.engine.errors import InvalidGraphError
from runs.engine.graph.destinations import may_choose
from runs.engine.graph.graph import Branch, Graph, Node
from runs.engine.graph.reachable import reached_graphs
from runs.engine.graph.signatures import is_async, yields
from runs.engine.journal.ports import Journal, is_journal
from runs.engine.names import label_fault
from runs.engine.types import END, MOST_SECONDS, START, CachePolicy, RetryPolicy

Edge = tuple[str, str]

#: How many graphs may be inside one another, the outermost one counted.
MAX_DEPTH = 60


def check_name(name: str, nodes: Mapping[str, Node]) -> None:
    """Whether a node may be called that."""
    if name in (START, END) or (name.startswith("__") and name.endswith("__")):
        raise InvalidGraphError(f"{name!r} is a reserved name; call the node something else.")
    if any(sign in name for sign in "|:"):
        raise InvalidGraphError(f"A node cannot be called {name!r}: leave out '|' and ':'.")
    check_text("node", name)
    if name in nodes:
        raise InvalidGraphError(f"There is a node {name!r} already; give this one another name.")


def check_task_name(name: str) -> None:
    """Whether a task function may be called that: its name is a part of paths (`node|task`)."""
    if any(sign in name for sign in "|:"):
        raise InvalidGraphError(f"A task cannot be called {name!r}: leave out '|' and ':'.")
    check_text("task", name)


def check_text(what: str, name: object) -> None:
    """Whether every journal stores the name of a `what` (a node, a graph) as it is, and people see
    which one it is."""
    if not isinstance(name, str):
        raise InvalidGraphError(f"The name of a {what} is a text, not {name!r}.")
    if fault := label_fault(name):
        raise InvalidGraphError(f"A {what} cannot be called {name[:60]!r}: the name {fault}.")


def check_yields_nothing(who: str, run: Callable[..., Any]) -> None:
    """Whether a function returns what it gives, at once."""
    if yields(run):
        raise InvalidGraphError(
            f"{who} is a generator: return what it gives, once, and say what is to be seen on the "
            "way with ctx.emit()."
        )


def check_depth(name: str, subgraph: Graph | None) -> None:
    """Whether a graph may be in a node. Each level takes a part of Python's stack."""
    if subgraph is not None and subgraph.depth >= MAX_DEPTH:
        raise InvalidGraphError(
            f"The graph in node {name!r} has {subgraph.depth} graphs inside one another; at most "
            f"{MAX_DEPTH} are possible. Make it flatter."
        )


def check_atomic(name: str, run: Callable[..., Any], *, cached: bool) -> None:
    """Whether a node may be atomic."""
    if is_async(run):
        raise InvalidGraphError(
            f"Node {name!r} is async and cannot be atomic: a transaction belongs to one thread. "
            "Make it a sync function, or leave out atomic=True."
        )
    if cached:
        raise InvalidGraphError(
            f"Node {name!r} cannot be atomic and have a cache policy: with a kept result, nothing "
            "would be written to the database. Leave out one of them."
        )


def check_edge(start: object, end: object) -> None:
    """Whether an edge may run that way."""
    if isinstance(end, (list, tuple, set)):
        raise InvalidGraphError(
            f"The edge from {start!r} leads to one node, not to a list: add_edge() once for each."
        )
    for name in (start, end):
        if not isinstance(name, str):
            raise InvalidGraphError(f"{name!r} is not the name of a node, to lead an edge there.")
    if start == END:
        raise InvalidGraphError("Nothing comes after END: an edge cannot begin there.")
    if end == START:
        raise InvalidGraphError("Nothing comes before START: an edge cannot end there.")


def check_router(source: object, path: object) -> None:
    """Whether `path` can be a router."""
    if not callable(path):
        raise InvalidGraphError(
            f"Conditional edges after {source!r} need a function that says where to go, not "
            f"{path!r}; for an edge that is always taken: add_edge({source!r}, {path!r})."
        )


def seconds_of(who: str, timeout: object) -> float | None:
    """A timeout in seconds; it may be given as a timedelta."""
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is None:
        return None
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 < cast(float, seconds) <= MOST_SECONDS:
        raise InvalidGraphError(
            f"{who} has the timeout {timeout!r}; give seconds (above 0), or a timedelta. A hundred"
            " years are the most."
        )
    return float(cast(float, seconds))


def policies_of(who: str, policy: object) -> tuple[RetryPolicy, ...]:
    """Retry policies, however they were given."""
    if policy is None or isinstance(policy, RetryPolicy):
        return () if policy is None else (policy,)
    if isinstance(policy, Sequence) and all(isinstance(one, RetryPolicy) for one in policy):
        return tuple(policy)
    raise InvalidGraphError(
        f"{who} has the retry_policy {policy!r}; give a RetryPolicy, or a list of them."
    )


def check_cache_policy(who: str, policy: object) -> None:
    """Whether that is a cache policy, or none."""
    if policy is None:
        return
    if not isinstance(policy, CachePolicy):
        raise InvalidGraphError(f"{who} has the cache_policy {policy!r}; give a CachePolicy.")
    ttl, key_func = policy.ttl, policy.key_func
    is_number = isinstance(ttl, (int, float)) and not isinstance(ttl, bool)
    if ttl is not None and not (is_number and 0 <= ttl <= MOST_SECONDS):
        raise InvalidGraphError(
            f"{who} has a cache_policy with ttl={ttl!r}; give seconds (0 or more), or None to keep "
            "results as long as there is room."
        )
    if key_func is not None and (not _is_callable(key_func) or is_async(key_func)):
        raise InvalidGraphError(
            f"{who} has a cache_policy with key_func={key_func!r}; give a sync function that "
            "returns what its results are kept by."
        )


def _is_callable(given: object) -> bool:
    return callable(given)


def check_checkpointer(checkpointer: object) -> Journal | None:
    """The journal that `compile(checkpointer=...)` names, if it is one."""
    if checkpointer in (None, True, False):
        return None
    if is_journal(checkpointer):
        return cast(Journal, checkpointer)
    raise InvalidGraphError(
        f"compile() takes no {type(checkpointer).__name__} as its checkpointer. Give a Journal, "
        "such as MemoryJournal(), to keep threads in when no other is named "
        "(ainvoke(journal=...)); True lets a subgraph keep its state from call to call."
    )


def check_stops(nodes: Mapping[str, Node], stops: Iterable[str]) -> None:
    """Whether a graph can stop there."""
    for name in stops:
        if name not in nodes:
            raise InvalidGraphError(
                f"The graph is to stop at {name!r}, which is not a node. Its nodes are "
                f"{', '.join(map(repr, nodes))}."
            )


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
            if one.is_async and source in nodes and nodes[source].atomic:
                raise InvalidGraphError(
                    f"Node {source!r} is atomic, so where it leads to is decided in its "
                    f"transaction: make the router {one.name!r} after it a sync function."
                )
            if one.path_map is not None:
                edges += [(source, target) for target in one.path_map.values()]
    edges += [(name, target) for name, node in nodes.items() for target in node.destinations]
    for name in [end for edge in edges for end in edge] + list(branches):
        if name not in nodes and name not in (START, END):
            raise InvalidGraphError(
                f"An edge names {name!r}, which is not a node: add_node({name!r}, ...) first."
            )
    check_stops(nodes, stops)
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
    return may_choose(node.run) or bool(reached_graphs(node.run))
