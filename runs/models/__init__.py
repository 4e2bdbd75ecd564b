"""The durable record: what is stored of threads, runs and everything they did.

The journal (`journal.py`) owns the rows of State, Checkpoint, PendingWrite and Event, and writes
them past the ORM; the operations own Thread and Run until a worker claims the run. Columns with
values of the engine are text (its own JSON, written once and read back byte for byte), not
database JSON, which would reorder keys and refuse some strings.
"""

from __future__ import annotations

from runs.models.control import DeletedRun, Worker, WorkflowPause
from runs.models.record import Checkpoint, Event, PendingWrite, State
from runs.models.run import Payload, Run, Thread
from runs.models.status import LARGE, TERMINAL, WAITING, Durability, PendingReason, RunStatus

__all__ = [
    "LARGE",
    "TERMINAL",
    "WAITING",
    "Checkpoint",
    "DeletedRun",
    "Durability",
    "Event",
    "Payload",
    "PendingReason",
    "PendingWrite",
    "Run",
    "RunStatus",
    "State",
    "Thread",
    "Worker",
    "WorkflowPause",
]
