"""A run whose workflow this process does not have waits for a worker that has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings
from rest_framework.test import APIClient

from artifacts.store import store
from runs import workflows
from runs.cluster.broker import NotifiedBroker
from runs.engine import START, StateGraph, interrupt
from runs.engine.ids import uuid7
from runs.errors import Problem
from runs.lifecycle import wakeup
from runs.models import Checkpoint, Run, RunStatus, Thread, Worker, WorkflowPause
from runs.operations import pause
from runs.operations.cancel import cancel_run
from runs.process import processes
from runs.scheduling import availability, claimable, claims, recovery
from runs.worker.worker import Worker as RunsWorker
from tests.integration.counting import Count, Register, add, counting, log, pending, result

pytestmark = pytest.mark.django_db(transaction=True)

Drain = Callable[[], None]


def asks(state: Count) -> dict[str, Any]:
    return {"n": interrupt("how many?")}


@pytest.fixture(autouse=True)
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with workflows.temporary():
        monkeypatch.setattr(availability._Memory, "others_wait", False)
        monkeypatch.setattr(availability._Memory, "reported", frozenset())
        yield


def forget(name: str) -> None:
    """What a deploy without the workflow's app does to a process."""
    workflows.unregister(name)


def status(run: Run) -> str:
    run.refresh_from_db()
    return run.status


def why(api: APIClient, run: Run) -> dict[str, str]:
    answer = api.get(f"/api/runs/{run.pk}/why")
    assert answer.status_code == 200, answer.content
    return {cause["code"]: cause["detail"] for cause in answer.json()["causes"]}


def claimed(known: set[str] | None, limit: int = 10, *, apart: bool = False) -> list[UUID]:
    found = claims.claim(uuid7(), limit, apart=apart, known=known)
    return [UUID(one.lease.run_id) for one in found]


# --- waiting and going on ---------------------------------------------------------------------


def test_pending_run_of_missing_workflow_waits_and_goes_on_when_it_is_there(
    register: Register, drain: Drain
) -> None:
    name = register(counting())
    run = pending(name)
    graph = workflows.get(name).graph
    forget(name)
    drain()
    assert (status(run), run.attempt, log(run)) == ("pending", 0, [])
    workflows.register(name, graph)
    drain()
    assert status(run) == "completed"
    assert result(run) == {"n": 3, "done": [0, 1, 2]}


def test_answered_run_of_missing_workflow_waits_and_keeps_its_answer(
    register: Register, drain: Drain, api: APIClient
) -> None:
    name = register(StateGraph(Count).add_node("asks", asks).add_edge(START, "asks"))
    run = pending(name)
    drain()
    assert status(run) == "interrupted"
    graph = workflows.get(name).graph
    forget(name)
    answer = api.post(f"/api/runs/{run.pk}/resume", {"resume": 4}, format="json")
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    drain()
    assert status(run) == "pending"
    workflows.register(name, graph)
    drain()
    assert status(run) == "completed"
    assert result(run)["n"] == 4


def test_runs_that_are_given_the_new_name_of_their_workflow_go_on(
    register: Register, drain: Drain, api: APIClient
) -> None:
    """As docs/steering.md says of names that are refused by now."""
    name = register(StateGraph(Count).add_node("asks", asks).add_edge(START, "asks"))
    run, graph = pending(name), workflows.get(name).graph
    drain()
    forget(name)
    refused = f"{name}\u00ad"
    Run.objects.update(workflow=refused)
    with pytest.raises(ValueError, match=r"U\+00AD; leave it out"):
        workflows.register(refused, graph)
    workflows.register(f"{name} anew", graph)
    later = pending(refused)
    assert Run.objects.filter(workflow=refused).update(workflow=f"{name} anew") == 2
    answer = api.post(f"/api/runs/{run.pk}/resume", {"resume": 4}, format="json")
    assert answer.status_code == 200
    drain()
    assert (status(run), result(run)["n"], status(later)) == ("completed", 4, "interrupted")


def test_answer_with_update_or_goto_to_missing_workflow_is_refused_with_what_to_do(
    register: Register, drain: Drain, api: APIClient
) -> None:
    name = register(StateGraph(Count).add_node("asks", asks).add_edge(START, "asks"))
    run = pending(name)
    drain()
    forget(name)
    for body in ({"update": {"n": 1}}, {"goto": "asks"}):
        answer = api.post(f"/api/runs/{run.pk}/resume", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "workflow_missing")
        assert "FASTGRAPH_APPS" in answer.json()["detail"]
    assert status(run) == "interrupted"


def test_sleeping_run_of_missing_workflow_wakes_and_waits(drain: Drain) -> None:
    now = timezone.now()
    run = pending("gone")
    Run.objects.filter(pk=run.pk).update(status="sleeping", started_at=now, wake_at=now)
    assert recovery.sweep(now + timedelta(seconds=1)).woken == 1
    drain()
    assert status(run) == "pending"


def test_running_run_that_lost_its_worker_and_its_workflow_waits(drain: Drain) -> None:
    run = pending("gone")
    Run.objects.filter(pk=run.pk).update(status="running", attempt=1, started_at=timezone.now())
    swept = recovery.sweep(timezone.now())
    assert swept.recovered == 1
    drain()
    assert (status(run), run.crashes) == ("pending", 1)


def test_cancel_of_waiting_run_of_missing_workflow_ends_at_once(api: APIClient) -> None:
    for state in ("pending", "sleeping", "interrupted"):
        run = pending("gone")
        Run.objects.filter(pk=run.pk).update(status=state)
        answer = api.post(f"/api/runs/{run.pk}/cancel", {}, format="json")
        assert (answer.status_code, status(run)) == (200, "cancelled")


# --- claims -----------------------------------------------------------------------------------


def test_each_worker_claims_only_what_it_has() -> None:
    runs = {name: [pending(name) for _ in range(3)] for name in ("a", "b", "c")}
    assert claimed({"a"}) == [run.pk for run in runs["a"]]
    assert claimed({"a"}) == []
    assert claimed({"b", "c"}, 4) == [*(run.pk for run in runs["b"]), runs["c"][0].pk]
    assert claimed(set()) == []
    assert claimed(None) == [run.pk for run in runs["c"][1:]]


def test_claim_finds_known_runs_behind_many_of_a_missing_workflow() -> None:
    for _ in range(20):
        pending("gone")
    urgent, late = pending("b"), pending("a")
    Run.objects.filter(pk=urgent.pk).update(priority=-1)
    assert claimable.any_pending(known={"a", "b"})
    assert claimed({"a", "b"}, 2) == [late.pk, urgent.pk]
    assert not claimable.any_pending(known={"a", "b"})
    assert claimable.any_pending(known={"gone"})


def test_claim_is_ordinary_again_when_no_missing_workflow_waits() -> None:
    gone = pending("gone")
    assert claimed({"a"}) == []
    cancel_run(gone.pk)
    runs = [pending("a") for _ in range(2)]
    assert claimed({"a"}) == [run.pk for run in runs]
    assert not claimable.any_pending(known={"a"})


def test_isolated_run_of_missing_workflow_is_left_to_a_worker_that_has_it() -> None:
    gone, here = pending("gone"), pending("a")
    Run.objects.update(crashes=2)
    assert not claimable.any_pending(apart=True, known={"b"})
    assert claimed({"a"}, 1, apart=True) == [here.pk]
    assert claimed({"a"}, 1, apart=True) == []
    assert claimed({"gone"}, 1, apart=True) == [gone.pk]


def test_missing_workflow_holds_up_the_later_runs_of_its_thread(api: APIClient) -> None:
    thread = Thread.objects.create()
    first, second = pending("gone", thread=thread), pending("text_report", thread=thread)
    other = pending("text_report")
    for _ in range(2):  # as the first is met, and as it is known of
        assert claimed({"text_report"}, 1) in ([other.pk], [])
    assert status(other) == "running"
    assert not claimable.any_pending(known={"text_report"})
    Worker.objects.create(host="h", pid=1, process_started="x", workflows=["text_report"])
    causes = why(api, second)
    assert list(causes) == ["thread_busy"]
    assert str(first.pk) in causes["thread_busy"] and "'gone'" in causes["thread_busy"]
    cancel_run(first.pk)
    assert claimed({"text_report"}) == [second.pk]


@pytest.mark.parametrize("state", ["pending", "sleeping"])
def test_why_says_that_a_run_that_has_begun_before_lacks_its_workflow(
    api: APIClient, state: str
) -> None:
    thread = Thread.objects.create()
    first, second = pending("gone", thread=thread), pending("text_report", thread=thread)
    Run.objects.filter(pk=first.pk).update(status=state, started_at=timezone.now())
    Worker.objects.create(host="h", pid=1, process_started="x", workflows=["text_report"])
    said = why(api, second)["thread_busy"]
    assert str(first.pk) in said and "a worker that has workflow 'gone'" in said
    Worker.objects.create(host="h", pid=2, process_started="x", workflows=["gone"])
    assert "'gone'" not in why(api, second)["thread_busy"]


def test_paused_run_of_missing_workflow_holds_up_nobody_as_any_other_paused_one() -> None:
    thread = Thread.objects.create()
    first, second = pending("gone", thread=thread), pending("a", thread=thread)
    pause.pause_run(first.pk)
    pending("gone")
    assert claimed({"a"}) == [second.pk]


def test_limits_hold_beside_a_missing_workflow() -> None:
    graph = StateGraph(Count).add_node("add", add).add_edge(START, "add").compile()
    workflows.register("narrow", graph, concurrency_limit=1)
    pending("gone")
    runs = [pending("narrow") for _ in range(2)]
    other = pending("a")
    known = {"narrow", "a"}
    assert claimed(known) == [runs[0].pk, other.pk]
    assert not claimable.any_pending(known=known)
    Run.objects.filter(pk=runs[0].pk).update(status="completed", finished_at=timezone.now())
    assert claimable.any_pending(known=known)
    assert claimed(known) == [runs[1].pk]


def test_workflow_with_signs_in_its_name_is_claimed_beside_a_missing_one() -> None:
    pending("gone")
    names = {"100%s", "it's", 'a "b"'}
    runs = {pending(name).pk for name in sorted(names)}
    assert set(claimed(names)) == runs


@pytest.fixture
def analyzed(transactional_db: None) -> Iterator[Callable[[], None]]:
    """Lets the planner learn how large the tables are. SQLite would keep that beyond the test's
    transaction, and plan other tests by it."""

    def analyze() -> None:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    yield analyze
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM sqlite_stat1")
            cursor.execute("ANALYZE sqlite_schema")


def test_claim_beside_many_runs_of_a_missing_workflow_reads_few_rows(
    analyzed: Callable[[], None],
) -> None:
    """The plan, on a table that is large enough for the planner to care."""
    threads = [Thread() for _ in range(2_000)]
    Thread.objects.bulk_create(threads)
    Run.objects.bulk_create(Run(thread=thread, workflow="gone", priority=9) for thread in threads)
    ended: dict[str, Any] = {"status": "completed", "finished_at": timezone.now()}
    Run.objects.bulk_create(Run(thread=thread, workflow="a", **ended) for thread in threads)
    run = pending("a")
    analyzed()
    assert claimed({"a"}) == [run.pk]  # and from now on it is known that others wait
    pending("a")
    only = availability.Only(workflow="a", known=frozenset({"a"}))
    for query in (claimable.next_runs(False, 2, only), claimable._first(False, 2, only)):
        assert len(query.rows(1)) == 1
        _, statement, given, _ = query._compiled[connection.vendor]
        _reads_by_workflow(statement, [*given, 10])
    _reads_by_workflow(availability._pending_names(), None)


def _reads_by_workflow(statement: str, given: Any) -> None:
    word = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{word} {statement}", given)
        plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
    assert "run_pending_workflow" in plan, plan
    for whole in ("run_pending ", "SCAN runs_run", "Seq Scan on runs_run"):
        assert whole not in plan.replace("\n", " \n"), plan


# --- nobody is kept awake ---------------------------------------------------------------------


@pytest.fixture
def registered() -> Worker:
    pid = 1
    started = processes.process_started(pid) or ""
    return Worker.objects.create(
        host=processes.host(), pid=pid, process_started=started, workflows=["steps"]
    )


def test_sweep_wakes_nobody_for_a_missing_workflow(registered: Worker) -> None:
    for crashes in (0, 2):
        Run.objects.filter(pk=pending("gone").pk).update(crashes=crashes)
    assert not recovery.sweep(timezone.now()).rang
    assert OrmQ.objects.count() == 0
    pending("steps")
    assert recovery.sweep(timezone.now()).rang


def test_sweep_says_once_which_workflow_is_missing(
    registered: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    pending("gone")
    for _ in range(3):
        recovery.sweep(timezone.now())
    (line,) = [r.getMessage() for r in caplog.records if "'gone'" in r.getMessage()]
    assert "FASTGRAPH_APPS" in line


def test_wakeup_is_left_for_a_worker_that_has_the_workflow(registered: Worker) -> None:
    pending("gone")
    wakeup.ring()
    broker = NotifiedBroker()
    try:
        for _ in range(3):
            assert not broker.dequeue()
        assert wakeup.queued()
        pending("steps")
        broker._look_at = 0.0
        assert broker.dequeue()
    finally:
        assert broker._changes is not None
        broker._changes.close()


def test_worker_with_nothing_to_claim_leaves(drain: Drain, settings: Settings) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.05}
    run = pending("gone")
    asyncio.run(asyncio.wait_for(RunsWorker(store()).drain(), 30))
    assert status(run) == "pending"
    assert Worker.objects.get().workflows == workflows.names()


# --- why --------------------------------------------------------------------------------------


def test_why_says_that_no_live_worker_has_the_workflow(api: APIClient) -> None:
    worker = Worker.objects.create(host="h", pid=1, process_started="x", workflows=["steps"])
    run = pending("gone")
    causes = why(api, run)
    assert list(causes) == ["workflow_missing"]
    for part in ("'gone'", "FASTGRAPH_APPS", "worker"):
        assert part in causes["workflow_missing"]
    Worker.objects.filter(pk=worker.pk).update(workflows=["gone"], capacity=1)
    assert list(why(api, run)) == ["starting"]


def test_why_does_not_guess_what_a_worker_of_an_earlier_version_has(api: APIClient) -> None:
    Worker.objects.create(host="h", pid=1, process_started="x", capacity=1)
    assert list(why(api, pending("gone"))) == ["starting"]


def test_why_of_a_run_that_waits_for_an_answer_says_it_too(api: APIClient) -> None:
    Worker.objects.create(host="h", pid=1, process_started="x", workflows=[])
    for state, code in (("interrupted", "waits_for_answer"), ("sleeping", "sleeping")):
        run = pending("gone")
        Run.objects.filter(pk=run.pk).update(status=state)
        assert list(why(api, run)) == [code, "workflow_missing"]


# --- every door -------------------------------------------------------------------------------


def test_no_read_of_a_run_of_a_missing_workflow_is_an_error_of_the_server(
    register: Register, drain: Drain, api: APIClient
) -> None:
    name = register(counting())
    run = pending(name)
    drain()
    forget(name)
    paths = ("", "/events", "/checkpoints", "/why", "/artifacts")
    for path in paths:
        assert api.get(f"/api/runs/{run.pk}{path}").status_code in (200, 404), path
    assert api.get(f"/api/runs?workflow={name}").json()["results"]
    checkpoint = Checkpoint.objects.filter(run=run).latest("id")
    for query in ("", f"?checkpoint={checkpoint.pk}"):
        answer = api.get(f"/api/runs/{run.pk}/state{query}")
        assert (answer.status_code, answer.json()["code"]) == (409, "workflow_missing"), query
        assert "FASTGRAPH_APPS" in answer.json()["detail"]
    assert api.get(f"/api/workflows/{name}").status_code == 404


def test_replay_of_a_run_of_a_missing_workflow_is_refused_with_what_to_do(
    register: Register, drain: Drain, api: APIClient
) -> None:
    name = register(counting())
    run = pending(name)
    drain()
    forget(name)
    for body in ({}, {"from_step": 1}, {"from_step": 1, "set": {"n": 0}}):
        answer = api.post(f"/api/runs/{run.pk}/replay", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_workflow")
        assert "FASTGRAPH_APPS" in answer.json()["detail"]


def test_commands_say_what_is_missing_and_never_raise(register: Register, drain: Drain) -> None:
    name = register(StateGraph(Count).add_node("asks", asks).add_edge(START, "asks"))
    run = pending(name)
    drain()
    forget(name)
    Worker.objects.update(workflows=["steps"], awake=False, heartbeat_at=timezone.now())
    with pytest.raises(CommandError, match="FASTGRAPH_APPS"):
        call_command("replay_run", str(run.pk))
    with pytest.raises(CommandError, match="FASTGRAPH_APPS"):
        call_command("run_workflow", name)
    with pytest.raises(CommandError, match="FASTGRAPH_APPS"):
        call_command("resume_run", str(run.pk), "--goto", "asks")
    warned = StringIO()
    call_command("resume_run", str(run.pk), "--answer", "4", stdout=StringIO(), stderr=warned)
    assert "No live worker has its workflow" in warned.getvalue()
    call_command("pause_workflow", name, stdout=StringIO())
    call_command("unpause_workflow", name, stdout=StringIO())
    call_command("cancel_run", str(run.pk), stdout=StringIO())
    assert status(run) == "cancelled"


def test_admin_shows_a_run_of_a_missing_workflow_and_why_it_waits() -> None:
    Worker.objects.create(host="h", pid=1, process_started="x", workflows=[])
    run = pending("gone")
    browser = Client(REMOTE_ADDR="127.0.0.1", headers={"host": "127.0.0.1"})
    page = browser.get(f"/admin/runs/run/{run.pk}/change/")
    assert page.status_code == 200
    assert "No live worker has its workflow" in page.content.decode()
    assert browser.get("/admin/runs/run/?workflow=gone").status_code == 200
    made = browser.post("/admin/runs/workflowpause/add/", {"workflow": "gone", "reason": "r"})
    assert made.status_code == 302
    assert WorkflowPause.objects.get().workflow == "gone"


def test_workflow_that_only_another_worker_or_a_run_knows_can_be_paused(api: APIClient) -> None:
    Worker.objects.create(host="h", pid=1, process_started="x", workflows=["elsewhere"])
    run = pending("gone")
    for name in ("gone", "elsewhere"):
        assert api.post(f"/api/workflows/{name}/pause", {}, format="json").status_code == 200
    assert "workflow_paused" in why(api, run)
    for name in ("gone", "elsewhere"):
        assert api.post(f"/api/workflows/{name}/unpause").status_code == 200
        assert api.post(f"/api/workflows/{name}/unpause").status_code == 404
    with pytest.raises(Problem) as refused:
        pause.pause_workflow("nowhere")
    assert refused.value.code == "unknown_workflow"


# --- a graph that has changed -----------------------------------------------------------------


def test_run_that_stands_before_a_removed_node_fails_with_what_to_do(
    register: Register, drain: Drain
) -> None:
    graph = StateGraph(Count).add_node("asks", asks).add_node("last", add)
    name = register(graph.add_edge(START, "asks").add_edge("asks", "last"))
    run = pending(name)
    drain()
    forget(name)
    register(StateGraph(Count).add_node("last", add).add_edge(START, "last"))
    Run.objects.filter(pk=run.pk).update(status=RunStatus.PENDING)
    drain()
    assert status(run) == "failed"
    assert run.error is not None
    assert "'asks'" in run.error["message"] and "replay" in run.error["message"]
