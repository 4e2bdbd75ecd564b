"""Every journal keeps every promise: in memory, and in the database under test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from runs.engine.errors import Fenced
from runs.models import RunStatus
from tests.contract.builders import checkpoint, custom, full, superstep
from tests.contract.journal_spec import SPEC, names
from tests.contract.worlds import DurableWorld, MemoryWorld, World

Promise = Callable[[World], Awaitable[None]]


def name_of(promise: Promise) -> str:
    return str(getattr(promise, "__name__", promise))


@pytest.fixture
def durable(transactional_db: None) -> Iterator[DurableWorld]:
    world = DurableWorld()
    yield world
    world.journal.close()


@pytest.mark.parametrize("promise", SPEC, ids=name_of)
async def test_in_memory(promise: Promise) -> None:
    await promise(MemoryWorld())


@pytest.mark.parametrize("promise", SPEC, ids=name_of)
async def test_in_the_database(promise: Promise, durable: DurableWorld) -> None:
    await promise(durable)


@pytest.mark.parametrize("status", [s for s in RunStatus if s != RunStatus.RUNNING])
async def test_a_run_that_is_not_running_takes_nothing(
    durable: DurableWorld, status: RunStatus
) -> None:
    lease = await durable.run()
    await durable.journal.commit(lease, superstep(checkpoint(lease)))
    await durable.set_status(lease, status)
    durable.journal.append(lease, [custom("late")])
    with pytest.raises(Fenced):
        await durable.journal.settle(lease)
    assert await names(durable, lease) == [None]


async def test_a_value_that_cannot_be_written_fails_its_own_run_only(
    durable: DurableWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = await durable.run(), await durable.run()

    async def commit(lease: Any, value: Any) -> None:
        version = checkpoint(lease).checkpoint_id
        made = checkpoint(lease, versions={"x": version})
        change = full("x", version if lease is good else "not an id", value)
        await durable.journal.commit(lease, superstep(made, [change]))

    results = await asyncio.gather(commit(good, 1), commit(bad, 2), return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], ValueError)
    assert await durable.journal.load(bad.thread_id) is None
    assert await durable.journal.load(good.thread_id) is not None
    await durable.journal.commit(bad, superstep(checkpoint(bad)))


async def test_an_event_that_cannot_be_written_is_told_to_the_next_who_waits(
    durable: DurableWorld,
) -> None:
    lease = await durable.run()
    durable.journal.append(lease, [custom("first"), custom("x", task_id="not an id")])
    with pytest.raises(ValueError, match="UUID"):
        await durable.journal.commit(lease, superstep(checkpoint(lease)))
    assert await names(durable, lease) == []
