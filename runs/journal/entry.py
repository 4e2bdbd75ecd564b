"""What the journal's front hands to its writer: one entry per call, in the order of the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runs.engine.events import Event
from runs.engine.journal.ports import ArtifactRef, Lease, Record, Superstep
from runs.lifecycle.transitions import Transition
from runs.models import RunStatus

#: What an entry, a superstep and an event weigh beside their data. Bytes.
OVERHEAD = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ends.

    Raises ValueError for a transition that is none of a running run.
    """

    transition: Transition
    at: datetime
    #: What a run that fails keeps of its error.
    error: dict[str, Any] | None = None
    #: When the sweep wakes a run that waits.
    wake_at: datetime | None = None

    def __post_init__(self) -> None:
        if RunStatus.RUNNING not in self.transition.sources:
            raise ValueError(f"Transition {self.transition.name!r} ends no attempt.")


@dataclass(slots=True, kw_only=True)
class Entry:
    """One call. `waiter` is woken when the entry is durable, or with the reason why it is not.
    `ahead`: nobody waits just now. `number` counts the entries of an attempt from 1; the writer
    gives it. `size` is about what it holds in memory, in bytes."""

    lease: Lease
    number: int = 0
    events: Sequence[Event] = ()
    artifacts: Sequence[ArtifactRef] = ()
    supersteps: Sequence[Superstep] = ()
    records: Sequence[Record] = ()
    ending: Ending | None = None
    waiter: Waiter | None = None
    ahead: bool = False
    size: int = 0

    def __post_init__(self) -> None:
        self.size = OVERHEAD + _weight(self.events)
        for superstep in self.supersteps:
            self.size += OVERHEAD + _weight(superstep.events)
            self.size += sum(len(change.value) for change in superstep.changes)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for it."""
        return self.waiter is not None and not self.ahead


def _weight(events: Sequence[Event]) -> int:
    return sum(len(event.data) + OVERHEAD for event in events)


@dataclass(slots=True)
class Waiter:
    """A future of an event loop, to be settled from the writer's thread."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None] = field(init=False)

    def __post_init__(self) -> None:
        self.future = self.loop.create_future()

    def settle(self, error: BaseException | None) -> None:
        """Wake who waits; on the loop's own thread. A waiter that was cancelled meanwhile is left
        alone."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


def settle(waiters: Sequence[tuple[Waiter, BaseException | None]]) -> None:
    """Wake all who wait, each with its error or None; from any thread, with one call a loop: to
    wake a loop costs more than all that it then does. A loop that was closed is left alone."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Waiter, BaseException | None]]] = {}
    for waiter, error in waiters:
        loops.setdefault(waiter.loop, []).append((waiter, error))
    for loop, group in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, group)


def _settle(group: Sequence[tuple[Waiter, BaseException | None]]) -> None:
    for waiter, error in group:
        waiter.settle(error)
