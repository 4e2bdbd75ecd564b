"""Every journal keeps every promise: in memory, and in the database under test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DataError

from runs.engine.errors import Fenced
from runs.models import RunStatus
from tests.contract.builders import checkpoint, custom, full, superstep
from tests.contract.journal_spec import SPEC
from tests.contract.journal_spec.promises import Promise, names
from tests.contract.worlds import DurableWorld, MemoryWorld

#: By us, or by the database.
REFUSED = (ValueError, DataError)


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
    assert isinstance(results[1], REFUSED)
    assert await durable.journal.load(bad.thread_id) is None
    assert await durable.journal.load(good.thread_id) is not None
    await durable.journal.commit(bad, superstep(checkpoint(bad)))


async def test_an_event_that_cannot_be_written_is_told_to_the_next_who_waits(
    durable: DurableWorld,
) -> None:
    lease = await durable.run()
    durable.journal.append(lease, [custom("first"), custom("x", task_id="not an id")])
    with pytest.raises(REFUSED, match="not an id"):
        await durable.journal.commit(lease, superstep(checkpoint(lease)))
    assert await names(durable, lease) == []


async def test_nothing_comes_after_a_superstep_that_could_not_be_written(
    durable: DurableWorld,
) -> None:
    """Of a run that does not wait for each: no hole in what is kept, and it can end as failed."""
    lease = await durable.run()
    bad = checkpoint(lease, versions={"x": "not an id"})
    done = [durable.journal.submit(lease, [superstep(bad, [full("x", "not an id", 1)])])]
    await asyncio.wait(done)
    done += [durable.journal.submit(lease, [superstep(checkpoint(lease, step))]) for step in (1, 2)]
    await asyncio.wait(done)
    assert all(isinstance(one.exception(), REFUSED) for one in done)
    with pytest.raises(REFUSED, match="not an id"):
        await durable.journal.settle(lease)
    await durable.journal.settle(lease)
    assert await names(durable, lease) == []
    assert await durable.journal.load(lease.thread_id) is None
