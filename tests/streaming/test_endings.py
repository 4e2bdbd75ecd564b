"""Waiting for the end of runs: told once, to everybody, and without reading what happens before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError

from runs.models import Run
from streaming.hub import Hub, current
from streaming.listening.listeners import OnChange
from streaming.reader import Closed
from streaming.subscriber import UnknownRun
from tests.streaming.http import get
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import until
from tests.streaming.test_hub import NEVER


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """One that looks often, as nothing rings."""
    hub = Hub([], slow_poll=0.01)
    yield hub
    await hub.close()


async def ended(hub: Hub, run_id: UUID) -> None:
    with hub.endings.awaited(run_id) as end:
        await end


def waits(hub: Hub, run_id: UUID) -> asyncio.Task[None]:
    return asyncio.create_task(ended(hub, run_id))


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_all_who_wait_for_a_run_are_told_of_its_end(hub: Hub, end: str) -> None:
    mine, other = await committed(create_run), await committed(create_run)
    told = [waits(hub, mine), waits(hub, mine)]
    untold = waits(hub, other)
    await committed(append, mine, "started", "custom")
    await until(lambda: hub.endings.looks > 3, "it looks")
    assert not any(task.done() for task in told)
    await committed(append, mine, end)
    await asyncio.gather(*told)
    assert not untold.done()
    assert hub.endings.waited_for == 1
    untold.cancel()


async def test_no_event_is_read_for_them(hub: Hub) -> None:
    run_id = await committed(create_run)
    told = waits(hub, run_id)
    await committed(append, run_id, *["custom"] * 100)
    await committed(append, run_id, "completed")
    await told
    assert (hub.log_reads, hub.page_reads) == (0, 0)


async def test_a_run_that_has_ended_is_told_at_once() -> None:
    hub = Hub([], slow_poll=NEVER)
    await ended(hub, await committed(create_run, "started", "completed"))
    await hub.close()


async def test_a_run_that_is_deleted_is_told_as_that(hub: Hub) -> None:
    run_id = await committed(create_run)
    told = waits(hub, run_id)
    await until(lambda: hub.endings.looks, "it looks")
    await committed(Run.objects.filter(id=run_id).delete)
    with pytest.raises(UnknownRun):
        await told
    with pytest.raises(UnknownRun):
        await ended(hub, uuid4())


async def test_nobody_who_waits_means_no_look(hub: Hub) -> None:
    run_id = await committed(create_run)
    first, second = waits(hub, run_id), waits(hub, run_id)
    await until(lambda: hub.endings.looks, "it looks")
    first.cancel()
    await asyncio.wait([first])
    assert hub.endings.waited_for == 1
    second.cancel()
    await asyncio.wait([second])
    assert hub.endings.waited_for == 0
    await until(lambda: not _looks(), "it has stopped to look")


def _looks() -> list[str]:
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    names = [getattr(coroutine, "__qualname__", "") for coroutine in coroutines]
    return [name for name in names if name.startswith("Lookout.")]


async def test_a_hub_that_hangs_up_lets_them_go(hub: Hub) -> None:
    run_id = await committed(create_run)
    told = waits(hub, run_id)
    await until(lambda: hub.endings.looks, "it looks")
    hub.hang_up()
    with pytest.raises(Closed):
        await told
    with pytest.raises(Closed):
        await ended(hub, run_id)


class ManualListener:
    """A listener; `notify` is there once it runs."""

    def __init__(self) -> None:
        self.notify: OnChange | None = None

    async def listen(self, on_change: OnChange) -> None:
        self.notify = on_change
        await asyncio.Event().wait()


async def test_only_a_ring_after_which_a_run_may_have_ended_causes_a_look() -> None:
    listener = ManualListener()
    hub = Hub([listener], slow_poll=NEVER)
    run_id = await committed(create_run)
    told = waits(hub, run_id)
    await until(lambda: listener.notify and hub.endings.looks == 1, "it listens, and has looked")
    assert listener.notify is not None
    await committed(append, run_id, "started", "completed")
    listener.notify(ended=False)
    await hub.read(lambda: None)  # whoever was woken by that has had its turn
    assert hub.endings.looks == 1
    listener.notify()
    await told
    assert hub.endings.looks == 2
    await hub.close()


async def test_a_database_that_is_away_is_a_503_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("the database is away")

    run_id = await committed(create_run)
    monkeypatch.setattr("streaming.endpoint.OPENING", 0.1)
    monkeypatch.setattr("streaming.long_poll._described", away)
    refused = await get(f"/api/runs/{run_id}/wait?timeout=60")
    assert (refused.status, refused.code) == (503, "database_unavailable")


async def test_a_server_that_has_stopped_waits_for_nothing() -> None:
    run_id = await committed(create_run)
    current().hang_up()
    refused = await get(f"/api/runs/{run_id}/wait?timeout=60")
    assert (refused.status, refused.code) == (503, "database_unavailable")
    assert (await get(f"/api/runs/{run_id}/wait?timeout=0")).status == 200
