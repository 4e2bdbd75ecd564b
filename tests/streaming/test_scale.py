"""The hub with many runs, and with runs that are deleted while they are followed."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from runs.engine.ids import uuid7
from runs.models import Event, Run, Thread
from streaming.hub import hub, moved_runs, subscriber
from streaming.hub.hub import Hub
from streaming.hub.subscriber import UnknownRun
from tests.streaming.http import exchange, following, get, streams
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import PATIENCE, connected, until
from tests.streaming.test_hub import NEVER, follow


def create_runs(count: int) -> list[UUID]:
    """Runs whose log is `created`."""
    thread = Thread.objects.create()
    runs = [Run(id=uuid7(), thread=thread, workflow="steps", seq=1) for _ in range(count)]
    Run.objects.bulk_create(runs)
    Event.objects.bulk_create(
        Event(run=run, seq=1, name="created", ts=run.created_at) for run in runs
    )
    return [run.id for run in runs]


def delete(run_id: UUID) -> None:
    Run.objects.filter(id=run_id).delete()


async def test_moved_since_returns_moved_and_deleted_runs() -> None:
    still, moved, finished = await committed(create_runs, 3)
    await committed(append, moved, "started", "custom")
    await committed(append, finished, "completed")
    gone = uuid4()
    heads = {still: 1, moved: 2, finished: 1, gone: 7}
    assert await committed(moved_runs.moved_since, heads) == ({moved, finished}, {gone})
    assert await committed(moved_runs.moved_since, {still: 1}) == (set(), set())


async def test_thousands_of_watched_runs_cost_few_queries() -> None:
    runs = await committed(create_runs, 2000)
    own = Hub(slow_poll=NEVER)
    followers = [asyncio.create_task(follow(own, run_id, after=1)) for run_id in runs]
    async with asyncio.timeout(60):
        while own.live < 2000:
            await asyncio.sleep(0.01)
    before = own.log_reads
    for run_id in runs[::500]:
        await committed(append, run_id, "started")
    assert own.log_reads - before < 30  # a query for each 200 of them would be 10 a look
    for run_id in runs[::500]:
        await committed(append, run_id, "completed")
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*followers[::500]) == [[2, 3]] * 4
    for follower in followers:
        follower.cancel()
    await asyncio.wait(followers)
    await own.close()


@pytest.mark.parametrize("others", [0, hub.FEW_RUNS + 1])
async def test_deleting_a_run_closes_who_follows_it(others: int) -> None:
    run_id, *more = await committed(create_runs, 1 + others)
    waiting = [asyncio.create_task(follow(hub.current(), each)) for each in more]
    async with connected(f"/api/ws/{run_id}") as client:
        await client.receive_event("created")
        await until(lambda: hub.current().live == 1 + others, "all are live")
        await committed(delete, run_id)
        await client.drain()
        assert client.code == 4404
        assert hub.current().watching == others
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_deleting_a_run_ends_its_stream_and_the_next_is_refused() -> None:
    run_id = await committed(create_run)
    async with following(f"/api/runs/{run_id}/stream") as client:
        await until(lambda: hub.current().live, "it is live")
        await committed(delete, run_id)
        await until(lambda: client.complete, "it has ended")
    refused = await get(f"/api/runs/{run_id}/stream", last_event_id="1")
    assert (refused.status, refused.code) == (404, "unknown_run")


@pytest.mark.parametrize("end", ["wait", "events?after=1&wait=60"])
async def test_deleting_a_run_answers_who_waits_for_it(end: str) -> None:
    run_id = await committed(create_run)
    polling = asyncio.create_task(exchange(f"/api/runs/{run_id}/{end}").run(streams))
    await until(lambda: hub.current().live or hub.current().completions.waited_for, "it waits")
    await committed(delete, run_id)
    answer = await polling
    assert (answer.status, answer.code) == (404, "unknown_run")


async def test_deleting_a_finished_run_while_it_is_read_is_not_its_end() -> None:
    names = ["custom"] * (subscriber.PAGE_FRAMES + 10)
    run_id = await committed(create_run, *names, "completed")
    async with hub.current().subscribe(run_id) as reading:
        assert await reading.next()
        await committed(delete, run_id)
        with pytest.raises(UnknownRun):
            await reading.next()


async def test_subscribers_that_share_a_quota_give_it_back() -> None:
    first, second = await committed(create_runs, 2)
    quota = subscriber.Quota(frames=5, size=100_000)
    own = Hub()
    for turn in range(4):
        async with (
            own.subscribe(first, after=1 + 3 * turn, quota=quota) as one,
            own.subscribe(second, after=1 + 4 * turn, quota=quota) as two,
        ):
            waiting = [asyncio.create_task(each.next()) for each in (one, two)]
            await until(lambda: own.live == 2, "both are live")
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            await committed(append, first, *["custom"] * 3)
            await committed(append, second, "custom")
            await until(lambda one=one, two=two: one.waiting + two.waiting == 4, "frames wait")
            await committed(append, second, *["custom"] * 3)
            await until(lambda two=two: two.waiting == 0, "there was no room for all")
            assert one.waiting == 3
        over = []
        for taken in (5, 1, -6):
            quota.take(taken, 0)
            over.append(quota.overfull)
        assert over == [False, True, False]
    await own.close()
