"""Update: what the finished tasks of a superstep make of the state. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from . import ids, serde
from .checkpoint import (
    Change,
    Checkpoint,
    Frontier,
    Position,
    Sent,
    Source,
    Tail,
    TaskWrites,
    Write,
)
from .errors import InvalidUpdateError
from .graph import Graph
from .ports import Lease
from .types import END, MISSING, START

Done = Sequence[TaskWrites]


def update(
    graph: Graph,
    position: Position,
    done: Done,
    *,
    lease: Lease,
    now: datetime,
    namespace: str = "",
    source: Source = "loop",
    commands: Done = (),
) -> tuple[Position, list[Change]]:
    """The position after a superstep whose tasks wrote `done` (in path order), after what people
    wrote with `commands`, and what of it is new in the store."""
    step = position.step + 1
    version = ids.checkpoint_id(
        run_id=lease.run_id, millis=lease.created_ms, namespace=namespace, step=step
    )
    values, changes = merge(graph, position, [*commands, *done], version)
    tails = dict(position.tails)
    tails.update(
        (change.channel, tail_after(change, tails.get(change.channel))) for change in changes
    )
    for channel in graph.ephemeral:
        if channel not in values:
            tails.pop(channel, None)
    checkpoint = Checkpoint(
        checkpoint_id=version,
        thread_id=lease.thread_id,
        run_id=lease.run_id,
        namespace=namespace,
        parent_id=position.checkpoint.checkpoint_id if position.checkpoint else None,
        step=step,
        source=source,
        versions={channel: tail.version for channel, tail in tails.items()},
        frontier=advance(graph, position.frontier, done),
        created_at=now,
    )
    return Position(checkpoint=checkpoint, values=values, tails=tails), changes


def merge(
    graph: Graph, position: Position, done: Done, version: str
) -> tuple[dict[str, Any], list[Change]]:
    """The values after `done`, and the stored form of those that changed. Two writes to a channel
    that takes one raise InvalidUpdateError with both nodes' names."""
    written = _by_channel(done)
    values = dict(position.values)
    for key in graph.ephemeral:
        if key not in written:
            values.pop(key, None)
    changes = []
    for name, writes in written.items():
        channel = graph.channels[name]
        if len(writes) > 1 and not channel.many:
            _check_single(name, [task.node for task, _ in writes])
        current = values.get(name, MISSING)
        values[name] = channel.fold(current, [write.value for _, write in writes])
        encoded = [write.encoded for _, write in writes]
        changes.append(
            _change(
                name,
                values[name],
                encoded,
                position.tails.get(name),
                version,
                many=channel.many,
                delta=channel.delta,
            )
        )
    return values, changes


def _check_single(channel: str, nodes: Sequence[str]) -> None:
    # What a person wrote came before the superstep, and is not part of a conflict in it.
    writers = [node for node in nodes if node != START]
    if len(writers) > 1:
        names = " and ".join(sorted(set(map(repr, writers))))
        raise InvalidUpdateError(
            f"Key {channel!r} was written {len(writers)} times in one superstep, by {names}, but "
            "keeps one value. Annotate it with a reducer (Annotated[list, operator.add]) to keep "
            "them all, or write it from one node."
        )


def fold(graph: Graph, values: Mapping[str, Any], done: Done) -> dict[str, Any]:
    """`values` with what `done` wrote merged in, and nothing else. Raises as `merge` does."""
    after = dict(values)
    for name, writes in _by_channel(done).items():
        channel = graph.channels[name]
        if len(writes) > 1 and not channel.many:
            _check_single(name, [task.node for task, _ in writes])
        current = after.get(name, MISSING)
        after[name] = channel.fold(current, [write.value for _, write in writes])
    return after


def commanded(graph: Graph, position: Position, commands: Done) -> Position:
    """How the tasks of a superstep see a position that people have added to: what they wrote is
    there, and where they sent the run is to run too."""
    if not commands:
        return position
    values = fold(graph, position.values, commands)
    names = set(position.frontier.nodes)
    sends = list(position.frontier.sends)
    for command in commands:
        for target in command.goto:
            if isinstance(target, Sent):
                sends.append(target)
            elif target != END:
                names.add(target)
    frontier = replace(position.frontier, nodes=tuple(sorted(names)), sends=tuple(sends))
    return replace(position.at(frontier), values=values)


def advance(graph: Graph, before: Frontier, done: Done) -> Frontier:
    """What runs after the tasks in `done`: the targets of their edges, of what they chose, and of
    waiting edges that are complete."""
    names: set[str] = set(before.deferred)
    sends: list[Sent] = []
    arrived = dict(before.arrived)
    for task in done:
        names.update(graph.edges.get(task.node, ()))
        for target in task.goto:
            if isinstance(target, Sent):
                sends.append(target)
            else:
                names.add(target)
    finished = {task.node for task in done}
    for sources, target in graph.joins:
        edge = f"{'+'.join(sources)}:{target}"
        through = set(arrived.pop(edge, ()))
        if target in finished and len(through) == len(sources):
            through = set()  # it has run for these
        through |= finished & set(sources)
        complete = len(through) == len(sources)
        if complete:
            names.add(target)
        # A deferred target takes all that arrives until it runs; another one runs at once.
        waits = target != END and graph.nodes[target].defer
        if through and (waits or not complete):
            arrived[edge] = tuple(sorted(through))
    names.discard(END)
    deferred = {name for name in names if name in graph.nodes and graph.nodes[name].defer}
    ready = names - deferred
    if not ready and not sends:
        ready, deferred = deferred, set()
    return Frontier(
        nodes=tuple(sorted(ready)),
        sends=tuple(sends),
        arrived=arrived,
        deferred=tuple(sorted(deferred)),
        stop=bool(finished & graph.stop_after and (ready or sends)),
    )


def _by_channel(done: Done) -> dict[str, list[tuple[TaskWrites, Write]]]:
    written: dict[str, list[tuple[TaskWrites, Write]]] = {}
    for task in done:
        for write in task.writes:
            written.setdefault(write.channel, []).append((task, write))
    return written


def _change(
    channel: str,
    value: Any,
    encoded: Sequence[bytes],
    tail: Tail | None,
    version: str,
    *,
    many: bool,
    delta: bool,
) -> Change:
    previous = tail.version if tail else None
    if delta and tail is not None:
        body = b"[%b]" % b",".join(encoded)
        # As long as the deltas weigh less than the full value, a load reads at most twice the
        # state; from there on a full value is the cheaper record.
        if tail.delta_size + len(body) < tail.full_size:
            return Change(
                channel=channel, version=version, base=tail.base, previous=previous, value=body
            )
    body = serde.dumps(value) if many else encoded[-1]
    return Change(channel=channel, version=version, base=version, previous=previous, value=body)


def tail_after(change: Change, before: Tail | None) -> Tail:
    size = len(change.value)
    if not change.is_delta or before is None:
        return Tail(version=change.version, base=change.base, full_size=size)
    return Tail(
        version=change.version,
        base=before.base,
        full_size=before.full_size,
        delta_size=before.delta_size + size,
    )
