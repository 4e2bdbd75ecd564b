"""A run for a thread that has an unfinished one: enqueue, reject, interrupt, rollback."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, Context, StateGraph, interrupt
from runs.engine.ids import uuid7
from runs.errors import Problem
from runs.journal import reading
from runs.models import Checkpoint, Event, Run, RunStatus, Thread
from runs.operations.create import create_run, create_runs
from runs.operations.create_requests import CreateRequest, create, create_many
from runs.operations.new_run import NewRun
from runs.scheduling import claims

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 30.0


class State(TypedDict, total=False):
    do: str
    log: Annotated[list[str], operator.add]


class Started:
    """What the nodes of the workflow `talk` have begun."""

    def __init__(self) -> None:
        self.waiting = threading.Event()


@pytest.fixture
def talk() -> Iterator[Started]:
    """A workflow of two steps that note what they do; the second does as the payload says."""
    with workflows.temporary():
        started = Started()

        async def first(state: State) -> State:
            return {"log": [f"first {state['do']}"]}

        async def second(state: State, ctx: Context) -> State:
            if state["do"] == "wait":
                started.waiting.set()
                await asyncio.sleep(LONG)
            if state["do"] == "ask":
                interrupt("sure?")
            if state["do"] == "sleep":
                await ctx.sleep(3600)
            return {"log": [f"second {state['do']}"]}

        graph = StateGraph(State).add_node("first", first).add_node("second", second)
        compiled = graph.add_edge(START, "first").add_edge("first", "second").compile()
        workflows.register("talk", compiled, input_schema={"type": "object"})
        yield started


def ask(do: str, thread: UUID | None = None, strategy: str = "enqueue") -> Run:
    new = NewRun(workflow="talk", payload={"do": do}, thread=thread, multitask_strategy=strategy)
    return create_run(new)


def log(thread_id: UUID) -> list[str]:
    head = Thread.objects.get(pk=thread_id).checkpoint_id
    if head is None:
        return []
    view = reading.read_state(workflows.get("talk").graph.graph, thread_id, head)
    assert view is not None
    return list(view.values["log"])


def status(*runs: Run) -> list[str]:
    found = {run.pk: str(run.status) for run in Run.objects.filter(pk__in=[r.pk for r in runs])}
    return [found[run.pk] for run in runs]


def while_it_waits(talk: Started, drain: Callable[[], None], act: Callable[[], Any]) -> Any:
    """Do something while the worker executes a run that waits; then let the worker go on until
    there is nothing to do."""
    done: list[Any] = []

    def acting() -> None:
        try:
            assert talk.waiting.wait(20)
            done.append(act())
        finally:
            connections.close_all()

    thread = threading.Thread(target=acting)
    thread.start()
    drain()
    thread.join()
    assert done, "it was refused"
    return done[0]


def test_enqueue_waits_for_what_is_unfinished(talk: Started, drain: Callable[[], None]) -> None:
    one = ask("a")
    two, three = ask("b", one.thread_id), ask("c", one.thread_id)
    drain()
    assert status(one, two, three) == ["completed"] * 3
    assert log(one.thread_id) == [f"{step} {run}" for run in "abc" for step in ("first", "second")]


@pytest.mark.parametrize("parked", ["sleeping", "put back", "paused"])
def test_enqueue_waits_for_what_has_begun(
    talk: Started, drain: Callable[[], None], parked: str
) -> None:
    """Even with a higher priority: beginning now would branch off from the middle of the other."""
    one = ask("sleep")
    drain()
    assert status(one) == ["sleeping"]
    if parked != "sleeping":
        Run.objects.filter(pk=one.pk).update(
            status=RunStatus.PENDING, paused_at=timezone.now() if parked == "paused" else None
        )
    two = create_run(NewRun(workflow="talk", payload={"do": "b"}, thread=one.thread_id, priority=9))
    expected = [str(one.pk)] if parked == "put back" else []
    assert [claimed.lease.run_id for claimed in claims.claim(uuid7(), 5)] == expected
    Run.objects.filter(pk=one.pk).update(status=RunStatus.COMPLETED, finished_at=timezone.now())
    assert [claimed.lease.run_id for claimed in claims.claim(uuid7(), 5)] == [str(two.pk)]


def test_nobody_waits_for_a_run_that_waits_for_an_answer(
    talk: Started, drain: Callable[[], None]
) -> None:
    one = ask("ask")
    drain()
    two = ask("b", one.thread_id)
    drain()
    assert status(one, two) == ["interrupted", "completed"]


@pytest.mark.parametrize("do", ["ask", "sleep"])
def test_two_that_have_begun_do_not_wait_for_each_other(
    talk: Started, drain: Callable[[], None], do: str
) -> None:
    one = ask("ask")
    drain()
    two = ask(do, one.thread_id)
    drain()
    Run.objects.filter(pk__in=[one.pk, two.pk]).update(status=RunStatus.PENDING)
    assert len(claims.claim(uuid7(), 5)) == 1
    assert claims.claim(uuid7(), 5) == []


@pytest.mark.parametrize("do", ["", "ask", "sleep"], ids=["pending", "interrupted", "sleeping"])
def test_reject(talk: Started, drain: Callable[[], None], do: str) -> None:
    one = ask(do or "a")
    if do:
        drain()
    with pytest.raises(Problem) as refused:
        ask("b", one.thread_id, "reject")
    assert (refused.value.status, refused.value.code) == (409, "thread_busy")
    assert str(one.pk) in refused.value.detail and "cancel it" in refused.value.detail
    assert Run.objects.count() == 1
    Run.objects.update(status=RunStatus.COMPLETED, finished_at=timezone.now())
    assert ask("b", one.thread_id, "reject").status == "pending"


def test_interrupt_goes_on_from_what_was_done(talk: Started, drain: Callable[[], None]) -> None:
    one = ask("wait")
    two = while_it_waits(talk, drain, lambda: ask("b", one.thread_id, "interrupt"))
    assert status(one, two) == ["cancelled", "completed"]
    assert log(one.thread_id) == ["first wait", "first b", "second b"]
    one.refresh_from_db()
    assert one.cancel_reason == f"interrupt by run {two.pk}"
    two.refresh_from_db()
    assert one.finished_at is not None and two.started_at is not None
    assert one.finished_at <= two.started_at


def test_rollback_begins_from_before_it(talk: Started, drain: Callable[[], None]) -> None:
    zero = ask("zero")
    drain()
    one = ask("wait", zero.thread_id)
    two = while_it_waits(talk, drain, lambda: ask("b", zero.thread_id, "rollback"))
    assert status(one, two) == ["cancelled", "completed"]
    assert log(one.thread_id) == ["first zero", "second zero", "first b", "second b"]
    kept = Checkpoint.objects.filter(run=zero).latest("step")
    begun = Checkpoint.objects.filter(run=two).earliest("step")
    assert begun.parent_id == kept.id
    # what it did stays on record as its own
    assert Checkpoint.objects.filter(run=one).count() == 2


def test_rollback_of_the_first_run_begins_with_nothing(
    talk: Started, drain: Callable[[], None]
) -> None:
    one = ask("wait")
    two = while_it_waits(talk, drain, lambda: ask("b", one.thread_id, "rollback"))
    assert status(one, two) == ["cancelled", "completed"]
    assert log(one.thread_id) == ["first b", "second b"]


def test_a_late_superstep_of_a_run_that_is_rolled_back_is_dropped(
    talk: Started, drain: Callable[[], None], settings: Settings
) -> None:
    """Its node ends of itself before its worker has heard: the thread stays where it was put."""
    two: list[Run] = []

    async def only(state: State) -> State:
        if state["do"] == "make":
            thread = threading.Thread(target=make)
            thread.start()
            thread.join()
        return {"log": [state["do"]]}

    def make() -> None:
        try:
            new = NewRun(
                workflow="quick",
                payload={"do": "b"},
                thread=one.thread_id,
                multitask_strategy="rollback",
            )
            two.append(create_run(new))
        finally:
            connections.close_all()

    graph = StateGraph(State).add_node("only", only).add_edge(START, "only").compile()
    workflows.register("quick", graph, input_schema={"type": "object"})
    one = create_run(NewRun(workflow="quick", payload={"do": "make"}))
    drain()
    assert status(one, two[0]) == ["cancelled", "completed"]
    assert log(one.thread_id) == ["b"]
    assert [e.name for e in Event.objects.filter(run=one).order_by("seq")][-1] == "cancelled"


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_all_that_is_unfinished_makes_way(
    talk: Started, drain: Callable[[], None], strategy: str
) -> None:
    zero = ask("zero")
    drain()
    asking = ask("ask", zero.thread_id)
    drain()
    napping = ask("sleep", zero.thread_id)
    drain()
    waiting = ask("c", zero.thread_id)
    assert status(asking, napping, waiting) == ["interrupted", "sleeping", "pending"]
    new = ask("b", zero.thread_id, strategy)
    assert status(asking, napping, waiting) == ["cancelled"] * 3
    drain()
    assert status(new) == ["completed"]
    kept = ["first ask", "first sleep"] if strategy == "interrupt" else []
    assert log(zero.thread_id) == ["first zero", "second zero", *kept, "first b", "second b"]


def test_interrupting_first_and_rolling_back_then(talk: Started) -> None:
    one = ask("wait")
    claims.claim(uuid7(), 1)
    two = ask("b", one.thread_id, "interrupt")
    three = ask("c", one.thread_id, "rollback")
    one.refresh_from_db()
    assert (one.status, one.rolled_back) == ("running", True)
    assert one.cancel_reason == f"interrupt by run {two.pk}"
    assert status(two, three) == ["cancelled", "pending"]


def test_runs_of_one_request_do_not_make_way_for_each_other(talk: Started) -> None:
    one = ask("a")

    def new(strategy: str, thread: UUID | None) -> NewRun:
        return NewRun(workflow="talk", thread=thread, multitask_strategy=strategy)

    with pytest.raises(Problem) as refused:
        create_runs([new("enqueue", one.thread_id), new("interrupt", one.thread_id)])
    assert refused.value.errors[0]["at"] == "/1/multitask_strategy"
    assert status(one) == ["pending"]
    create_runs([new("interrupt", one.thread_id), new("enqueue", None)])
    assert status(one) == ["cancelled"]


def test_asking_twice_with_one_key_makes_way_once(talk: Started) -> None:
    one = ask("a")
    new = NewRun(
        workflow="talk", payload={"do": "b"}, thread=one.thread_id, multitask_strategy="reject"
    )
    with pytest.raises(Problem, match="reject"):
        create(CreateRequest(news=[new], key="key"))
    Run.objects.update(status=RunStatus.COMPLETED, finished_at=timezone.now())
    made, again = (create(CreateRequest(news=[new], key="key")) for _ in range(2))
    assert (made.new, again.new, made.runs) == (True, False, again.runs)


def test_those_that_are_asked_for_at_the_same_time_do_not_slip_past_each_other(
    talk: Started,
) -> None:
    thread = Thread.objects.create().pk

    def request_for(strategy: str) -> CreateRequest:
        new = NewRun(
            workflow="talk", payload={"do": "b"}, thread=thread, multitask_strategy=strategy
        )
        return CreateRequest(news=[new])

    outcomes = create_many([request_for("reject"), request_for("reject"), request_for("enqueue")])
    said = [getattr(outcome, "code", "made") for outcome in outcomes]
    assert said == ["thread_busy", "thread_busy", "made"]


def test_over_http(api: APIClient, talk: Started) -> None:
    one = ask("a")
    body = {"workflow": "talk", "thread": str(one.thread_id), "payload": {"do": "b"}}
    answer = api.post("/api/runs/", {**body, "multitask_strategy": "reject"})
    assert (answer.status_code, answer.json()["code"]) == (409, "thread_busy")
    answer = api.post("/api/runs/", {**body, "multitask_strategy": "interrupt"})
    assert answer.status_code == 201 and status(one) == ["cancelled"]
    for wrong in ("cancel", None, 3, ["reject"]):
        answer = api.post("/api/runs/", {**body, "multitask_strategy": wrong})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["at"] == "/multitask_strategy"


def test_from_the_command_line(talk: Started, capsys: pytest.CaptureFixture[str]) -> None:
    one = ask("a")
    given = ["run_workflow", "talk", "--thread", str(one.thread_id), "--multitask-strategy"]
    with pytest.raises(CommandError, match="reject"):
        call_command(*given, "reject")
    call_command(
        *given, "rollback", "--concurrency-key", "k", "--concurrency-limit", "3", "--priority", "2"
    )
    made = Run.objects.get(pk=capsys.readouterr().out.split()[0])
    assert status(one) == ["cancelled"]
    assert (made.concurrency_key, made.concurrency_limit, made.priority) == ("k", 3, 2)
    with pytest.raises(CommandError, match="not the id of a thread"):
        call_command("run_workflow", "talk", "--thread", "x")


def test_a_run_and_its_journal_never_wait_for_each_other(
    talk: Started, drain: Callable[[], None]
) -> None:
    """Strategies lock runs and a thread while the journal commits to both."""
    zero = ask("a")
    for _ in range(5):
        talk.waiting.clear()
        ask("wait", zero.thread_id)
        last = while_it_waits(talk, drain, lambda: ask("b", zero.thread_id, "rollback"))
        assert status(last) == ["completed"]
    assert log(zero.thread_id)[-2:] == ["first b", "second b"]


@pytest.mark.parametrize("strategy", ["reject", "interrupt", "rollback"])
def test_a_strategy_without_a_thread_is_refused(
    api: APIClient, talk: Started, strategy: str
) -> None:
    before = Run.objects.count()
    body = {"workflow": "talk", "payload": {"do": "a"}}
    answer = api.post("/api/runs/", {**body, "multitask_strategy": strategy})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "/multitask_strategy")
    assert "give the `thread`, too" in answer.json()["errors"][0]["detail"]
    assert Run.objects.count() == before
    assert api.post("/api/runs/", {**body, "multitask_strategy": "enqueue"}).status_code == 201
