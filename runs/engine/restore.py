"""Restore: the position that a journal's record stands for. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import serde
from .checkpoint import Change, Checkpoint, Position, Tail
from .graph import Graph
from .types import MISSING
from .update import tail_after


def begin(graph: Graph) -> Position:
    """Where a new thread stands: nothing written, every reducer at its empty value."""
    return Position(values=_initial(graph))


def restore(
    graph: Graph, checkpoint: Checkpoint, chains: Mapping[str, Sequence[Change]]
) -> Position:
    """The position that a journal's `Saved` describes. Channels that the graph no longer has are
    left out."""
    values = _initial(graph)
    tails: dict[str, Tail] = {}
    for name, chain in chains.items():
        if (channel := graph.channels.get(name)) is None:
            continue
        value: Any = MISSING
        tail: Tail | None = None
        for change in chain:
            stored = serde.loads(change.value)
            if change.is_delta:
                value = channel.fold(channel.initial() if value is MISSING else value, stored)
            else:
                value = stored
            tail = tail_after(change, tail)
        if tail is not None:
            values[name], tails[name] = value, tail
    return Position(checkpoint=checkpoint, values=values, tails=tails)


def _initial(graph: Graph) -> dict[str, Any]:
    return {
        name: value
        for name, channel in graph.channels.items()
        if (value := channel.initial()) is not MISSING
    }
