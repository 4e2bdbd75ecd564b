"""Why a run is not moving, cause by cause, from rows that say so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypedDict

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, RetryPolicy, StateGraph
from runs.engine.ids import uuid7
from runs.models import Event, Run, Thread, Worker
from runs.why import causes


class State(TypedDict):
    n: int


pytestmark = pytest.mark.django_db

NOW = timezone.now()


def new_run(status: str = "pending", **fields: Any) -> Run:
    fields.setdefault("created_at", NOW)
    thread = fields.pop("thread", None) or Thread.objects.create()
    return Run.objects.create(thread=thread, workflow="under_why", status=status, **fields)


def say(run: Run, name: str, data: Any = None, **fields: Any) -> None:
    run.seq += 1
    text = "" if data is None else json.dumps(data)
    Event.objects.create(run=run, seq=run.seq, name=name, ts=NOW, data=text, **fields)


def why(run: Run) -> dict[str, str]:
    return {cause.code: cause.detail for cause in causes(run, NOW)}


@pytest.fixture
def worker() -> Worker:
    return Worker.objects.create(host="h", pid=1, process_started="x", heartbeat_at=NOW, capacity=2)


@pytest.fixture
def workflow() -> Iterator[None]:
    async def call(state: dict[str, Any]) -> None: ...

    graph = StateGraph(State).add_node("call", call, retry_policy=RetryPolicy(max_attempts=5))
    workflows.register("under_why", graph.add_edge(START, "call").compile())
    yield
    del workflows._registry["under_why"]


def test_no_worker() -> None:
    assert list(why(new_run())) == ["no_worker"]
    Worker.objects.create(
        host="h", pid=1, process_started="x", heartbeat_at=NOW - timedelta(hours=1)
    )
    assert list(why(new_run())) == ["no_worker"]


def test_about_to_start(worker: Worker) -> None:
    assert list(why(new_run())) == ["starting"]


def test_behind_others(worker: Worker) -> None:
    new_run(created_at=NOW - timedelta(seconds=1))
    new_run(priority=3, created_at=NOW + timedelta(seconds=1))
    new_run(created_at=NOW + timedelta(seconds=1))
    assert why(new_run())["queued"] == "2 pending runs come before it; workers have room for 2 now."


def test_workers_are_full(worker: Worker) -> None:
    for _ in range(2):
        new_run("running", lease_owner=worker.id, lease_expires_at=NOW + timedelta(seconds=5))
    assert "room for 0" in why(new_run())["queued"]


def test_its_thread_is_busy(worker: Worker) -> None:
    other = new_run("running")
    assert list(why(new_run(thread=other.thread))) == ["thread_busy"]
    assert str(other.pk) in why(new_run(thread=other.thread))["thread_busy"]


def test_its_worker_was_lost(worker: Worker) -> None:
    assert "2 times in a row; at 3" in why(new_run(crashes=2))["worker_lost"]


def test_a_lapsed_lease() -> None:
    run = new_run("running", lease_owner=uuid7(), lease_expires_at=NOW - timedelta(seconds=1))
    assert "in 1 s" in why(run)["lease_lapsed"]


def test_a_node_that_runs_and_one_that_is_tried_again(workflow: None) -> None:
    run = new_run("running", lease_owner=uuid7(), lease_expires_at=NOW + timedelta(seconds=5))
    one, two, three = uuid7(), uuid7(), uuid7()
    say(run, "node_started", node="call", step=1, task_id=uuid7())
    say(run, "checkpoint", step=1)
    say(run, "node_started", node="call", step=2, task_id=one)
    say(run, "node_started", node="call", step=2, task_id=two)
    say(run, "node_started", node="done", step=2, task_id=three)
    said = {"attempt": 1, "delay": 30, "error": "TimeoutError: slow"}
    say(run, "retry", said, node="call", step=2, task_id=two)
    say(run, "node_update", node="done", step=2, task_id=three)
    found = why(run)
    assert list(found) == ["node_running", "retrying"]
    assert found["retrying"] == (
        "Node 'call': attempt 2 of 5 begins in 30 s, because the last one raised TimeoutError: slow"
    )


def test_an_answer_is_missing() -> None:
    run = new_run("interrupted")
    say(run, "interrupted", {"interrupts": [{"value": "sure?", "id": "1", "node": "ask"}]})
    assert why(run) == {"waits_for_answer": "It waits for an answer to 'sure?' of node 'ask'."}


def test_it_sleeps() -> None:
    run = new_run("sleeping", wake_at=NOW + timedelta(seconds=90))
    assert why(run)["sleeping"].endswith("in 90 s.")
    assert why(new_run("sleeping", wake_at=NOW))["sleeping"].endswith("now.")


def test_it_is_to_be_cancelled() -> None:
    run = new_run(
        "running",
        cancel_requested_at=NOW,
        cancel_by="ann",
        lease_expires_at=NOW + timedelta(seconds=5),
    )
    assert why(run)["cancelling"] == (
        "It was cancelled by ann and its worker does not know yet; it is ended in 10 s at the"
        " latest."
    )


def test_over_http(api: APIClient) -> None:
    run = new_run("completed")
    answer = api.get(f"/api/runs/{run.pk}/why").json()
    assert answer["causes"] == [{"code": "ended", "detail": "The run is completed.", "until": None}]
    assert api.get("/api/runs/x/why").status_code == 404
