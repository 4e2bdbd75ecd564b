"""Update: what the finished tasks of a superstep make of the state. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from runs.engine import ids, serde
from runs.engine.checkpoint import (
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
from runs.engine.errors import InvalidUpdateError, add_note
from runs.engine.graph.channels import Channel
from runs.engine.graph.graph import Graph
from runs.engine.journal.ports import Lease
from runs.engine.types import END, MISSING, START
from runs.engine.values import unpacking
from runs.engine.values.copies import Values

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
    before = position.checkpoint
    parent = None if before is None else before.checkpoint_id
    step = position.step + 1
    version = ids.checkpoint_id(
        run_id=lease.run_id,
        millis=lease.created_ms,
        namespace=namespace,
        step=step,
        parent=parent,
    )
    written = [*commands, *done] if commands else done
    values, tails, changes = merge(graph, position, written, version)
    checkpoint = Checkpoint(
        checkpoint_id=version,
        thread_id=lease.thread_id,
        run_id=lease.run_id,
        namespace=namespace,
        parent_id=parent,
        step=step,
        source=source,
        versions={channel: tail.version for channel, tail in tails.items()},
        frontier=advance(graph, position.frontier, done),
        created_at=now,
    )
    return Position(checkpoint=checkpoint, values=values, tails=tails), changes


def merge(
    graph: Graph, position: Position, done: Done, version: str
) -> tuple[Values, dict[str, Tail], list[Change]]:
    """The values after `done` with where their stored form stands, and what of that is new. Two
    writes to a channel that takes one raise InvalidUpdateError with both nodes' names."""
    written = _by_channel(graph, done)
    values, tails = Values(position.values), dict(position.tails)
    for key in graph.ephemeral:
        if key not in written:
            values.drop(key)
            tails.pop(key, None)
    changes = []
    for name, writes in written.items():
        channel, before = graph.channels[name], tails.get(name)
        value = _folded(channel, values.get(name, MISSING), writes, done)
        change = _change(channel, value, writes, before, version)
        if channel.many and not channel.delta and type(value) not in unpacking.SCALARS:
            # The run goes on with what is stored, and not with an object that a reducer may keep.
            value = serde.loads(change.value)
        values.put(name, value, writes if channel.adds else ())
        tails[name] = tail_after(change, before)
        changes.append(change)
    return values, tails, changes


def _check_single(channel: str, done: Done) -> None:
    # What a person wrote came before the superstep, and is not part of a conflict in it.
    writes = [(task.node, write) for task in done if task.node != START for write in task.writes]
    writers = [node for node, write in writes if write.channel == channel]
    if len(writers) > 1:
        names = " and ".join(sorted(set(map(repr, writers))))
        raise InvalidUpdateError(
            f"Key {channel!r} was written {len(writers)} times in one superstep, by {names}, but "
            "keeps one value. Annotate it with a reducer (Annotated[list, operator.add]) to keep "
            "them all, or write it from one node."
        )


def _folded(channel: Channel, value: Any, writes: Sequence[Write], done: Done) -> Any:
    try:
        return channel.fold(value, [write.value for write in writes])
    except Exception as error:
        wrote = (task.node for task in done if any(write in task.writes for write in writes))
        who = ", ".join("the input" if node == START else f"node {node!r}" for node in wrote)
        add_note(
            error,
            f"In the reducer of key {channel.name!r}, with what {who} wrote. It is called with the "
            "present value and the new one.",
        )
        raise


def fold(graph: Graph, values: Values, done: Done) -> Values:
    """`values` with what `done` wrote merged in, and nothing else. Raises as `merge` does."""
    after = Values(values)
    for name, writes in _by_channel(graph, done).items():
        channel = graph.channels[name]
        value = _folded(channel, after.get(name, MISSING), writes, done)
        after.put(name, value, writes if channel.adds else ())
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
    names = set(before.deferred)
    sends: list[Sent] = []
    finished = {task.node for task in done}
    for node in finished:
        names.update(graph.edges.get(node, ()))
    inside = before.inside
    for task in done:
        if task.inside:
            inside = {**inside, **task.inside}
        for to in task.goto:
            if isinstance(to, Sent):
                sends.append(to)
            else:
                names.add(to)
    arrived = before.arrived
    if graph.joins:
        arrived, through = _arrivals(graph, arrived, finished)
        names |= through
    names.discard(END)
    deferred = names & graph.deferred
    if deferred and not sends and names == deferred:
        deferred = set()  # nothing else is left to wait for
    names -= deferred
    return Frontier(
        nodes=tuple(sorted(names)),
        sends=tuple(sends),
        arrived=arrived,
        deferred=tuple(sorted(deferred)) if deferred else (),
        stop=bool(finished & graph.stop_after and (names or sends)),
        inside=inside,
    )


def _arrivals(
    graph: Graph, before: Mapping[str, tuple[str, ...]], finished: set[str]
) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """What has arrived at the waiting edges once `finished` nodes are through, and the targets of
    those that are complete."""
    arrived, complete = _by_join(graph, before), set()
    for sources, target in graph.joins:
        edge = join_key(sources, target)
        through = set(arrived.pop(edge, ()))
        if target in finished and len(through) == len(sources):
            through = set()  # it has run for these
        through |= finished & set(sources)
        if len(through) == len(sources):
            complete.add(target)
        # A deferred target takes all that arrives until it runs; another one runs at once.
        if through and (target in graph.deferred or len(through) < len(sources)):
            arrived[edge] = tuple(sorted(through))
    return arrived, complete


@lru_cache(1024)
def join_key(sources: tuple[str, ...], target: str) -> str:
    """The key of a waiting edge in a frontier: `a+b:c`. A plus sign in a name is a bar there, which
    no node's name has, so that no two edges have one key."""
    return f"{'+'.join(name.replace('+', '|') for name in sources)}:{target}"


def _by_join(graph: Graph, before: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What has arrived so far. An earlier version wrote the plus signs of names as they are, so
    that edges could share a key: each takes the sources that are its own."""
    arrived = dict(before)
    shared = {}
    for sources, target in graph.joins:
        key, old = join_key(sources, target), f"{'+'.join(sources)}:{target}"
        if key != old and old in before and key not in before:
            shared[old] = key
            if own := tuple(name for name in before[old] if name in sources):
                arrived[key] = own
    current = {join_key(sources, target) for sources, target in graph.joins}
    for old in shared.keys() - current:
        del arrived[old]
    return arrived


def _by_channel(graph: Graph, done: Done) -> dict[str, list[Write]]:
    written: dict[str, list[Write]] = {}
    for task in done:
        for write in task.writes:
            written.setdefault(write.channel, []).append(write)
    for name, writes in written.items():
        if len(writes) > 1 and not graph.channels[name].many:
            _check_single(name, done)
    return written


def _change(
    channel: Channel, value: Any, writes: Sequence[Write], tail: Tail | None, version: str
) -> Change:
    name, previous = channel.name, tail.version if tail else None
    if channel.delta and tail is not None:
        body = b"[%b]" % b",".join([write.encoded for write in writes])
        # As long as the deltas weigh less than the full value, a load reads at most twice the
        # state; from there on a full value is the cheaper record.
        if tail.delta_size + len(body) < tail.full_size:
            return Change(
                channel=name, version=version, base=tail.base, previous=previous, value=body
            )
    body = serde.dumps(value) if channel.many else writes[-1].encoded
    return Change(channel=name, version=version, base=version, previous=previous, value=body)


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
