"""The events of a run: the one table of their names, and an event before the journal numbers it.

To add an event, add its constant and its row to KINDS, emit it, and run `make generate`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson

from runs.engine.frozen import value

CREATED: Final = "created"
STARTED: Final = "started"
RECOVERED: Final = "recovered"
NODE_STARTED: Final = "node_started"
NODE_UPDATE: Final = "node_update"
RETRY: Final = "retry"
CUSTOM: Final = "custom"
MESSAGES: Final = f"{CUSTOM}:messages"
ARTIFACT: Final = "artifact"
CHECKPOINT: Final = "checkpoint"
INTERRUPTED: Final = "interrupted"
SLEEPING: Final = "sleeping"
RESUMED: Final = "resumed"
PAUSED: Final = "paused"
UNPAUSED: Final = "unpaused"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"


@value(frozen=True, slots=True, kw_only=True)
class EventKind:
    """One row of the event vocabulary: all that a name says by itself."""

    name: str
    #: One sentence, shown in the documentation and in the API's schema.
    meaning: str
    #: The status of the run after the event; None when the event does not change it.
    status: str | None = None
    #: The statuses that `status` takes the place of; empty for any. Others stay.
    replaces: tuple[str, ...] = ()
    #: Whether the event is the last of its run.
    terminal: bool = False
    #: The stream modes that show it; empty for what every mode shows.
    modes: tuple[str, ...] = ()


#: Every event there is. The sets below, the stream modes, the admin's filter, the API's schema and
#: the dashboard's status are derived from this table.
KINDS: Final = (
    EventKind(name=CREATED, meaning="The run was accepted and waits in the queue.",
              status="pending"),
    EventKind(name=STARTED, meaning="A worker began to execute the run.", status="running"),
    EventKind(name=RECOVERED, status="running",
              meaning="A worker took the run over from one that was lost or stopped."),
    EventKind(name=NODE_STARTED, meaning="A node, or a task that a node calls, began.",
              modes=("tasks",)),
    EventKind(name=NODE_UPDATE, meaning="A node, or a task that a node calls, returned `data`.",
              modes=("updates", "tasks")),
    EventKind(name=RETRY, meaning="A node failed and is tried again as its retry policy says.",
              modes=("tasks",)),
    EventKind(name=CUSTOM, modes=("custom",),
              meaning="A node emitted `data`; `custom:<name>` when it gave the event a name."),
    EventKind(name=MESSAGES, meaning="A node emitted a part of a message.", modes=("messages",)),
    EventKind(name=ARTIFACT, meaning="A node saved an artifact.", modes=("artifacts",)),
    EventKind(name=CHECKPOINT, meaning="A superstep ended and its state is on record.",
              modes=("values", "checkpoints")),
    EventKind(name=INTERRUPTED, meaning="The run waits for the answers to its questions.",
              status="interrupted"),
    EventKind(name=SLEEPING, meaning="The run waits until a time.", status="sleeping"),
    EventKind(name=RESUMED, status="running",
              meaning="A worker goes on with a run that waited, was paused or was put back."),
    EventKind(name=PAUSED, status="pending", replaces=("running",),
              meaning="The run is paused: no worker takes it. A run that waits stays as it is."),
    EventKind(name=UNPAUSED, meaning="The run may go on; its status stays as it is."),
    EventKind(name=COMPLETED, meaning="The run ended with a result.", status="completed",
              terminal=True),
    EventKind(name=FAILED, meaning="The run ended with an error.", status="failed", terminal=True),
    EventKind(name=CANCELLED, meaning="The run was cancelled and has ended.", status="cancelled",
              terminal=True),
)  # fmt: skip

NAMES: Final = tuple(kind.name for kind in KINDS)
#: The events that end a run's log; one of them is always the last.
TERMINAL: Final = frozenset(kind.name for kind in KINDS if kind.terminal)
#: The statuses of runs that have ended.
TERMINAL_STATUSES: Final = frozenset(kind.status for kind in KINDS if kind.terminal)
#: The stream modes. `debug` shows every event.
STREAM_MODES: Final = (*dict.fromkeys(mode for kind in KINDS for mode in kind.modes), "debug")

_NAMED: Final = frozenset(NAMES)


def kind_name(event: str) -> str:
    """The name of the row for an event: CUSTOM for `custom:<name>` without a row of its own, and
    `event` itself for everything else, also for a name that the table does not have."""
    return CUSTOM if event.startswith(f"{CUSTOM}:") and event not in _NAMED else event


#: How the note begins that stands in place of an update that is too long for the log. No other data
#: of an event begin like that: a mapping with this key first is stored as pairs.
CUT: Final = b'{"$cut":'


def cut_note(data: bytes) -> bytes:
    """What is put on record in place of `data`: how long they are, and how they begin."""
    return orjson.dumps({"$cut": len(data), "head": data[:200].decode(errors="replace")})


@value(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact, not numbered yet. `data` is encoded JSON, empty for none."""

    name: str
    ts: datetime
    node: str = ""
    step: int | None = None
    namespace: str = ""
    task_id: str | None = None
    data: bytes = b""


def checkpoint_id_of(data: bytes | str) -> str | None:
    """Which checkpoint the data of a `checkpoint` event announces."""
    return str(orjson.loads(data)["checkpoint_id"]) if data else None
