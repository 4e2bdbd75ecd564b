"""Who may execute a run: claims, and what becomes of them when a worker goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connections
from django.utils import timezone
from pytest_django import Settings

from runs.engine import START, StateGraph
from runs.engine.ids import uuid7
from runs.models import Run
from runs.process import stop_request
from runs.process.shared_flag import Flag
from runs.scheduling import claimable, claims, leases, recovery
from runs.worker.worker import Worker as RunsWorker
from tests.integration.counting import Count, Register, add, counting, log, pending, result
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


def test_claims_go_by_priority_then_age() -> None:
    runs = [pending("x") for _ in range(3)]
    Run.objects.filter(id=runs[2].id).update(priority=1)
    worker: UUID = uuid7()
    order = [UUID(claims.claim(worker, 1)[0].lease.run_id) for _ in range(3)]
    assert order == [runs[2].id, runs[0].id, runs[1].id]
    assert claims.claim(worker, 1) == []
    assert leases.in_flight() == {worker: 3}


def test_suspects_are_claimed_apart_from_the_others(settings: Settings) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "max_attempts": 3}
    runs = [pending("x") for _ in range(5)]
    Run.objects.filter(id__in=[runs[0].id, runs[2].id]).update(crashes=2)
    Run.objects.filter(id=runs[3].id).update(crashes=1)
    found = claims.claim(uuid7(), 10)
    assert [(c.lease.run_id, c.lease.apart) for c in found] == [
        (str(run.id), False) for run in (runs[1], runs[3], runs[4])
    ]
    assert (claimable.any_pending(), claimable.any_pending(apart=True)) == (False, True)
    for run in (runs[0], runs[2]):
        (alone,) = claims.claim(uuid7(), 1, apart=True)
        assert (alone.lease.run_id, alone.lease.apart) == (str(run.id), True)
    assert not claimable.any_pending(apart=True)


def test_a_suspect_is_one_of_the_others_again_with_its_next_superstep(
    register: Register, drain: Callable[[], None]
) -> None:
    run = pending(register(counting()))
    Run.objects.filter(id=run.id).update(crashes=2, attempt=2, pending_reason="lost")
    drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("pending", 2), "it is not for those"
    run_pending(apart=True)
    run.refresh_from_db()
    assert (run.status, run.attempt, run.lease_owner) == ("pending", 3, None)
    # The first that counts comes after the input's.
    assert (run.crashes, run.step) == (0, 1)
    drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("completed", 4)
    assert result(run) == {"n": 3, "done": [0, 1, 2]}
    told = [name for _, name, _ in log(run)]
    names = ("recovered", "resumed", "checkpoint", "completed")
    assert [told.count(name) for name in names] == [1, 1, 4, 1]


@pytest.mark.parametrize("durability", ["async", "exit"])
def test_a_suspect_that_is_ahead_of_its_journal_stays_where_it_is(
    register: Register, durability: str
) -> None:
    """Or another process would be at the node that it is at already."""
    run = pending(register(counting()))
    Run.objects.filter(id=run.id).update(crashes=2, attempt=2, durability=durability)
    run_pending(apart=True)
    run.refresh_from_db()
    assert (run.status, run.attempt, run.crashes) == ("completed", 3, 0)


def test_a_run_whose_worker_died_goes_on(register: Register, drain: Callable[[], None]) -> None:
    run = pending(register(counting()))
    assert len(claims.claim(uuid7(), 10)) == 1  # by a worker that is never heard of again
    recovery.sweep(timezone.now())
    run.refresh_from_db()
    assert run.status == "running"
    recovery.sweep(timezone.now() + timedelta(minutes=1))
    drain()
    run.refresh_from_db()
    assert (run.status, run.attempt, run.crashes) == ("completed", 2, 0)
    assert [name for _, name, _ in log(run)][:3] == ["started", "recovered", "checkpoint"]


def test_a_stopping_cluster_gets_its_runs_back_in_the_queue(
    register: Register, drain: Callable[[], None]
) -> None:
    flag = Flag()
    stop_request.arm(flag)

    async def stop(state: Count) -> None:
        flag.set()
        await asyncio.sleep(60)

    graph = StateGraph(Count).add_node("add", add).add_node("stop", stop)
    graph.add_edge(START, "add").add_edge("add", "stop")
    run = pending(register(graph))
    try:
        drain()
    finally:
        stop_request._flag = None
    run.refresh_from_db()
    assert (run.status, run.step, run.lease_owner) == ("pending", 1, None)
    assert run.crashes == 0


def test_a_worker_that_cannot_begin_leaves_no_thread(
    drain: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(worker: RunsWorker) -> None:
        raise IntegrityError("no such row")

    monkeypatch.setattr(RunsWorker, "_register", refuse)
    before = threading.active_count()
    with pytest.raises(IntegrityError):
        drain()
    assert threading.active_count() == before


def test_a_run_that_was_taken_away_is_stopped_and_what_is_left_lapses(
    register: Register, drain: Callable[[], None], settings: Settings
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "lease_seconds": 0.4}
    stopped: list[bool] = []

    def take_away() -> None:
        try:
            Run.objects.filter(id=run.id).update(attempt=7, lease_owner=uuid7())
        finally:
            connections.close_all()

    async def wait(state: Count) -> None:
        try:
            # what a sweep does when the lease has lapsed, and another worker after it
            await asyncio.to_thread(take_away)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    run = pending(register(StateGraph(Count).add_node("wait", wait).add_edge(START, "wait")))
    drain()
    run.refresh_from_db()
    assert stopped == [True]
    assert (run.status, run.attempt) == ("running", 7)  # not ours to touch
