"""Durability: when the supersteps of a run are kept. One journal per mode, over any journal."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, Protocol, get_args

from runs.engine.checkpoint import Checkpoint, Note, Saved
from runs.engine.events import Event
from runs.engine.journal.ports import ArtifactRef, Journal, Lease, Record, Superstep, Transacted

#: `sync`: a superstep is durable before the next begins, but for the input's. `async`: the run
#: goes on while it is written. `exit`: supersteps are written when the run stops. The words are
#: LangGraph's.
Durability = Literal["sync", "async", "exit"]
DURABILITIES: tuple[str, ...] = get_args(Durability)

#: Supersteps of one `async` run that may be on their way; the next one waits.
UNDER_WAY = 64
#: What one `exit` run holds back at most, in supersteps and in bytes; then it is written.
HELD_STEPS, HELD_BYTES = 1_000, 16 * 2**20


class PacedJournal(Journal, Protocol):
    """A journal that may be behind."""

    def flush(self) -> None:
        """Hand over all that is held back, so that what is written next comes after it. Returns
        at once; `settle` waits for it. To be called whenever the run stops."""
        ...


def paced(journal: Journal, durability: str, lease: Lease) -> PacedJournal:
    """`journal`, for one attempt of a run of that durability. ValueError for an unknown one."""
    kinds: dict[str, type[_Paced]] = {"sync": _Sync, "async": _Async, "exit": _Exit}
    if durability not in kinds:
        known = ", ".join(map(repr, DURABILITIES))
        raise ValueError(f"There is no durability {durability!r}; there are {known}.")
    return kinds[durability](journal, lease)


class _Paced:
    """Hands on what it is given. What differs is up to the mode."""

    def __init__(self, journal: Journal, lease: Lease) -> None:
        self._journal = journal
        self._lease = lease

    def flush(self) -> None: ...

    async def load(
        self,
        thread_id: str,
        *,
        namespace: str = "",
        checkpoint_id: str | None = None,
        run_id: str | None = None,
    ) -> Saved | None:
        return await self._journal.load(
            thread_id, namespace=namespace, checkpoint_id=checkpoint_id, run_id=run_id
        )

    def append(
        self, lease: Lease, events: Sequence[Event], artifacts: Sequence[ArtifactRef] = ()
    ) -> None:
        self._journal.append(lease, events, artifacts)

    def record(self, lease: Lease, checkpoint: Checkpoint, notes: Sequence[Note]) -> None:
        self._journal.record(lease, checkpoint, notes)

    async def room(self) -> None:
        await self._journal.room()

    async def settle(self, lease: Lease) -> None:
        await self._journal.settle(lease)

    def commit(self, lease: Lease, superstep: Superstep) -> Coroutine[Any, Any, None]:
        return self._journal.commit(lease, superstep)

    def submit(
        self, lease: Lease, supersteps: Sequence[Superstep], records: Sequence[Record] = ()
    ) -> asyncio.Future[None]:
        return self._journal.submit(lease, supersteps, records)

    def transact(
        self, lease: Lease, checkpoint: Checkpoint, task_id: str, work: Callable[[], Transacted]
    ) -> Note:
        return self._journal.transact(lease, checkpoint, task_id, work)

    async def heard(self, run_id: str) -> Mapping[str, Sequence[tuple[str, bytes]]]:
        return await self._journal.heard(run_id)

    async def updates(self, run_id: str) -> Mapping[str, bytes]:
        return await self._journal.updates(run_id)

    async def history(
        self, thread_id: str, *, namespace: str = "", limit: int | None = None
    ) -> Sequence[Checkpoint]:
        return await self._journal.history(thread_id, namespace=namespace, limit=limit)

    async def events(self, run_id: str) -> Sequence[Mapping[str, Any]]:
        return await self._journal.events(run_id)

    async def delete(self, thread_id: str) -> None:
        await self._journal.delete(thread_id)


class _Sync(_Paced):
    """Keeps what it is given when it is given it. Two supersteps of a run's first attempt, and of
    each call of a subgraph, are handed over and not waited for: that of the input, which says
    nothing that the run's payload does not say, and the last one, which nothing follows but the
    end, that waits. Each goes with what comes next; what became of it is told there."""

    def __init__(self, journal: Journal, lease: Lease) -> None:
        super().__init__(journal, lease)
        self.append = journal.append  # type: ignore[method-assign]  # without a call around it
        self._ahead: asyncio.Future[None] | None = None

    async def load(self, thread_id: str, **options: Any) -> Saved | None:
        if _is_under_way(self._ahead):  # of a subgraph whose node is run again
            await self.settle(self._lease)
        return await super().load(thread_id, **options)

    async def settle(self, lease: Lease) -> None:
        await super().settle(lease)
        self._tell()

    def commit(self, lease: Lease, superstep: Superstep) -> Coroutine[Any, Any, None]:
        if self._ahead is not None:
            self._tell()  # a node may have caught what a part of it was told
        checkpoint = superstep.checkpoint
        first = checkpoint.source == "input" and lease.attempt == 1
        if not first and checkpoint.frontier.leads_on:
            return self._journal.commit(lease, superstep)
        self._ahead = _watched(self.submit(lease, [superstep]))
        return self._journal.room()

    def _tell(self) -> None:
        if self._ahead is not None and self._ahead.done():
            self._ahead.result()
            self._ahead = None


def _is_under_way(done: asyncio.Future[None] | None) -> bool:
    return done is not None and not done.done()


class _Async(_Paced):
    """Goes on while what it was given is written. A superstep that could not be kept is told at
    one of the next, at the latest by `settle`."""

    def __init__(self, journal: Journal, lease: Lease) -> None:
        super().__init__(journal, lease)
        self._under_way: deque[asyncio.Future[None]] = deque()

    async def load(self, thread_id: str, **options: Any) -> Saved | None:
        if self._under_way:  # of a subgraph whose node is run again
            await self.settle(self._lease)
        return await super().load(thread_id, **options)

    async def settle(self, lease: Lease) -> None:
        await super().settle(lease)
        await self._told(0)

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        # Nobody waits for what is submitted, so the run is the one to wait while that piles up.
        await self.room()
        await self._told(UNDER_WAY)  # before more: nothing is written over a hole
        self._under_way.append(_watched(self.submit(lease, [superstep])))
        await self._told(UNDER_WAY)
        # Nothing else here gives way to the other runs of this event loop.
        await asyncio.sleep(0)

    async def _told(self, most: int) -> None:
        while self._under_way and (len(self._under_way) > most or self._under_way[0].done()):
            try:
                await self._under_way.popleft()
            except Exception:
                self._under_way.clear()
                # It is told here; whoever writes how the run ended is not to be told again.
                with suppress(Exception):
                    await super().settle(self._lease)
                raise


class _Exit(_Paced):
    """States events at once, and holds back checkpoints, state and notes until the run stops, or
    somebody asks for more: a durable part of a node, a node with a transaction, a subgraph that is
    begun again. What it has announced and not kept is known to `heard`."""

    def __init__(self, journal: Journal, lease: Lease) -> None:
        super().__init__(journal, lease)
        self._supersteps: list[Superstep] = []
        self._handed_over: asyncio.Future[None] | None = None
        self._records: dict[str, list[Record]] = {}
        self._bytes = 0

    async def load(self, thread_id: str, **options: Any) -> Saved | None:
        if self._supersteps or self._records or _is_under_way(self._handed_over):
            await self.settle(self._lease)
        return await super().load(thread_id, **options)

    def record(self, lease: Lease, checkpoint: Checkpoint, notes: Sequence[Note]) -> None:
        checkpoint_id = checkpoint.checkpoint_id
        made = Record(namespace=checkpoint.namespace, checkpoint_id=checkpoint_id, notes=notes)
        self._records.setdefault(checkpoint_id, []).append(made)

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        await self.room()
        if superstep.events:
            self.append(lease, superstep.events)
        checkpoint = superstep.checkpoint
        self._supersteps.append(replace(superstep, events=()))
        self._forget(checkpoint.parent_id or "")
        self._bytes += sum(len(change.value) for change in superstep.changes)
        if len(self._supersteps) >= HELD_STEPS or self._bytes >= HELD_BYTES:
            await self.settle(lease)
        await asyncio.sleep(0)  # as above

    def _forget(self, checkpoint_id: str) -> None:
        """The superstep is over, and its notes; what was asked stays, for a fork to answer."""
        notes = [note for one in self._records.pop(checkpoint_id, ()) for note in one.notes]
        asked = [note for note in notes if note.kind == "interrupt"]
        if asked:
            namespace = self._supersteps[-1].checkpoint.namespace
            kept = Record(namespace=namespace, checkpoint_id=checkpoint_id, notes=asked)
            self._records[checkpoint_id] = [kept]

    async def settle(self, lease: Lease) -> None:
        self.flush()
        await super().settle(lease)

    def flush(self) -> None:
        if not self._supersteps and not self._records:
            return
        records = [record for records in self._records.values() for record in records]
        supersteps, self._supersteps, self._records = self._supersteps, [], {}
        self._bytes = 0
        self._handed_over = _watched(self.submit(self._lease, supersteps, records))


def _watched(done: asyncio.Future[None]) -> asyncio.Future[None]:
    """`done`, whose error is known even if nobody comes to ask: whoever waits next is told."""
    if done.done():
        done.exception()
    else:
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
    return done
