"""What the engine needs of the world: a journal to write to and a place for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .checkpoint import Change, Checkpoint, Note, Saved
from .events import Event
from .values import value


@value(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who writes. `attempt` is the fencing token: a journal keeps nothing of an attempt that is
    not the run's present one. `created_ms` is when the run was created, for derived ids."""

    run_id: str
    thread_id: str
    attempt: int = 1
    created_ms: int = 0


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
    checkpoint's parent are over with it."""

    checkpoint: Checkpoint
    changes: Sequence[Change]
    events: Sequence[Event]


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
        """The checkpoint with that id, or the newest of the namespace; None when there is none.
        `run_id` is the run that goes on from it (None: the checkpoint's own): what it has recorded
        since comes along and, with the root namespace, what its tasks had stated."""
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

    async def settle(self, lease: Lease) -> None:
        """On return everything that was written before is durable."""
        ...

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        """Keep a superstep: on return it is durable, with everything that was written before."""
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


class ArtifactStore(Protocol):
    """Where the bytes of artifacts live."""

    def write(self, data: bytes) -> Blob:
        """Store `data`; it is durable on return. Blocks: call it from a thread."""
        ...

    def attach(self, ref: ArtifactRef) -> None:
        """Keep the row of an artifact whose bytes are stored. Runs inside the journal's
        transaction, on the journal's thread."""
        ...
