"""What the engine needs of the world: a journal to write to and a place for files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from runs.engine.checkpoint import Change, Checkpoint, Note, Saved
from runs.engine.events import Event
from runs.engine.frozen import value


@value(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who writes. `attempt` is the fencing token: a journal keeps nothing of an attempt that is
    not the run's present one. `created_ms` is when the run was created, for derived ids. `apart`:
    the run is executed apart from all others, and only until its next superstep is committed."""

    run_id: str
    thread_id: str
    attempt: int = 1
    created_ms: int = 0
    apart: bool = False


@value(frozen=True, slots=True, kw_only=True)
class Blob:
    """Stored bytes, by their SHA-256."""

    sha256: str
    size: int


@value(frozen=True, slots=True, kw_only=True)
class ArtifactRef:
    """A file that a run made. Its id follows from run, task and name: saving it again, in a node
    that is run again, replaces it."""

    artifact_id: str
    run_id: str
    node: str
    name: str
    media_type: str
    size: int
    sha256: str

    def describe(self) -> dict[str, Any]:
        """What the `artifact` event says."""
        return {
            "artifact_id": self.artifact_id,
            "name": self.name,
            "media_type": self.media_type,
            "size": self.size,
            "sha256": self.sha256,
        }


@value(frozen=True, slots=True, kw_only=True)
class Superstep:
    """All that one superstep changes; a journal keeps all of it or nothing. The run's notes at the
    checkpoint's parent are over with it, but for what was asked there: a fork may answer that.
    `given` are keys whose stored value is, byte for byte, what the run was given for them (in a
    list, if it is a delta), and most of that: a journal that has the input need not keep it again.
    """

    checkpoint: Checkpoint
    changes: Sequence[Change]
    events: Sequence[Event]
    given: Collection[str] = ()


@value(frozen=True, slots=True, kw_only=True)
class Record:
    """Notes on the superstep that began at `checkpoint_id`."""

    namespace: str
    checkpoint_id: str
    notes: Sequence[Note]


@value(frozen=True, slots=True, kw_only=True)
class Transacted:
    """What a task in a transaction of its own leaves: the note of what it wrote, what it stated,
    and the rows of its artifacts."""

    note: Note
    events: Sequence[Event] = ()
    artifacts: Sequence[ArtifactRef] = ()


class Journal(Protocol):
    """The durable record of threads. Every write names its Lease; one whose attempt is over raises
    Fenced, at the latest from the next `commit`. Values go in and out encoded or copied: what a
    caller does to its objects afterwards changes nothing here."""

    async def load(
        self,
        thread_id: str,
        *,
        namespace: str = "",
        checkpoint_id: str | None = None,
        run_id: str | None = None,
    ) -> Saved | None:
        """The checkpoint with that id, or the newest of the namespace (of a subgraph's: the newest
        that `run_id` wrote, if that is given); None when there is none. `run_id` is the run that
        goes on from it (None: the checkpoint's own): what it has recorded since comes along and,
        with the root namespace, what its tasks had stated."""
        ...

    def append(
        self, lease: Lease, events: Sequence[Event], artifacts: Sequence[ArtifactRef] = ()
    ) -> None:
        """Keep events, and the rows of artifacts whose bytes are stored, in this order and before
        anything that is written later. Returns at once; durable soon, and with the next commit at
        the latest."""
        ...

    def record(self, lease: Lease, checkpoint: Checkpoint, notes: Sequence[Note]) -> None:
        """Keep notes on the superstep after `checkpoint`, until the run commits that superstep.
        A note that is there already (task, kind, idx) stays as it is. Returns at once, as `append`
        does."""
        ...

    async def room(self) -> None:
        """Return when the journal takes more: at once, unless so much waits to be written that
        whoever writes more should wait, too."""
        ...

    async def settle(self, lease: Lease) -> None:
        """On return everything that was written before is durable."""
        ...

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        """Keep a superstep: on return it is durable, with everything that was written before. (What
        `durability` puts in front of a journal may return earlier.)"""
        ...

    def submit(
        self, lease: Lease, supersteps: Sequence[Superstep], records: Sequence[Record] = ()
    ) -> asyncio.Future[None]:
        """Hand over supersteps and then records: all of them are kept together, in this order with
        everything else, or none is. Returns at once; the answer is done when they are durable, or
        has the error of `commit`. After such an error nothing of the attempt is kept, until it was
        raised from a call that waits."""
        ...

    def transact(
        self, lease: Lease, checkpoint: Checkpoint, task_id: str, work: Callable[[], Transacted]
    ) -> Note:
        """Call `work` in a database transaction of its own, and keep what it gives in the same
        one: the note (of kind `writes`), then events and artifacts, as `record` and `append` do;
        all of it together with what `work` did to the same database, or nothing. Answers the note.

        One that is there already is the answer, and nothing is called. Fenced, and nothing kept,
        when the attempt is over at the end of `work`, or the run is to be cancelled. Blocks: for a
        thread, and for a run that has nothing else under way."""
        ...

    async def heard(self, run_id: str) -> Mapping[str, Sequence[tuple[str, bytes]]]:
        """What the tasks of a run without any checkpoint have stated: `Saved.heard`."""
        ...

    async def updates(self, run_id: str) -> Mapping[str, bytes]:
        """What the tasks of a run have written, by task id, as their last `node_update` says."""
        ...

    async def history(
        self, thread_id: str, *, namespace: str = "", limit: int | None = None
    ) -> Sequence[Checkpoint]:
        """The thread's checkpoints, newest first."""
        ...

    async def events(self, run_id: str) -> Sequence[Mapping[str, Any]]:
        """The run's events in order, each with its `seq` from 1."""
        ...

    async def delete(self, thread_id: str) -> None:
        """Forget the thread and all that belongs to it; nothing of any other."""
        ...


def is_journal(given: object) -> bool:
    """Whether `given` can do what a Journal does, as far as names tell."""
    return all(hasattr(given, name) for name in ("load", "commit", "record", "history"))


class ArtifactStore(Protocol):
    """Where the bytes of artifacts live."""

    def write(self, data: bytes) -> Blob:
        """Store `data`; it is durable on return. Blocks: call it from a thread."""
        ...

    def attach(self, ref: ArtifactRef) -> None:
        """Keep the row of an artifact whose bytes are stored. Runs inside the journal's
        transaction, on the journal's thread."""
        ...
