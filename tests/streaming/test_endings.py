"""Waiting for the end of runs: every waiter is notified once, and no earlier event is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError

from runs.models import Run
from streaming.hub.hub import Hub, current
from streaming.hub.reader import Closed
from streaming.hub.subscriber import UnknownRun
from streaming.listening.listeners import OnChange
from tests.streaming.http import get
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import until
from tests.streaming.test_hub import NEVER


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """It looks often, as it gets no notifications."""
    hub = Hub([], slow_poll=0.01)
    yield hub
    await hub.close()


async def ended(hub: Hub, run_id: UUID) -> None:
    with hub.completions.wait_for(run_id) as end:
        await end


def waits(hub: Hub, run_id: UUID) -> asyncio.Task[None]:
    return asyncio.create_task(ended(hub, run_id))


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_run_end_resolves_all_waits_for_it(hub: Hub, end: str) -> None:
    mine, other = await committed(create_run), await committed(create_run)
    mine_waiting = [waits(hub, mine), waits(hub, mine)]
    unresolved = waits(hub, other)
    await committed(append, mine, "started", "custom")
    await until(lambda: hub.completions.looks > 3, "it looks")
    assert not any(task.done() for task in mine_waiting)
    await committed(append, mine, end)
    await asyncio.gather(*mine_waiting)
    assert not unresolved.done()
    assert hub.completions.waited_for == 1
    unresolved.cancel()


async def test_no_event_is_read_for_them(hub: Hub) -> None:
    run_id = await committed(create_run)
    waiting = waits(hub, run_id)
    await committed(append, run_id, *["custom"] * 100)
    await committed(append, run_id, "completed")
    await waiting
    assert (hub.log_reads, hub.page_reads) == (0, 0)


async def test_ended_run_resolves_at_once() -> None:
    hub = Hub([], slow_poll=NEVER)
    await ended(hub, await committed(create_run, "started", "completed"))
    await hub.close()


async def test_deleted_run_is_unknown(hub: Hub) -> None:
    run_id = await committed(create_run)
    waiting = waits(hub, run_id)
    await until(lambda: hub.completions.looks, "it looks")
    await committed(Run.objects.filter(id=run_id).delete)
    with pytest.raises(UnknownRun):
        await waiting
    with pytest.raises(UnknownRun):
        await ended(hub, uuid4())


async def test_nobody_who_waits_means_no_look(hub: Hub) -> None:
    run_id = await committed(create_run)
    first, second = waits(hub, run_id), waits(hub, run_id)
    await until(lambda: hub.completions.looks, "it looks")
    first.cancel()
    await asyncio.wait([first])
    assert hub.completions.waited_for == 1
    second.cancel()
    await asyncio.wait([second])
    assert hub.completions.waited_for == 0
    await until(lambda: not _looks(), "it has stopped to look")


def _looks() -> list[str]:
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    names = [getattr(coroutine, "__qualname__", "") for coroutine in coroutines]
    return [name for name in names if name.startswith("Poller.")]


async def test_disconnect_all_ends_waits_with_closed(hub: Hub) -> None:
    run_id = await committed(create_run)
    waiting = waits(hub, run_id)
    await until(lambda: hub.completions.looks, "it looks")
    hub.disconnect_all()
    with pytest.raises(Closed):
        await waiting
    with pytest.raises(Closed):
        await ended(hub, run_id)


class ManualListener:
    """A listener; `notify` is there once it runs."""

    def __init__(self) -> None:
        self.notify: OnChange | None = None

    async def listen(self, on_change: OnChange) -> None:
        self.notify = on_change
        await asyncio.Event().wait()


async def test_only_notification_of_a_possible_end_causes_a_look() -> None:
    listener = ManualListener()
    hub = Hub([listener], slow_poll=NEVER)
    run_id = await committed(create_run)
    waiting = waits(hub, run_id)
    await until(
        lambda: listener.notify and hub.completions.looks == 1, "it listens, and has looked"
    )
    assert listener.notify is not None
    await committed(append, run_id, "started", "completed")
    listener.notify(ended=False)
    await hub.read(lambda: None)  # whoever was woken by that has had its turn
    assert hub.completions.looks == 1
    listener.notify()
    await waiting
    assert hub.completions.looks == 2
    await hub.close()


async def test_a_database_that_is_away_is_a_503_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("the database is away")

    run_id = await committed(create_run)
    monkeypatch.setattr("streaming.http.endpoint.OPENING", 0.1)
    monkeypatch.setattr("streaming.http.long_poll._run_detail", away)
    refused = await get(f"/api/runs/{run_id}/wait?timeout=60")
    assert (refused.status, refused.code) == (503, "database_unavailable")


async def test_a_server_that_has_stopped_waits_for_nothing() -> None:
    run_id = await committed(create_run)
    current().disconnect_all()
    refused = await get(f"/api/runs/{run_id}/wait?timeout=60")
    assert (refused.status, refused.code) == (503, "database_unavailable")
    assert (await get(f"/api/runs/{run_id}/wait?timeout=0")).status == 200
