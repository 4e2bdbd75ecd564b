"""The state at a superstep boundary, and what leads from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Literal

from runs.engine import ids, serde
from runs.engine.errors import NotStorableError
from runs.engine.frozen import value
from runs.engine.values.copies import Values

Source = Literal["input", "loop", "update", "fork"]


@value(frozen=True, slots=True)
class Sent:
    """A Send that was checked: its node, and its argument in stored form."""

    node: str
    encoded: bytes

    @staticmethod
    def of(node: str, arg: Any) -> Sent:
        return Sent(node, serde.dumps(arg))

    @property
    def arg(self) -> Any:
        """The argument. Each reader gets an object of its own. NotStorableError when the class of
        an object in it is gone or has changed."""
        try:
            return serde.loads(self.encoded)
        except NotStorableError as error:
            raise NotStorableError(f"What is sent to node {self.node!r}: {error}") from error

    @staticmethod
    def read(raw: Sequence[Any]) -> Sent:
        """The Send with that stored form. It can be read also when its argument cannot."""
        node, stored = raw
        return Sent(node, serde.dumps_raw(stored))

    def dumps(self) -> bytes:
        return b"[%b,%b]" % (serde.dumps(self.node), self.encoded)


@value(frozen=True, slots=True, kw_only=True)
class Frontier:
    """What runs next: `nodes` once each, `sends` once per Send with its own argument. `arrived`
    holds, per waiting edge (`a+b:c`, by `update.join_key`), the sources that are through already;
    `deferred` nodes run when nothing else is left. `stop`: a node that the graph is to stop after
    has just run. `inside` says where the subgraphs that keep their state stand: their checkpoints,
    by namespace. `origin` is the checkpoint that a fork is a copy of: the same is asked there,
    under the same ids."""

    nodes: tuple[str, ...] = ()
    sends: tuple[Sent, ...] = ()
    arrived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deferred: tuple[str, ...] = ()
    stop: bool = False
    inside: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None

    @property
    def next_nodes(self) -> list[str]:
        """The names of what runs next, one per task."""
        return [*self.nodes, *[send.node for send in self.sends]] if self.sends else [*self.nodes]

    @property
    def leads_on(self) -> bool:
        """Whether anything runs next, or will when something else has come."""
        return bool(self.nodes or self.sends or self.deferred)

    def dumps(self) -> bytes:
        """The frontier as JSON."""
        filled: dict[str, Any] = {"nodes": list(self.nodes)}
        if self.arrived:
            filled["arrived"] = {edge: list(names) for edge, names in self.arrived.items()}
        if self.deferred:
            filled["deferred"] = list(self.deferred)
        if self.stop:
            filled["stop"] = True
        if self.inside:
            filled["inside"] = dict(self.inside)
        if self.origin:
            filled["origin"] = self.origin
        if not self.sends:
            return serde.dumps(filled)
        sends = b",".join([send.dumps() for send in self.sends])
        return b'%b,"sends":[%b]}' % (serde.dumps(filled)[:-1], sends)

    @staticmethod
    def loads(data: bytes | str) -> Frontier:
        """The frontier that `dumps` wrote."""
        filled = serde.loads_raw(data)
        return Frontier(
            nodes=tuple(filled["nodes"]),
            sends=tuple(map(Sent.read, filled.get("sends", ()))),
            arrived={edge: tuple(names) for edge, names in filled.get("arrived", {}).items()},
            deferred=tuple(filled.get("deferred", ())),
            stop=filled.get("stop", False),
            inside=filled.get("inside", {}),
            origin=filled.get("origin"),
        )


@value(frozen=True, slots=True, kw_only=True)
class Tail:
    """Where a channel's stored value stands: `version` wrote it last, `base` is its last full
    value, and the deltas since then weigh `delta_size` against the full value's `full_size`."""

    version: str
    base: str
    full_size: int
    delta_size: int = 0


@value(frozen=True, slots=True, kw_only=True)
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

    def fork(self, *, run_id: str, created_ms: int, now: datetime) -> Checkpoint:
        """A copy of this checkpoint for another run of the thread to go on from. Its tasks ask the
        same questions under the same ids."""
        return replace(
            self,
            checkpoint_id=ids.checkpoint_id(
                run_id=run_id, millis=created_ms, namespace=self.namespace, step=self.step
            ),
            run_id=run_id,
            parent_id=self.checkpoint_id,
            source="fork",
            frontier=replace(self.frontier, origin=self.frontier.origin or self.checkpoint_id),
            created_at=now,
        )


@value(frozen=True, slots=True, kw_only=True)
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


@value(frozen=True, slots=True, kw_only=True)
class Write:
    """One value that a task wrote to one channel, with its stored form."""

    channel: str
    value: Any
    encoded: bytes


@value(frozen=True, slots=True, kw_only=True)
class TaskWrites:
    """All that one finished task says: what it wrote, in order, where it goes on, and where the
    subgraphs in it that keep their state stand now."""

    task_id: str
    node: str
    writes: tuple[Write, ...] = ()
    goto: tuple[str | Sent, ...] = ()
    inside: Mapping[str, str] = field(default_factory=dict)

    def dumps(self) -> bytes:
        """As JSON, from the values' stored forms."""
        pairs = [b"[%b,%b]" % (serde.dumps(w.channel), w.encoded) for w in self.writes]
        goto = [to.dumps() if isinstance(to, Sent) else serde.dumps(to) for to in self.goto]
        inside = b',"inside":%b' % serde.dumps(dict(self.inside)) if self.inside else b""
        return b'{"writes":[%b],"goto":[%b]%b}' % (b",".join(pairs), b",".join(goto), inside)

    @staticmethod
    def loads(task_id: str, node: str, data: bytes | str, *, shown: bool = False) -> TaskWrites:
        """What `dumps` wrote; with `shown`, objects of classes that are not here are data, as in
        `serde.show`."""
        filled = serde.loads_raw(data)
        return TaskWrites(
            task_id=task_id,
            node=node,
            writes=tuple(_write(node, *pair, shown=shown) for pair in filled["writes"]),
            goto=tuple(to if isinstance(to, str) else Sent.read(to) for to in filled["goto"]),
            inside=filled.get("inside", {}),
        )


def _write(node: str, channel: str, raw: Any, *, shown: bool) -> Write:
    try:
        value = serde.from_raw(raw, shown=shown)
    except NotStorableError as error:
        raise NotStorableError(f"Key {channel!r}, as node {node!r} wrote it: {error}") from error
    return Write(channel=channel, value=value, encoded=serde.dumps_raw(raw))


#: `writes` what a finished task wrote · `interrupt` what one that waits has asked · `answer` what
#: was said to that · `step` the result of a durable part of a task · `sleep` when a task goes on ·
#: `command` what a person wrote and where they sent the run when it was resumed.
NoteKind = Literal["writes", "interrupt", "answer", "step", "sleep", "command"]


@value(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that is recorded of a task before its superstep ends; `idx` tells the ones of a
    kind apart. TaskWrites are encoded by whoever needs their bytes."""

    task_id: str
    node: str
    kind: NoteKind
    idx: int = 0
    body: bytes | TaskWrites

    def dumps(self) -> bytes:
        """The body as JSON."""
        return self.body if isinstance(self.body, bytes) else self.body.dumps()


@value(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a thread stands, in memory: its newest checkpoint and the values behind it."""

    checkpoint: Checkpoint | None = None
    values: Values = field(default_factory=Values)
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


@value(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a journal gives back of a checkpoint. `chains` holds each channel's changes from its
    last full value on, oldest first; `notes` what the run has recorded since, in that order;
    `heard` what was stated already of what is to be done again (event name and data, per task; by
    its id, the event of a checkpoint that was announced and not kept); `entered` the step at which
    the checkpoint's run began, or the call of its subgraph."""

    checkpoint: Checkpoint
    chains: Mapping[str, Sequence[Change]]
    notes: Sequence[Note] = ()
    heard: Mapping[str, Sequence[tuple[str, bytes]]] = field(default_factory=dict)
    entered: int = -1
