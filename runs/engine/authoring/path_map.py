"""The path map of conditional edges, as `add_conditional_edges` takes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

from runs.engine.errors import InvalidGraphError
from runs.engine.graph.destinations import answers
from runs.engine.names import as_text


def with_labels(node: str, names: Collection[str] | Mapping[str, str]) -> Mapping[str, str | None]:
    if isinstance(names, str):
        raise InvalidGraphError(
            f"Node {node!r} has destinations={names!r}; give a list of names: [{names!r}]."
        )
    labels = names if isinstance(names, Mapping) else dict.fromkeys(names)
    return {as_text(name): label for name, label in labels.items()}


def validated_path_map(
    who: str, path: Callable[..., Any], given: Mapping[Hashable, str] | Sequence[str] | None
) -> Mapping[Any, str] | None:
    if isinstance(given, str):
        raise InvalidGraphError(
            f"{who} has path_map={given!r}; give a list of names, or a mapping from its answers."
        )
    names = answers(who, path) if given is None else given
    if names is None:
        return None
    found = names if isinstance(names, Mapping) else {name: name for name in names}
    return {answer: as_text(name) for answer, name in found.items()}
