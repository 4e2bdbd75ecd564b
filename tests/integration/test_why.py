"""Why a run is not moving, cause by cause, from rows that say so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, RetryPolicy, StateGraph
from runs.engine.ids import uuid7
from runs.models import Event, Run, Thread, Worker, WorkflowPause
from runs.process import reports
from runs.queries.why import causes
from runs.scheduling import stalls, thread_waits


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
    with workflows.temporary():
        workflows.register("under_why", graph.add_edge(START, "call").compile())
        yield


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


def test_it_is_behind_one_of_its_thread_that_has_begun(worker: Worker) -> None:
    sleeping = new_run("sleeping", started_at=NOW, wake_at=NOW + timedelta(hours=1))
    run = new_run(thread=sleeping.thread)
    assert list(why(run)) == ["thread_busy"]
    assert f"behind run {sleeping.pk} of its thread, which is sleeping" in why(run)["thread_busy"]
    put_back = new_run(started_at=NOW, paused_at=NOW)
    run = new_run(thread=put_back.thread)
    assert "which is pending and has begun (paused)" in why(run)["thread_busy"]
    assert list(why(put_back)) == ["run_paused"]
    asking = new_run("interrupted", started_at=NOW)
    assert "thread_busy" not in why(new_run(thread=asking.thread))


def test_it_is_behind_runs_of_its_key(worker: Worker) -> None:
    key: dict[str, Any] = {"concurrency_key": "ann", "concurrency_limit": 2}
    new_run("running", **key)
    assert "key_full" not in why(new_run(created_at=NOW + timedelta(seconds=9), **key))
    new_run("running", **key)
    new_run(created_at=NOW - timedelta(seconds=1), **key)
    assert why(new_run(**key)) == {
        "key_full": "It is behind 3 runs of its key 'ann': 2 running, of at most 2, and 1 that"
        " comes before it."
    }
    assert "key_full" not in why(new_run(concurrency_key="bob", concurrency_limit=1))


def test_it_is_behind_runs_of_its_workflow(worker: Worker) -> None:
    graph = StateGraph(State).add_node("n", lambda state: None).add_edge(START, "n").compile()
    with workflows.temporary():
        workflows.register("under_why", graph, concurrency_limit=1)
        assert "workflow_full" not in why(new_run())
        new_run("running")
        run = new_run(created_at=NOW - timedelta(seconds=9))
        assert why(run) == {
            "workflow_full": "It is behind 1 run of its workflow 'under_why': 1 running, of at"
            " most 1, and 0 that come before it."
        }


@pytest.mark.parametrize("status", ["pending", "running", "interrupted", "sleeping"])
def test_it_is_paused(worker: Worker, status: str) -> None:
    at = NOW.replace(2026, 11, 20, 10, 0, 0)
    run = new_run(
        status,
        paused_at=at,
        pause_by="ann",
        pause_reason="look first",
        lease_expires_at=NOW + timedelta(seconds=5),
    )
    said = "It was paused by ann because 'look first' at 2026-11-20 10:00:00 UTC."
    then = " It stops when its present superstep has ended." if status == "running" else ""
    found = why(run)
    assert found["run_paused"] == said + then
    assert "starting" not in found and "queued" not in found


@pytest.mark.parametrize("status", ["pending", "running"])
def test_its_workflow_is_paused(worker: Worker, status: str) -> None:
    run = new_run(status, lease_expires_at=NOW + timedelta(seconds=5))
    at = NOW.replace(2026, 11, 20, 10, 0, 0)
    pause = WorkflowPause.objects.create(workflow="under_why", paused_at=at, paused_by="ann")
    said = "Its workflow 'under_why' was paused by ann at 2026-11-20 10:00:00 UTC."
    then = " It stops when its present superstep has ended." if status == "running" else ""
    assert why(run)["workflow_paused"] == said + then
    assert "starting" not in why(run)
    pause.ended_at = NOW
    pause.save()
    assert "workflow_paused" not in why(run)


def test_every_hurdle_is_named(worker: Worker) -> None:
    new_run("running", concurrency_key="k", concurrency_limit=1)
    other = new_run("running")
    WorkflowPause.objects.create(workflow="under_why")
    run = new_run(
        thread=other.thread, paused_at=NOW, concurrency_key="k", concurrency_limit=1, crashes=1
    )
    assert list(why(run)) == [
        "run_paused", "workflow_paused", "thread_busy", "key_full", "worker_lost",
    ]  # fmt: skip


def test_its_worker_was_lost(worker: Worker) -> None:
    assert "2 times in a row; at 3" in why(new_run(crashes=2))["worker_lost"]


def test_it_is_executed_apart(worker: Worker) -> None:
    new_run("running", crashes=2)
    new_run(crashes=2, created_at=NOW - timedelta(seconds=1))
    new_run(created_at=NOW - timedelta(seconds=1))
    found = why(new_run(crashes=2))
    assert list(found) == ["worker_lost", "apart"]
    assert found["apart"] == (
        "Its next step is executed apart, one such run at a time on each host: 1 running, and 1"
        " that comes before it."
    )
    assert why(new_run())["queued"].startswith("1 pending runs"), "suspects hold up nobody else"


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


def test_a_node_inside_is_told_from_the_outer_one_of_its_name(workflow: None) -> None:
    run = new_run("running", lease_owner=uuid7(), lease_expires_at=NOW + timedelta(seconds=5))
    inner = {"node": "call", "step": 1, "task_id": uuid7(), "namespace": "sub:1|deep:2"}
    say(run, "node_started", **inner)
    assert why(run)["node_running"].startswith("Node 'call' in 'deep' in 'sub' of step 1 has been")
    say(run, "retry", {"attempt": 1, "delay": 30, "error": "TimeoutError: slow"}, **inner)
    assert "'sub': attempt 2 begins in 30 s" in why(run)["retrying"], "not the outer one's limit"


@pytest.fixture
def waits(settings: Settings, tmp_path: Path) -> Callable[..., None]:
    """Report that tasks wait for a thread, as their worker does."""
    settings.FASTGRAPH = {**settings.FASTGRAPH, "data_dir": tmp_path}

    def report(*tasks: UUID) -> None:
        found = thread_waits.ThreadWaits(process="elsewhere:1", tasks=[str(one) for one in tasks])
        reports.publish(reports.path_of("thread_waits"), [found])

    return report


def test_a_node_that_waits_for_a_thread_does_not_run(waits: Callable[..., None]) -> None:
    owner = uuid7()
    run = new_run("running", lease_owner=owner, lease_expires_at=NOW + timedelta(seconds=5))
    one, two = uuid7(), uuid7()
    say(run, "node_started", node="call", step=1, task_id=one)
    say(run, "node_started", node="call", step=1, task_id=two)
    waits(two)
    full = stalls.Standstill(
        kind="threads_full", worker=str(owner), run_id="", seconds=9, detail="All are taken.",
        process="elsewhere:1",
    )  # fmt: skip
    reports.publish(reports.path_of("standstills"), [full])
    assert why(run) == {
        "threads_full": "All are taken.",
        "node_running": f"Node 'call' of step 1 has been running since {NOW:%H:%M:%S} UTC.",
        "waits_for_thread": "Node 'call' of step 1 waits for a free thread of its worker"
        " (FASTGRAPH_NODE_THREADS).",
    }
    say(run, "retry", {"attempt": 1, "delay": 0, "error": "E"}, node="call", step=1, task_id=two)
    assert list(why(run)) == ["threads_full", "node_running", "waits_for_thread"]
    waits(uuid7())
    assert list(why(run)) == ["node_running", "retrying"], "a run of which no task waits"


def test_of_many_open_tasks_some_are_named_and_the_others_counted(
    waits: Callable[..., None], django_assert_max_num_queries: Any
) -> None:
    run = new_run("running", lease_owner=uuid7(), lease_expires_at=NOW + timedelta(seconds=5))
    tasks = [uuid7() for _ in range(900)]
    Event.objects.bulk_create(
        Event(run=run, seq=seq, name="node_started", ts=NOW, node="call", step=1, task_id=task)
        for seq, task in enumerate(tasks, start=1)
    )
    run.seq = len(tasks)
    for task in tasks[:11]:
        say(run, "retry", {"attempt": 1, "delay": 1, "error": "E"}, node="call", task_id=task)
    waits(*tasks[11:311])
    with django_assert_max_num_queries(25):
        found = causes(run, NOW)
    assert [cause.code for cause in found] == [
        *["node_running"] * 11, *["waits_for_thread"] * 11, *["retrying"] * 11,
    ]  # fmt: skip
    assert [cause.detail for cause in found[10::11]] == [
        "The same goes for 579 more tasks of this superstep.",
        "The same goes for 290 more tasks of this superstep.",
        "The same goes for 1 more task of this superstep.",
    ]


@pytest.mark.parametrize("delay", [{"$type": "float", "value": "inf"}, None, 1e300])
def test_a_retry_of_an_earlier_version_that_never_comes(workflow: None, delay: Any) -> None:
    run = new_run("running", lease_owner=uuid7(), lease_expires_at=NOW + timedelta(seconds=5))
    own = {"node": "call", "step": 1, "task_id": uuid7()}
    say(run, "node_started", **own)
    say(run, "retry", {"attempt": 1, "delay": delay, "error": "OSError"}, **own)
    assert "attempt 2 of 5 begins in " in why(run)["retrying"]


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
