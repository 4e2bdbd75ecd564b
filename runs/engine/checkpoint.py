"""The state at a superstep boundary, and what leads from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from . import serde
from .types import Send

Source = Literal["input", "loop", "update", "fork"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """What runs next: `nodes` once each, `sends` once per Send with its own argument. `arrived`
    holds, per waiting edge (`a+b:c`), the sources that are through already; `deferred` nodes run
    when nothing else is left."""

    nodes: tuple[str, ...] = ()
    sends: tuple[Send, ...] = ()
    arrived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deferred: tuple[str, ...] = ()

    @property
    def next_nodes(self) -> list[str]:
        """The names of what runs next, one per task."""
        return [*self.nodes, *(send.node for send in self.sends)]

    def dumps(self) -> bytes:
        """The frontier as JSON."""
        filled: dict[str, Any] = {"nodes": list(self.nodes)}
        if self.sends:
            filled["sends"] = [[send.node, send.arg] for send in self.sends]
        if self.arrived:
            filled["arrived"] = {edge: list(names) for edge, names in self.arrived.items()}
        if self.deferred:
            filled["deferred"] = list(self.deferred)
        return serde.dumps(filled)

    @staticmethod
    def loads(data: bytes | str) -> Frontier:
        """The frontier that `dumps` wrote."""
        filled = serde.loads(data)
        return Frontier(
            nodes=tuple(filled["nodes"]),
            sends=tuple(Send(node, arg) for node, arg in filled.get("sends", ())),
            arrived={edge: tuple(names) for edge, names in filled.get("arrived", {}).items()},
            deferred=tuple(filled.get("deferred", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Where a channel's stored value stands: `version` wrote it last, `base` is its last full
    value, and the deltas since then weigh `delta_size` against the full value's `full_size`."""

    version: str
    base: str
    full_size: int
    delta_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One boundary of a thread's tree. `versions` names, per channel, the checkpoint that wrote
    its value."""

    checkpoint_id: str
    thread_id: str
    run_id: str
    namespace: str
    parent_id: str | None
    step: int
    source: Source
    versions: Mapping[str, str]
    frontier: Frontier
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One channel's new stored value: in full when `base` is its own version, or else the list of
    the superstep's updates, to be folded onto the value at `previous`."""

    channel: str
    version: str
    base: str
    previous: str | None
    value: bytes

    @property
    def is_delta(self) -> bool:
        return self.base != self.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One value that a task wrote to one channel, with its stored form."""

    channel: str
    value: Any
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWrites:
    """All that one finished task says: what it wrote, in order, and where it goes on."""

    task_id: str
    node: str
    writes: tuple[Write, ...] = ()
    goto: tuple[str | Send, ...] = ()

    def dumps(self) -> bytes:
        """As JSON, from the values' stored forms."""
        pairs = b",".join(b"[%b,%b]" % (serde.dumps(w.channel), w.encoded) for w in self.writes)
        goto = [[to.node, to.arg] if isinstance(to, Send) else to for to in self.goto]
        return b'{"writes":[%b],"goto":%b}' % (pairs, serde.dumps(goto))

    @staticmethod
    def loads(task_id: str, node: str, data: bytes | str) -> TaskWrites:
        """What `dumps` wrote."""
        filled = serde.loads(data)
        return TaskWrites(
            task_id=task_id,
            node=node,
            writes=tuple(
                Write(channel=channel, value=value, encoded=serde.dumps(value))
                for channel, value in filled["writes"]
            ),
            goto=tuple(to if isinstance(to, str) else Send(*to) for to in filled["goto"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a thread stands, in memory: its newest checkpoint and the values behind it."""

    checkpoint: Checkpoint | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    tails: Mapping[str, Tail] = field(default_factory=dict)

    @property
    def step(self) -> int:
        return -1 if self.checkpoint is None else self.checkpoint.step

    @property
    def frontier(self) -> Frontier:
        return Frontier() if self.checkpoint is None else self.checkpoint.frontier

    def at(self, frontier: Frontier) -> Position:
        """The same state with something else to run next."""
        if self.checkpoint is None:
            return self
        return replace(self, checkpoint=replace(self.checkpoint, frontier=frontier))


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a journal gives back of a checkpoint. `chains` holds each channel's changes from its
    last full value on, oldest first; `done` the tasks of the next superstep that have finished;
    `heard` what those that have not had stated already (event name and data, per task); `entered`
    the step at which the checkpoint's run began."""

    checkpoint: Checkpoint
    chains: Mapping[str, Sequence[Change]]
    done: Mapping[str, TaskWrites] = field(default_factory=dict)
    heard: Mapping[str, Sequence[tuple[str, bytes]]] = field(default_factory=dict)
    entered: int = -1
