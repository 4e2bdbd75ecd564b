"""What a router's answer means: where to go on."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import (
    Iterable,
    Mapping,
    MutableMapping,
    Sequence,
    Set,
)
from typing import Any

from runs.engine import serde
from runs.engine.checkpoint import Sent
from runs.engine.errors import InvalidUpdateError, NotStorableError
from runs.engine.graph.graph import Branch, Graph
from runs.engine.names import as_text
from runs.engine.types import END, Send, in_order

Target = str | Sent


def read_route(
    graph: Graph, node: str, branch: Branch, answer: Any, task_id: str | None = None
) -> list[Target]:
    """The targets that a router's answer names: of a list, tuple or set each of its items."""
    targets: list[Target] = []
    for item in _answers(branch, answer):
        if item is None and branch.none_ends:
            item = END
        elif not isinstance(item, Send) and branch.path_map is not None:
            if item not in branch.path_map:
                known = ", ".join(repr(key) for key in branch.path_map)
                raise InvalidUpdateError(
                    f"Router {branch.name!r} after {node!r} answered {item!r}, which its path_map "
                    f"does not have; it has {known}."
                )
            item = branch.path_map[item]
        seed = f"{task_id}:{branch.name}:{len(targets)}" if task_id and graph.entries else None
        targets.append(_target(graph, node, item, seed))
    return targets


def _answers(branch: Branch, answer: Any) -> tuple[Any, ...]:
    is_text = isinstance(answer, (str, bytes))
    if is_text or not isinstance(answer, (Sequence, Set)):
        return (answer,)
    if isinstance(answer, frozenset) and answer in (branch.path_map or ()):
        return (answer,)
    return in_order(answer)


def parse_targets(
    graph: Graph, node: str, targets: Iterable[Any], seed: str | None
) -> list[Target]:
    return [
        _target(graph, node, target, seed and f"{seed}:{number}")
        for number, target in enumerate(targets)
    ]


def _target(graph: Graph, node: str, target: Any, seed: str | None) -> Target:
    is_send = isinstance(target, Send)
    if not is_send and target == END:
        return END
    name = target.node if is_send else target
    if name is None:
        raise InvalidUpdateError(
            f"Node {node!r} goes on to None: name a node, or END to stop there. A router that is "
            "annotated with None among its answers may give it, and that is END."
        )
    if not isinstance(name, str) or name not in graph.nodes:
        raise InvalidUpdateError(
            f"Node {node!r} goes on to {name!r}, which is not a node of this graph. "
            f"Its nodes are {', '.join(map(repr, graph.nodes))}."
        )
    name = as_text(name)
    if not is_send:
        return name
    arg = target.arg
    if type(arg) is dict and not all(type(key) is str for key in arg):
        arg = {as_text(key) if isinstance(key, str) else key: value for key, value in arg.items()}
    if graph.entries and seed is not None:
        arg = with_message_ids(graph, arg, seed)
    return Sent(name, encode(node, "Send", arg))


def with_message_ids(graph: Graph, arg: Any, seed: str) -> Any:
    """What a Send brings, with ids for the messages in it: itself when all have one, else a copy.
    It is a state: a mapping, a dataclass or a pydantic model."""
    changed = {}
    for key, entry in graph.entries.items():
        if isinstance(arg, Mapping):
            value = arg.get(key)
        else:
            value = getattr(arg, key, None) if _has_fields(arg) else None
        if value is not None:
            named = entry.identified(value, f"{seed}:{key}")
            if named is not value:
                changed[key] = named
    if not changed:
        return arg
    if type(arg) is dict:
        return {**arg, **changed}
    made = copy.copy(arg)
    for key, value in changed.items():
        if isinstance(made, MutableMapping):
            made[key] = value
        else:
            object.__setattr__(made, key, value)  # a frozen one refuses its own way
    return made


def _has_fields(value: Any) -> bool:
    is_record = dataclasses.is_dataclass(value) or hasattr(value, "model_fields_set")
    return is_record and not isinstance(value, type)


def encode(node: str, key: str, value: Any) -> bytes:
    try:
        return serde.dumps(value)
    except NotStorableError as error:
        raise NotStorableError(f"Key {key!r} of node {node!r}: {error}") from None
