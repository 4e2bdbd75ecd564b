"""`/api/ws/`: the changes of runs, as lists of runs show them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.db import transaction
from django.utils import timezone

from runs.models import DeletedRun, Run, Thread
from runs.operations import tombstones
from runs.queries.summaries import COLUMNS, summarise, timestamp
from streaming.hub import hub, run_feed
from tests.streaming.journal_rows import append, append_elsewhere, committed, create_run
from tests.streaming.sockets import PATIENCE, Client, connected

READY = {"event": "ready", "protocol": 1}


def summary(run_id: UUID) -> dict[str, Any]:
    return summarise(Run.objects.values(*COLUMNS).get(id=run_id))


async def change_of(client: Client, run_id: UUID, status: str) -> dict[str, Any]:
    """The next change that says that the run has this status; others are received, too."""
    while True:
        data: dict[str, Any] = (await client.receive())["data"]
        if (data["run_id"], data["status"]) == (str(run_id), status):
            return data


async def test_the_first_frame_is_ready() -> None:
    await committed(create_run, "completed")  # there before: no news
    async with connected("/api/ws/") as client:
        assert await client.receive() == READY
        run_id = await committed(create_run)
        assert (await client.receive())["data"]["run_id"] == str(run_id)


@pytest.mark.processes
async def test_it_tells_each_change_of_status_and_step() -> None:
    async with connected("/api/ws") as client:
        await client.receive_event("ready")
        run_id = await committed(create_run)
        assert (await change_of(client, run_id, "pending"))["step"] == 0
        await committed(append, run_id, "started")
        await change_of(client, run_id, "running")
        await committed(append, run_id, "checkpoint")
        assert (await change_of(client, run_id, "running"))["step"] == 1
        await append_elsewhere(run_id, "completed")
        assert await change_of(client, run_id, "completed") == await committed(summary, run_id)


async def test_events_that_change_neither_are_not_sent() -> None:
    async with connected("/api/ws/") as client:
        await client.receive_event("ready")
        run_id = await committed(create_run, "started")
        await change_of(client, run_id, "running")
        await committed(append, run_id, "custom", "custom")
        await committed(append, run_id, "completed")
        assert (await client.receive())["data"]["status"] == "completed"


async def test_pause_and_cancel_request_are_sent() -> None:
    async with connected("/api/ws/") as client:
        await client.receive_event("ready")
        run_id = await committed(create_run, "started")
        await change_of(client, run_id, "running")
        for column in ("paused_at", "cancel_requested_at"):
            now = timezone.now()
            change = {column: now, "updated_at": now}
            await committed(Run.objects.filter(id=run_id).update, **change)
            news = await change_of(client, run_id, "running")
            assert news["updated_at"] == timestamp(now)


async def test_a_summary_has_no_payload_and_no_traceback() -> None:
    short = {"type": "ValueError", "message": "no", "node": "parse", "namespace": "sub:1"}
    error = short | {"traceback": "Traceback …"}
    run_id = await committed(create_run, "failed")
    await committed(Run.objects.filter(id=run_id).update, error=error, payload={"input": "secret"})
    sent = await committed(summary, run_id)
    assert sent["error"] == short
    assert "secret" not in orjson.dumps(sent).decode()
    assert sent == summarise(await committed(Run.objects.get, id=run_id))


async def test_the_workflow_filter_leaves_out_other_workflows() -> None:
    async with connected("/api/ws/?workflow=tokens") as client:
        await client.receive_event("ready")
        await committed(create_run, "completed", workflow="steps")
        matching = await committed(create_run, "completed", workflow="tokens")
        assert (await client.receive())["data"]["run_id"] == str(matching)


async def test_a_run_that_leaves_the_status_filter_is_sent_once_more() -> None:
    listed = await committed(create_run, "started")  # on the client's list before it connects
    async with connected("/api/ws/?status=running") as client:
        await client.receive_event("ready")
        await committed(append, listed, "completed")
        await change_of(client, listed, "completed")
        never_running = await committed(create_run, "completed")
        later = await committed(create_run, "started")
        data = (await client.receive())["data"]
        assert data["run_id"] == str(later) != str(never_running)
        await committed(append, later, "failed")
        await change_of(client, later, "failed")


@pytest.mark.parametrize("query", ["", "status=running", "workflow=steps"])
async def test_a_deleted_run_is_announced_once(query: str) -> None:
    before = await committed(create_run, "completed")
    await committed(Thread.objects.filter(runs=before).delete)  # there before: no news
    gone, other = await committed(create_run, "completed"), await committed(create_run)
    async with connected(f"/api/ws/?{query}") as client:
        await client.receive_event("ready")
        await committed(Thread.objects.filter(runs=gone).delete)
        assert await client.receive() == {"event": "deleted", "run_id": str(gone)}
        await committed(append, other, "started")
        assert (await change_of(client, other, "running"))["run_id"] == str(other)


async def test_deletions_pass_the_filters_of_workflow_and_thread() -> None:
    gone, matching = await committed(create_run), await committed(create_run)
    thread = (await committed(Run.objects.get, id=matching)).thread_id
    async with connected(f"/api/ws/?thread={thread}") as client:
        await client.receive_event("ready")
        await committed(Run.objects.filter(id=gone).delete)
        await committed(Run.objects.filter(id=matching).delete)
        assert await client.receive() == {"event": "deleted", "run_id": str(matching)}


async def test_a_run_that_changed_and_was_deleted_between_two_looks_is_deleted() -> None:
    run_id = await committed(create_run)

    def change_and_delete() -> None:
        with transaction.atomic():
            append(run_id, "started")
            Run.objects.filter(id=run_id).delete()

    async with connected("/api/ws/") as client:
        await client.receive_event("ready")
        await committed(change_and_delete)
        assert await client.receive() == {"event": "deleted", "run_id": str(run_id)}


async def test_old_tombstones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = await committed(create_run), await committed(create_run)
    await committed(Run.objects.filter(id=old).delete)
    long_ago = timezone.now() - tombstones.KEPT - timedelta(seconds=1)
    await committed(DeletedRun.objects.filter(id=old).update, deleted_at=long_ago)
    monkeypatch.setattr(tombstones, "FORGET_EVERY", 0.0)
    await committed(Run.objects.filter(id=new).delete)
    assert await committed(lambda: [each.id for each in DeletedRun.objects.all()]) == [new]


@pytest.mark.parametrize(
    "query",
    ["status=done", "status=running,x", "status=a&status=b", "state=running", "status=" + "é" * 99],
)
async def test_an_address_that_is_not_understood_is_closed_with_4400(query: str) -> None:
    async with connected(f"/api/ws/?{query}") as client:
        await client.drain()
    assert client.code == 4400


@pytest.mark.parametrize(("seconds", "far_every"), [(1, 3600.0), (30, 0.0)])
async def test_a_commit_that_becomes_visible_late_is_sent(
    seconds: int, far_every: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is before that of a change that was sent already: a little in every look, more in
    some."""
    monkeypatch.setattr(run_feed, "FAR_EVERY_SECONDS", far_every)
    late = await committed(create_run)
    async with connected("/api/ws/") as client:
        await client.receive_event("ready")
        newer = await committed(create_run, "started")
        await change_of(client, newer, "running")
        earlier = timezone.now() - timedelta(seconds=seconds)
        changes = {"status": "running", "updated_at": earlier}
        await committed(Run.objects.filter(id=late).update, **changes)
        await change_of(client, late, "running")


async def test_host_with_a_fast_clock_hides_no_other_runs() -> None:
    future = await committed(create_run)
    async with connected("/api/ws/") as client:
        await client.receive_event("ready")
        in_an_hour = timezone.now() + timedelta(hours=1)
        changes = {"status": "running", "updated_at": in_an_hour}
        await committed(Run.objects.filter(id=future).update, **changes)
        await change_of(client, future, "running")
        other = await committed(create_run, "started")
        await change_of(client, other, "running")


async def test_one_that_does_not_read_is_closed_with_1013(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_feed, "MAX_WAITING_RUNS", 3)
    async with hub.current().feed.subscribe() as lagging, asyncio.timeout(PATIENCE):
        async with hub.current().feed.subscribe() as other:
            for _ in range(5):
                run_id = await committed(create_run)
                while str(run_id).encode() not in b"".join(await other.next()):
                    pass
        with pytest.raises(run_feed.SubscriberTooSlow):
            await lagging.next()


async def test_a_feed_without_subscribers_looks_at_nothing() -> None:
    async with connected("/api/ws/") as client:
        await client.receive_event("ready")
    async with asyncio.timeout(PATIENCE):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.005)
