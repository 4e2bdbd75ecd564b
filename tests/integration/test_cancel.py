"""Cancelling a run: in every status, in every kind of node, and at every fault point."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import Context, SyncContext, faults, interrupt
from runs.engine.ids import uuid7
from runs.errors import Problem
from runs.lifecycle import cancellation
from runs.models import Event, Run, RunStatus
from runs.operations.cancel import cancel_run
from runs.scheduling import claims, recovery
from tests.integration.chain import Start, State, add, in_thread, names
from tests.support.processes import wait_until
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def drain(settings: Settings) -> Callable[..., None]:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02, "cancel_seconds": 0.3}
    return run_pending


def assert_cancelled(run: Run, *, by: str = "ann", reason: str = "enough") -> None:
    run.refresh_from_db()
    assert run.status == "cancelled", run.error
    assert (run.lease_owner, run.lease_expires_at, run.wake_at) == (None, None, None)
    assert run.finished_at is not None and run.cancel_requested_at is not None
    last = Event.objects.filter(run=run).latest("seq")
    assert (last.name, last.seq, last.decoded) == (
        "cancelled",
        run.seq,
        {"reason": reason, "by": by},
    )
    assert names(run).count("cancelled") == 1


def cancel(run: Run) -> Run:
    return cancel_run(run.id, by="ann", reason="enough")


@pytest.mark.parametrize(
    "status", [RunStatus.PENDING, RunStatus.SLEEPING, RunStatus.INTERRUPTED], ids=str
)
def test_what_nobody_executes_ends_at_once(start: Start, status: RunStatus) -> None:
    run = start(add)
    Run.objects.filter(id=run.id).update(status=status, wake_at=timezone.now())
    assert cancel(run).status == "cancelled"
    assert_cancelled(run)
    assert names(run) == ["created", "cancelled"]
    before = run.cancel_requested_at
    assert cancel_run(run.id, by="bob", reason="again").status == "cancelled"
    assert_cancelled(run)
    assert run.cancel_requested_at == before


def test_what_has_ended_otherwise_cannot_be_cancelled(
    start: Start, drain: Callable[..., None]
) -> None:
    run = start(add)
    drain()
    with pytest.raises(Problem) as refused:
        cancel(run)
    assert (refused.value.status, refused.value.code) == (409, "already_ended")
    assert names(run)[-1] == "completed"
    with pytest.raises(Problem) as refused:
        cancel_run(uuid7())
    assert refused.value.status == 404


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no locks of rows")
def test_nothing_is_stopped_before_it_is_on_record_that_its_worker_knows(start: Start) -> None:
    run, worker = start(add), uuid7()
    held = {"status": RunStatus.RUNNING, "lease_owner": worker}
    Run.objects.filter(id=run.id).update(**held, cancel_requested_at=timezone.now())
    with transaction.atomic():
        Run.objects.select_for_update().get(id=run.id)
        told: list[list[str]] = []
        in_thread(lambda: told.append(cancellation.acknowledge(worker, timezone.now())))
        assert told == [[]], "somebody else has locked it"
    for _ in range(2):
        assert cancellation.acknowledge(worker, timezone.now()) == [str(run.id)]
        run.refresh_from_db()
        assert run.cancel_acknowledged_at is not None


def test_an_async_node_gets_cancelled_error(start: Start, drain: Callable[..., None]) -> None:
    seen: list[str] = []

    async def waits(state: State) -> None:
        in_thread(lambda: cancel(run))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def never(state: State) -> None:
        seen.append("went on")

    run = start(add, waits, never)
    drain()
    assert seen == ["cancelled"]
    assert_cancelled(run)
    assert run.cancel_acknowledged_at is not None
    assert run.step == 1  # what was kept stays
    assert names(run)[-2:] == ["node_started", "cancelled"]


def test_a_sync_node_sees_it(start: Start, drain: Callable[..., None]) -> None:
    seen: list[str] = []

    def loops(state: State, ctx: SyncContext) -> None:
        in_thread(lambda: cancel(run))
        wait_until("the node is told", lambda: ctx.cancelled, 10)
        with suppress(RuntimeError):  # the loop may be gone already
            ctx.emit("too late")
        seen.append("stopped")

    run = start(loops)
    drain()
    assert_cancelled(run)
    assert seen == ["stopped"]
    assert "custom" not in names(run)


def test_a_durable_step_and_a_sleep_stop_too(start: Start, drain: Callable[..., None]) -> None:
    async def steps(state: State, ctx: Context) -> None:
        await ctx.step("first", lambda: in_thread(lambda: cancel(run)))
        await ctx.step("second", asyncio.sleep, 60)

    run = start(steps)
    drain()
    assert_cancelled(run)


def test_it_takes_the_place_of_any_other_end(start: Start, drain: Callable[..., None]) -> None:
    """The node ends before its worker looks: the superstep is kept, and nothing follows it."""

    async def quick(state: State) -> State:
        in_thread(lambda: cancel(run))
        return {"n": 7}

    async def asks(state: State) -> None:
        in_thread(lambda: cancel(run))
        interrupt("sure?")

    async def fails(state: State) -> None:
        in_thread(lambda: cancel(run))
        raise ValueError("no")

    for node, last in (
        (quick, ["node_update", "checkpoint", "cancelled"]),
        (asks, ["node_started", "cancelled"]),
        (fails, ["node_started", "cancelled"]),
    ):
        run = start(node, add)
        drain()
        assert_cancelled(run)
        assert names(run)[-len(last) :] == last
        assert run.step == (1 if node is quick else 0)
        assert run.checkpoint_id is not None


@pytest.mark.parametrize("kind", ["swallows", "blocks", "sync"])
def test_a_node_that_does_not_stop_costs_its_worker_and_no_other_run(
    start: Start, drain: Callable[..., None], kind: str
) -> None:
    ended = threading.Event()

    async def swallows(state: State) -> None:
        in_thread(lambda: cancel(run))
        while not ended.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0)

    async def blocks(state: State) -> None:
        in_thread(lambda: cancel(run))
        ended.wait(20)

    def sync(state: State) -> None:
        in_thread(lambda: cancel(run))
        ended.wait(20)

    async def neighbour(state: State) -> None:
        beside.set()
        await asyncio.sleep(60)

    beside = threading.Event()
    other = start(neighbour)
    workflows.register("beside", workflows.get("chain").graph, input_schema={"type": "object"})
    Run.objects.filter(id=other.id).update(workflow="beside", priority=1)
    run = start({"swallows": swallows, "blocks": blocks, "sync": sync}[kind])
    states: list[tuple[str, str]] = []

    def abandon() -> None:
        # the process would end here: what it leaves behind is what counts
        if ended.is_set():
            return
        for one in (run, other):
            one.refresh_from_db()
        states.append((run.status, other.status))
        Run.objects.filter(id=other.id).update(status="cancelled")
        ended.set()

    drain(abandon=abandon)
    assert states == [("cancelled", "pending")]
    assert_cancelled(run)
    other.refresh_from_db()
    assert (other.lease_owner, other.crashes) == (None, 0)


def test_the_sweep_ends_what_lost_its_worker(start: Start) -> None:
    run = start(add)
    claims.claim(uuid7(), 1)
    assert cancel(run).status == "running"
    now = timezone.now()
    assert recovery.sweep(now).cancelled == 0
    swept = recovery.sweep(now + timedelta(minutes=1))
    assert (swept.cancelled, swept.recovered) == (1, 0)
    assert_cancelled(run)
    assert names(run) == ["created", "started", "cancelled"]


def test_the_sweep_fences_who_does_not_heed(start: Start, settings: Settings) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "cancel_seconds": 2.0, "lease_seconds": 60.0}
    run = start(add)
    claims.claim(uuid7(), 1)
    cancel(run)
    now = timezone.now()
    assert recovery.sweep(now + timedelta(seconds=1)).cancelled == 0
    assert recovery.sweep(now + timedelta(seconds=3)).cancelled == 1
    assert_cancelled(run)


@pytest.mark.parametrize(
    "point", ["after_claim", "before_commit", "after_commit", "before_finish", "after_finish"]
)
def test_cancelled_at_a_fault_point(start: Start, drain: Callable[..., None], point: str) -> None:
    def once() -> None:
        faults.disarm()
        in_thread(too_late_or_not)

    def too_late_or_not() -> None:
        with suppress(Problem):
            cancel(run)

    run = start(add)
    faults.arm(point, once)
    try:
        drain()
    finally:
        faults.disarm()
    run.refresh_from_db()
    if point == "after_finish":  # it had ended before
        assert (run.status, run.cancel_requested_at) == ("completed", None)
    else:
        assert_cancelled(run)


def test_over_http(api: APIClient, start: Start) -> None:
    run = start(add)
    claims.claim(uuid7(), 1)
    answer = api.post(f"/api/runs/{run.id}/cancel", {"reason": "too dear"})
    assert answer.status_code == 202
    said = answer.json()
    assert said["status"] == "running"
    assert (said["cancel"]["by"], said["cancel"]["reason"]) == ("local", "too dear")
    assert said["cancel"]["acknowledged_at"] is None
    recovery.sweep(timezone.now() + timedelta(minutes=1))
    again = api.post(f"/api/runs/{run.id}/cancel/")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    assert_cancelled(run, by="local", reason="too dear")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({"reason": 3}, 422, "invalid"), ({"why": ""}, 422, "invalid"), ([], 422, "invalid")],
    ids=["kind", "field", "list"],
)
def test_bad_requests_change_nothing(
    api: APIClient, start: Start, body: Any, status: int, code: str
) -> None:
    run = start(add)
    answer = api.post(f"/api/runs/{run.id}/cancel", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    run.refresh_from_db()
    assert run.status == "pending"
    assert api.post("/api/runs/x/cancel").status_code == 404
    assert api.post(f"/api/runs/{uuid4()}/cancel").status_code == 404


def test_from_the_command_line(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(add)
    call_command("cancel_run", str(run.id), "--reason", "by hand")
    assert "is cancelled" in capsys.readouterr().out
    run.refresh_from_db()
    assert (run.status, run.cancel_reason) == ("cancelled", "by hand")


def test_from_the_admin(start: Start) -> None:
    run = start(add)
    form = {"action": "cancel", "_selected_action": [str(run.id)]}
    answer = Client().post("/admin/runs/run/", form, follow=True)
    assert "1 cancelled" in answer.content.decode()
    assert_cancelled(run, by="local", reason="from the admin")


def test_no_run_is_cancelled_late(start: Start, drain: Callable[..., None]) -> None:
    """A worker with runs that nobody cancels leaves them alone."""
    begun = time.monotonic()

    async def waits(state: State) -> None:
        while time.monotonic() < begun + 0.6:
            await asyncio.sleep(0.01)

    run = start(waits)
    drain()
    run.refresh_from_db()
    assert (run.status, run.cancel_acknowledged_at) == ("completed", None)
