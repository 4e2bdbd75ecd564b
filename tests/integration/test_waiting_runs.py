"""Runs that wait: for an answer, for a time, in a subgraph; and that go on where they were."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django import Settings

from runs import workflows
from runs.engine import START, Command, Context, StateGraph, ids, interrupt, serde
from runs.errors import Problem
from runs.models import Event, PendingWrite, Run, RunStatus, Thread
from runs.operations.resume import resume_run
from runs.scheduling import recovery
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)

Build = Callable[[StateGraph], Run]
Drain = Callable[[Run], Run]


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


class Inner(TypedDict, total=False):
    word: str


CALLS: list[str] = []


async def ask(state: State, ctx: Context) -> State:
    paid = await ctx.step("pay", CALLS.append, "pay")
    return {"log": [paid, interrupt({"question": "sure?"})]}


async def beside(state: State) -> State:
    CALLS.append("beside")
    return {"log": ["beside"]}


async def nap(state: State, ctx: Context) -> State:
    CALLS.append("nap")
    await ctx.sleep(3600)
    return {"log": ["rested"]}


async def inside(state: Inner) -> Inner:
    return {"word": f"{interrupt('one')}{interrupt('two')}"}


@pytest.fixture
def begin() -> Iterator[Build]:
    with workflows.temporary():
        CALLS.clear()

        def begin(builder: StateGraph) -> Run:
            workflows.register("under_test", builder.compile())
            thread = Thread.objects.create()
            return Run.objects.create(thread=thread, workflow="under_test", payload={"log": ["in"]})

        yield begin


@pytest.fixture
def drain(settings: Settings) -> Drain:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02}

    def drain(run: Run) -> Run:
        run_pending()
        return Run.objects.get(pk=run.pk)

    return drain


def asking() -> StateGraph:
    builder = StateGraph(State).add_node(ask).add_node(beside)
    return builder.add_edge(START, "ask").add_edge(START, "beside")


def last(run: Run) -> Event:
    found = Event.objects.filter(run=run).order_by("seq").last()
    assert found is not None
    return found


def test_a_question_waits_in_the_database_and_its_answer_goes_on(
    begin: Build, drain: Drain
) -> None:
    run = drain(begin(asking()))
    assert (run.status, run.finished_at, run.lease_owner) == ("interrupted", None, None)
    assert last(run).name == "interrupted"
    (asked,) = last(run).decoded["interrupts"]
    assert (asked["value"], asked["node"]) == ({"question": "sure?"}, "ask")
    assert sorted(CALLS) == ["beside", "pay"]

    assert resume_run(run.pk, Command(resume="yes")).status == "pending"
    run = drain(run)
    assert run.status == "completed"
    assert sorted(CALLS) == ["beside", "pay"], "what was done is not done again"
    names = list(Event.objects.filter(run=run).order_by("seq").values_list("name", flat=True))
    assert names.count("resumed") == 1
    assert names.count("node_started") == 2, "the log says once what happened once"
    left = PendingWrite.objects.values_list("kind", flat=True)
    assert list(left) == ["interrupt"], "a fork may be told another answer"


def test_questions_in_a_subgraph_are_answered_one_after_another(begin: Build, drain: Drain) -> None:
    sub = StateGraph(Inner).add_node(inside).add_edge(START, "inside").compile()

    async def outer(state: State) -> State:
        return {"log": [(await sub.ainvoke({"word": ""}))["word"]]}

    run = drain(begin(StateGraph(State).add_node(outer).add_edge(START, "outer")))
    seen = []
    for answer in ("a", "b"):
        (asked,) = last(run).decoded["interrupts"]
        assert asked["namespace"].startswith("outer:")
        seen.append(asked["value"])
        resume_run(run.pk, Command(resume={asked["id"]: answer}))
        run = drain(run)
    assert seen == ["one", "two"]
    assert run.status == "completed"
    update = Event.objects.get(run=run, name="node_update", namespace="")
    assert update.decoded == {"log": ["ab"]}


def test_an_update_beside_an_answer_is_stored(begin: Build, drain: Drain) -> None:
    run = drain(begin(asking()))
    resume_run(run.pk, Command(resume="yes", update={"log": ["by hand"]}))
    run = drain(run)
    stored = run.thread.states.order_by("-version").first()
    assert stored is not None
    assert "by hand" in stored.value


def test_a_sleeping_run_is_woken_by_the_sweep(begin: Build, drain: Drain) -> None:
    builder = StateGraph(State).add_node(nap).add_node(beside)
    run = drain(begin(builder.add_edge(START, "nap").add_edge(START, "beside")))
    assert run.status == "sleeping"
    assert run.wake_at is not None
    assert run.wake_at > timezone.now() + timedelta(minutes=59)
    assert last(run).name == "sleeping"
    assert recovery.sweep(timezone.now()).woken == 0

    early = timezone.now() - timedelta(seconds=1)
    PendingWrite.objects.filter(kind="sleep").update(value=serde.dumps(early).decode())
    Run.objects.filter(pk=run.pk).update(wake_at=early)
    assert recovery.sweep(timezone.now()).woken == 1
    run = drain(run)
    assert (run.status, run.wake_at) == ("completed", None)
    assert sorted(CALLS) == ["beside", "nap", "nap"]


@pytest.mark.parametrize("status", [s for s in RunStatus if s != RunStatus.INTERRUPTED])
def test_only_an_interrupted_run_takes_an_answer(begin: Build, status: RunStatus) -> None:
    run = begin(asking())
    Run.objects.filter(pk=run.pk).update(status=status)
    with pytest.raises(Problem) as problem:
        resume_run(run.pk, Command(resume=1))
    assert (problem.value.status, problem.value.code) == (409, "not_interrupted")


@pytest.mark.parametrize(
    "command",
    [
        Command(resume={str(ids.uuid7()): 1}),
        Command(resume=1, update={"typo": 1}),
        Command(resume=1, goto="nowhere"),
        Command(resume=object()),
    ],
    ids=["id", "update", "goto", "value"],
)
def test_an_answer_that_does_not_fit_changes_nothing(
    begin: Build, drain: Drain, command: Command[Any]
) -> None:
    run = drain(begin(asking()))
    before = PendingWrite.objects.count()
    with pytest.raises(Problem) as problem:
        resume_run(run.pk, command)
    assert (problem.value.status, problem.value.code) == (422, "invalid_answer")
    assert PendingWrite.objects.count() == before
    assert Run.objects.get(pk=run.pk).status == "interrupted"


def test_an_unknown_run_takes_no_answer() -> None:
    with pytest.raises(Problem) as problem:
        resume_run(UUID(int=7), Command(resume=1))
    assert problem.value.status == 404
