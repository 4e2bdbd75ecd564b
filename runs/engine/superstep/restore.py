"""Restore: the position that a journal's record stands for. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runs.engine import serde
from runs.engine.checkpoint import Change, Checkpoint, Position, Tail
from runs.engine.errors import NotStorableError
from runs.engine.graph.channels import Channel
from runs.engine.graph.graph import Graph
from runs.engine.superstep.update import tail_after
from runs.engine.types import MISSING
from runs.engine.values.copies import Values


def begin(graph: Graph) -> Position:
    """Where a new thread stands: nothing written, every reducer at its empty value."""
    return Position(values=Values(_initial(graph)))


def restore(
    graph: Graph,
    checkpoint: Checkpoint,
    chains: Mapping[str, Sequence[Change]],
    *,
    shown: bool = False,
) -> Position:
    """The position that a journal's `Saved` describes. Channels that the graph no longer has are
    left out. An object that cannot be rebuilt raises NotStorableError. With `shown`, for those who
    only look, it is data, and a reducer that does not take that leaves the list of what was
    stored."""
    values = _initial(graph)
    tails: dict[str, Tail] = {}
    for name, chain in chains.items():
        if (channel := graph.channels.get(name)) is None:
            continue
        tail: Tail | None = None
        for change in chain:
            tail = tail_after(change, tail)
        if tail is not None:
            values[name] = _shown(channel, chain) if shown else _value(channel, checkpoint, chain)
            tails[name] = tail
    return Position(checkpoint=checkpoint, values=Values(values), tails=tails)


def _value(channel: Channel, checkpoint: Checkpoint, chain: Sequence[Change]) -> Any:
    try:
        return _folded(channel, chain, [serde.loads(change.value) for change in chain])
    except NotStorableError as error:
        raise NotStorableError(
            f"Key {channel.name!r} at checkpoint {checkpoint.checkpoint_id}: {error}"
        ) from error


def _shown(channel: Channel, chain: Sequence[Change]) -> Any:
    stored = [serde.show(change.value) for change in chain]
    try:
        return _folded(channel, chain, stored)
    except Exception:  # of a reducer, which may ask for more than data has
        return [stored[0], *(update for updates in stored[1:] for update in updates)]


def _folded(channel: Channel, chain: Sequence[Change], stored: Sequence[Any]) -> Any:
    value: Any = MISSING
    for change, one in zip(chain, stored, strict=True):
        if change.is_delta:
            value = channel.fold(channel.initial() if value is MISSING else value, one)
        else:
            value = one if channel.entry is None else channel.entry.restored(one)
    return value


def _initial(graph: Graph) -> dict[str, Any]:
    return {
        name: value
        for name, channel in graph.channels.items()
        if (value := channel.initial()) is not MISSING
    }
