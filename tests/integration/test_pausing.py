"""Pausing a run and a workflow: who waits, who stops where, and what is on record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, Command, Context, StateGraph, interrupt
from runs.engine.ids import uuid7
from runs.errors import Problem
from runs.lifecycle import wakeup
from runs.models import Event, Run, RunStatus, WorkflowPause
from runs.operations.cancel import cancel_run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.pause import pause_run, pause_workflow, unpause_run, unpause_workflow
from runs.operations.resume import resume_run
from runs.process import stop_request
from runs.process.shared_flag import Flag
from runs.scheduling import claimable, claims, leases, recovery
from tests.integration.chain import Start, State, add, in_thread, names

pytestmark = pytest.mark.django_db(transaction=True)


async def again(state: State) -> State:
    return {"n": state["n"] + 10}


def said(run: Run, name: str) -> Any:
    return Event.objects.get(run=run, name=name).decoded


def claim() -> list[str]:
    return [claimed.lease.run_id for claimed in claims.claim(uuid7(), 10)]


def test_a_pending_run_waits_until_it_is_unpaused(start: Start, drain: Callable[[], None]) -> None:
    run = start(add)
    paused = pause_run(run.id, by="ann", reason="later")
    assert (paused.status, paused.pause_by, paused.pause_reason) == ("pending", "ann", "later")
    assert not claimable.any_pending() and claim() == []
    drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("pending", 0)
    once_more = pause_run(run.id, by="bob", reason="no")
    assert (once_more.pause_by, once_more.paused_at) == ("ann", paused.paused_at)

    unpause_run(run.id, by="bob")
    drain()
    run.refresh_from_db()
    assert (run.status, run.paused_at, run.pause_by) == ("completed", None, "")
    assert names(run)[:4] == ["created", "paused", "unpaused", "started"]
    assert said(run, "paused") == {"by": "ann", "reason": "later"}
    assert said(run, "unpaused") == {"by": "bob"}


def test_no_worker_is_kept_awake_for_what_is_paused(
    start: Start, drain: Callable[[], None]
) -> None:
    run = start(add)
    pause_run(run.id)
    drain()  # this host has a worker from now on
    OrmQ.objects.all().delete()
    assert not recovery.sweep(timezone.now()).rang
    unpause_run(run.id)
    assert wakeup.queued()
    OrmQ.objects.all().delete()
    assert recovery.sweep(timezone.now()).rang


@pytest.mark.parametrize("of", ["run", "workflow"])
def test_a_running_run_stops_at_its_next_superstep(
    start: Start, drain: Callable[[], None], of: str
) -> None:
    calls: list[str] = []

    async def pausing(state: State) -> State:
        calls.append("pausing")
        if of == "run":
            in_thread(lambda: pause_run(run.id, by="ann", reason="look"))
        else:
            in_thread(lambda: pause_workflow("chain", by="ann", reason="look"))
        return {"n": state["n"] + 1}

    async def after(state: State) -> State:
        calls.append("after")
        return {"n": state["n"] + 10}

    run = start(pausing, after)
    drain()
    run.refresh_from_db()
    assert (run.status, run.step, run.lease_owner, run.crashes) == ("pending", 1, None, 0)
    assert calls == ["pausing"]
    assert names(run)[-3:] == ["node_update", "checkpoint", "paused"]
    of_workflow = {"workflow": "chain"} if of == "workflow" else {}
    assert said(run, "paused") == {"by": "ann", "reason": "look", **of_workflow}

    if of == "run":
        unpause_run(run.id)
    else:
        unpause_workflow("chain")
    drain()
    run.refresh_from_db()
    assert run.status == "completed"
    assert calls == ["pausing", "after"], "what was done is not done again"
    assert "recovered" not in names(run) and names(run).count("resumed") == 1


def test_a_pause_that_is_over_before_the_superstep_stops_nothing(
    start: Start, drain: Callable[[], None]
) -> None:
    def on_and_off() -> None:
        pause_run(run.id)
        unpause_run(run.id)

    async def node(state: State) -> None:
        in_thread(on_and_off)

    run = start(node, again)
    drain()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("completed", 1)


def test_a_subgraph_is_not_cut_in_the_middle(start: Start, drain: Callable[[], None]) -> None:
    calls: list[str] = []

    async def inner(state: State) -> State:
        calls.append("inner")
        if calls == ["outer", "inner"]:
            in_thread(lambda: pause_run(run.id))
        return {"n": 1}

    sub = StateGraph(State).add_node("one", inner).add_node("two", inner)
    compiled = sub.add_edge(START, "one").add_edge("one", "two").compile()

    async def outer(state: State) -> State:
        calls.append("outer")
        await compiled.ainvoke({"n": 0})
        return {"n": 5}

    run = start(outer, again)
    drain()
    run.refresh_from_db()
    assert (run.status, run.step) == ("pending", 1)
    assert len(calls) == 3


def test_a_cancelled_run_cannot_be_unpaused(start: Start) -> None:
    run = start(add)
    pause_run(run.id)
    cancel_run(run.id)
    with pytest.raises(Problem, match="is cancelled") as refused:
        unpause_run(run.id)
    assert refused.value.status == 409
    assert names(run) == ["created", "paused", "cancelled"]


def test_a_run_that_asks_or_sleeps_may_be_paused(start: Start, drain: Callable[[], None]) -> None:
    async def ask(state: State) -> State:
        return {"n": interrupt("how many?")}

    run = start(ask)
    drain()
    pause_run(run.id, by="ann")
    assert resume_run(run.id, Command(resume=3)).status == "pending"
    drain()
    run.refresh_from_db()
    assert run.status == "pending"
    unpause_run(run.id)
    drain()
    run.refresh_from_db()
    assert run.status == "completed"

    async def nap(state: State, ctx: Context) -> None:
        await ctx.sleep(3600)

    run = start(nap)
    drain()
    pause_run(run.id)
    assert recovery.sweep(timezone.now() + timedelta(hours=2)).woken == 1
    run.refresh_from_db()
    assert run.status == "pending" and claim() == []


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
def test_what_has_ended_cannot_be_paused(start: Start, status: RunStatus) -> None:
    run = start(add)
    Run.objects.filter(id=run.id).update(status=status, finished_at=timezone.now())
    with pytest.raises(Problem) as refused:
        pause_run(run.id)
    assert (refused.value.status, refused.value.code) == (409, "already_ended")
    assert names(run) == ["created"]


def test_cancelling_goes_before_pausing(start: Start) -> None:
    run = start(add)
    claim()
    cancel_run(run.id)
    with pytest.raises(Problem, match="about to be cancelled"):
        pause_run(run.id)
    other = start()
    pause_run(other.id)
    assert cancel_run(other.id).status == "cancelled"


def test_a_paused_run_whose_worker_dies_stays_paused(start: Start) -> None:
    run = start(add)
    claim()
    pause_run(run.id, by="ann", reason="look first")
    other = start()
    claim()
    assert recovery.sweep(timezone.now() + timedelta(minutes=1)).recovered == 2
    assert names(run) == ["created", "started", "paused"]
    assert said(run, "paused") == {"by": "ann", "reason": "look first"}
    assert names(other) == ["created", "started"]
    assert claim() == [str(other.id)]
    unpause_run(run.id)
    assert claim() == [str(run.id)]
    assert names(run)[3:] == ["unpaused", "recovered"]


def test_a_paused_run_whose_worker_gives_up_says_so(start: Start) -> None:
    run = start(add)
    owner = uuid7()
    claims.claim(owner, 1)
    pause_run(run.id)
    leases.give_back(owner)
    run.refresh_from_db()
    assert (names(run), run.seq) == (["created", "started", "paused"], 3)


@pytest.mark.parametrize("how", ["asks", "sleeps", "is put back"])
def test_a_run_that_stops_before_its_superstep_ends_says_that_it_is_paused(
    start: Start, drain: Callable[[], None], how: str
) -> None:
    flag = Flag()
    stop_request.arm(flag)

    async def node(state: State, ctx: Context) -> State:
        in_thread(lambda: pause_run(run.id, by="ann"))
        if how == "asks":
            interrupt("sure?")
        elif how == "sleeps":
            await ctx.sleep(3600)
        flag.set()
        await asyncio.sleep(60)
        return {}

    run = start(node)
    try:
        drain()
    finally:
        stop_request._flag = None
    run.refresh_from_db()
    status = {"asks": "interrupted", "sleeps": "sleeping", "is put back": "pending"}[how]
    assert run.status == status
    before = ["node_started"] if how == "is put back" else ["node_started", status]
    assert names(run) == ["created", "started", "checkpoint", *before, "paused"]
    unpause_run(run.id)
    assert names(run)[-1] == "unpaused"


def test_new_runs_of_a_paused_workflow_wait(start: Start, drain: Callable[[], None]) -> None:
    first = start(add)
    pause = pause_workflow("chain", by="ann", reason="deploying")
    assert pause_workflow("chain", by="bob").pk == pause.pk
    second = start()
    other = create_run(NewRun(payload={"input": "hello"}))
    assert claim() == [str(other.id)]
    pause_run(second.id)
    ended = unpause_workflow("chain", by="bob")
    assert (ended.pk, ended.ended_by) == (pause.pk, "bob") and ended.ended_at is not None
    assert claim() == [str(first.id)]  # the other one is paused itself
    assert pause_workflow("chain").pk != pause.pk
    assert WorkflowPause.objects.count() == 2


def test_a_paused_workflow_can_be_unpaused_when_it_is_gone(start: Start) -> None:
    start(add)
    pause_workflow("chain")
    workflows.unregister("chain")
    assert unpause_workflow("chain").ended_at is not None
    with pytest.raises(Problem) as refused:
        unpause_workflow("chain")
    assert refused.value.code == "unknown_workflow"


def test_runs_over_http(api: APIClient, start: Start) -> None:
    run = start(add)
    answer = api.post(f"/api/runs/{run.id}/pause", {"reason": "wait"})
    assert answer.status_code == 200
    pause = answer.json()["pause"]
    assert (answer.json()["status"], pause["by"], pause["reason"]) == ("pending", "local", "wait")
    assert api.get(f"/api/runs/{run.id}").json()["pause"] == pause
    assert [one["paused"] for one in api.get("/api/runs/").json()["results"]] == [True]
    answer = api.post(f"/api/runs/{run.id}/unpause/")
    assert (answer.status_code, answer.json()["pause"]) == (200, None)
    assert [one["paused"] for one in api.get("/api/runs/").json()["results"]] == [False]
    answer = api.post(f"/api/runs/{run.id}/unpause")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_paused")
    api.post("/api/workflows/chain/pause")
    assert "unpause that" in api.post(f"/api/runs/{run.id}/unpause").json()["detail"]


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("pause", {"reason": 3}),
        ("pause", {"reason": "x" * 501}),
        ("pause", {"reason": "\x00"}),
        ("pause", {"why": ""}),
        ("pause", []),
        ("unpause", {"resume": "yes"}),
    ],
    ids=["kind", "long", "NUL", "field", "list", "answer"],
)
def test_bad_requests_change_nothing(api: APIClient, start: Start, verb: str, body: Any) -> None:
    run = start(add)
    for path in (f"/api/runs/{run.id}", "/api/workflows/chain"):
        answer = api.post(f"{path}/{verb}", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    run.refresh_from_db()
    assert run.paused_at is None and not WorkflowPause.objects.exists()
    for nobody in ("x", uuid4()):
        assert api.post(f"/api/runs/{nobody}/{verb}").status_code == 404
    assert api.post(f"/api/workflows/nonesuch/{verb}").status_code == 404


def test_workflows_over_http(api: APIClient, start: Start) -> None:
    start(add)
    paused = api.post("/api/workflows/chain/pause", {"reason": "deploying"}).json()
    assert (paused["by"], paused["reason"], paused["ended_at"]) == ("local", "deploying", None)
    shown = api.get("/api/workflows/chain").json()["pause"]
    assert shown == {name: paused[name] for name in ("paused_at", "by", "reason")}
    listed = {row["name"]: row["pause"] for row in api.get("/api/workflows").json()["results"]}
    assert listed["chain"] == shown and listed["text_report"] is None
    assert api.post("/api/workflows/chain/unpause").json()["ended_by"] == "local"
    assert api.get("/api/workflows/chain").json()["pause"] is None
    assert api.post("/api/workflows/chain/unpause").json()["code"] == "not_paused"


def test_from_the_command_line(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(add)
    call_command("pause_run", str(run.id), "--reason", "by hand")
    run.refresh_from_db()
    assert run.pause_reason == "by hand" and run.pause_by
    call_command("unpause_run", str(run.id))
    with pytest.raises(CommandError, match="not paused"):
        call_command("unpause_run", str(run.id))
    call_command("pause_workflow", "chain", "--reason", "all")
    assert WorkflowPause.objects.get().reason == "all"
    call_command("unpause_workflow", "chain")
    with pytest.raises(CommandError, match="not paused"):
        call_command("unpause_workflow", "chain")
    claim()
    call_command("pause_run", str(run.id))
    assert "when its present step has ended" in capsys.readouterr().out


def test_from_the_admin(start: Start) -> None:
    run, admin = start(add), Client()

    def do(action: str) -> str:
        form = {"action": action, "_selected_action": [str(run.id)]}
        page = admin.post("/admin/runs/run/", form, follow=True).content.decode()
        run.refresh_from_db()
        return page

    assert "1 paused" in do("pause") and run.pause_by == "local"
    assert "1 unpaused" in do("unpause") and run.paused_at is None
    assert "not paused" in do("unpause")


def test_workflows_from_the_admin(start: Start) -> None:
    start(add)
    admin, at = Client(), "/admin/runs/workflowpause/"
    assert admin.get(f"{at}add/").status_code == 200
    form = {"workflow": "chain", "reason": "by hand"}
    answer = admin.post(f"{at}add/", form, follow=True)
    assert answer.status_code == 200
    pause = WorkflowPause.objects.get()
    assert (pause.workflow, pause.reason, pause.paused_by) == ("chain", "by hand", "local")
    assert "by hand" in admin.get(f"{at}{pause.pk}/change/").content.decode()
    assert "chain" in admin.get(f"{at}?q=cha").content.decode()
    chosen = {"action": "unpause", "_selected_action": [str(pause.pk)]}
    assert "1 unpaused" in admin.post(at, chosen, follow=True).content.decode()
    pause.refresh_from_db()
    assert pause.ended_by == "local"
