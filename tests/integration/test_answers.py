"""POST /api/runs/{run_id}/resume and `manage.py resume_run`: answering a run that waits."""

from __future__ import annotations

import asyncio
import itertools
import json
import operator
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from artifacts.models import Artifact
from artifacts.store import read
from runs import workflows
from runs.engine import END, START, Context, StateGraph, interrupt
from runs.models import Event, PendingWrite, Run, RunStatus
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.pause import pause_run
from runs.operations.replay import replay_run

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


async def ask(state: State) -> State:
    return {"log": [interrupt("sure?")]}


async def ask_too(state: State) -> State:
    return {"log": [interrupt("really?")]}


async def aside(state: State) -> State:
    return {"log": ["aside", *state.get("log", [])[:1]]}


@pytest.fixture
def waiting(drain: Callable[[], None]) -> Iterator[Callable[..., Run]]:
    """An interrupted run of a graph whose first nodes are those given; `aside` lies beside."""
    with workflows.temporary():

        def started(*nodes: Any, **options: Any) -> Run:
            graph = StateGraph(State).add_node("aside", aside)
            graph.add_conditional_edges(START, lambda state: END, ["aside", END])
            for node in nodes:
                graph.add_node(node.__name__, node).add_edge(START, node.__name__)
            compiled = graph.compile(**options)
            workflows.register("asking", compiled, input_schema={"type": "object"})
            run = create_run(NewRun(workflow="asking", payload={"log": ["in"]}))
            drain()
            run.refresh_from_db()
            assert run.status == "interrupted", run.error
            return run

        yield started


def output(run: Run) -> list[Any]:
    run.refresh_from_db()
    assert run.status == "completed", run.error
    found = json.loads(read(Artifact.objects.get(run=run, name="result.json").id))
    return list(found["log"])


def asked(run: Run) -> dict[str, str]:
    event = Event.objects.filter(run=run, name="interrupted").latest("seq")
    return {one["value"]: one["id"] for one in event.decoded["interrupts"]}


@pytest.mark.parametrize("answer", ["yes", 0, False, {"a": [1, None]}, [], None, {}], ids=repr)
def test_an_answer(
    api: APIClient, waiting: Callable[..., Run], drain: Callable[[], None], answer: Any
) -> None:
    run = waiting(ask)
    said = api.post(f"/api/runs/{run.id}/resume", {"resume": answer})
    assert (said.status_code, said.json()["status"]) == (200, "pending")
    drain()
    assert output(run) == ["in", answer]


def test_answers_by_id(
    api: APIClient, waiting: Callable[..., Run], drain: Callable[[], None]
) -> None:
    run = waiting(ask, ask_too)
    ids = asked(run)
    answers = {ids["really?"]: "two", ids["sure?"]: "one"}
    assert api.post(f"/api/runs/{run.id}/resume/", {"resume": answers}).status_code == 200
    drain()
    assert output(run) == ["in", "one", "two"]


def test_update_and_goto(
    api: APIClient, waiting: Callable[..., Run], drain: Callable[[], None]
) -> None:
    run = waiting(ask)
    goto = ["aside", {"node": "aside", "input": {"log": ["own"]}}]
    body = {"resume": "yes", "update": {"log": ["by hand"]}, "goto": goto}
    assert api.post(f"/api/runs/{run.id}/resume", body).status_code == 200
    drain()
    assert sorted(map(str, output(run))) == sorted(
        ["in", "by hand", "yes", "aside", "in", "aside", "own"]
    )


def test_a_stop_takes_an_empty_body(
    api: APIClient, waiting: Callable[..., Run], drain: Callable[[], None]
) -> None:
    async def work(state: State) -> State:
        return {"log": ["worked"]}

    run = waiting(work, interrupt_before=["work"])
    assert api.post(f"/api/runs/{run.id}/resume").status_code == 200
    drain()
    assert output(run) == ["in", "worked"]


def test_saying_nothing_to_a_question_is_refused(
    api: APIClient, waiting: Callable[..., Run]
) -> None:
    run = waiting(ask)
    (question,) = asked(run).values()
    answer = api.post(f"/api/runs/{run.id}/resume", {})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_answer")
    assert question in answer.json()["detail"]


def test_a_mapping_of_other_ids_is_refused_and_the_refusal_says_how_to_give_it(
    api: APIClient, waiting: Callable[..., Run], drain: Callable[[], None]
) -> None:
    run = waiting(ask)
    (question,) = asked(run).values()
    mapping = {str(uuid4()): "ok"}
    refused = api.post(f"/api/runs/{run.id}/resume", {"resume": mapping})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_answer")
    assert f'{{"{question}": {{...}}}}' in refused.json()["detail"]
    by_id = {"resume": {question: mapping}}
    assert api.post(f"/api/runs/{run.id}/resume", by_id).status_code == 200
    drain()
    assert output(run) == ["in", mapping]


def test_questions_and_steps_at_once_keep_their_own_in_another_order(
    api: APIClient, waiting: Callable[..., Run], drain: Callable[[], None]
) -> None:
    calls: list[str] = []
    times = itertools.count()

    def fetch(word: str) -> str:
        calls.append(word)
        return f"<{word}>"

    async def both(state: State, ctx: Context) -> State:
        order = "ab" if next(times) % 2 == 0 else "ba"

        async def one(word: str) -> list[str]:
            for _ in range(3 * order.index(word)):
                await asyncio.sleep(0)
            return [await ctx.step("fetch", fetch, word), interrupt(word)]

        return {"log": [*await asyncio.gather(one("a"), one("b"), return_exceptions=True)]}

    run = waiting(both)
    for word in "ba":
        ids = asked(run)
        assert sorted(ids) in (["a", "b"], ["a"])
        body = {"resume": {ids[word]: f"!{word}"}}
        assert api.post(f"/api/runs/{run.id}/resume", body).status_code == 200
        drain()
    assert output(run) == ["in", ["<a>", "!a"], ["<b>", "!b"]]
    assert sorted(calls) == ["a", "b"]


def test_a_changed_argument_fails_the_run_and_says_what_to_do(
    api: APIClient, waiting: Callable[..., Run], drain: Callable[[], None]
) -> None:
    times = itertools.count()

    async def charges(state: State, ctx: Context) -> State:
        await ctx.step("charge", str, next(times))
        return {"log": [interrupt("?")]}

    run = waiting(charges)
    api.post(f"/api/runs/{run.id}/resume", {"resume": 1})
    drain()
    run.refresh_from_db()
    assert run.status == "failed"
    assert run.error is not None and run.error["type"] == "IdentityError"
    assert "key=" in run.error["message"]


def test_answers_of_none_by_id_and_by_command_line(
    api: APIClient, waiting: Callable[..., Run], drain: Callable[[], None]
) -> None:
    run = waiting(ask, ask_too)
    body = {"resume": {asked(run)["really?"]: None}}
    assert api.post(f"/api/runs/{run.id}/resume", body).status_code == 200
    drain()
    call_command("resume_run", str(run.id), "--answer", "null")
    drain()
    assert output(run) == ["in", None, None]


@pytest.mark.parametrize("status", [s for s in RunStatus if s != RunStatus.INTERRUPTED], ids=str)
def test_a_run_that_does_not_wait(
    api: APIClient, waiting: Callable[..., Run], status: RunStatus
) -> None:
    run = waiting(ask)
    finished = timezone.now() if status in ("completed", "failed", "cancelled") else None
    Run.objects.filter(pk=run.pk).update(status=status, finished_at=finished)
    answer = api.post(f"/api/runs/{run.id}/resume", {"resume": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_interrupted")
    advice = str(run.thread_id) if finished else f"/api/runs/{run.id}/why"
    assert str(status) in answer.json()["detail"] and advice in answer.json()["detail"]


def test_a_paused_run_is_told_from_one_that_asks(
    api: APIClient, waiting: Callable[..., Run]
) -> None:
    run = waiting(ask)
    assert "`resume`" in api.post(f"/api/runs/{run.id}/unpause").json()["detail"]
    pause_run(run.id)
    assert api.post(f"/api/runs/{run.id}/resume", {"resume": 1}).status_code == 200
    assert "unpause it" in api.post(f"/api/runs/{run.id}/resume", {"resume": 1}).json()["detail"]


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ([], None),
        ({"answer": 1}, "/answer"),
        ({"resume": "a\x00"}, "/resume"),
        ({"resume": 2**70}, "/resume"),
        ({"resume": 1, "update": [1]}, "/update"),
        ({"resume": 1, "update": {"log": ["\ud800"]}}, "/update/log/0"),
        ({"resume": 1, "goto": 5}, "/goto"),
        ({"resume": 1, "goto": ["aside", {"node": "aside"}]}, "/goto/1"),
        ({"resume": 1, "goto": {"node": 7, "input": 1}}, "/goto"),
    ],
    ids=["list", "field", "NUL", "big", "update", "surrogate", "goto", "send", "node"],
)
def test_a_body_that_does_not_fit(
    api: APIClient, waiting: Callable[..., Run], body: Any, at: str | None
) -> None:
    run = waiting(ask)
    before = PendingWrite.objects.count()
    answer = api.post(f"/api/runs/{run.id}/resume", json.dumps(body), content_type="text/plain")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [fault["at"] for fault in answer.json().get("errors", [])] == ([at] if at else [])
    assert PendingWrite.objects.count() == before


@pytest.mark.parametrize(
    "body",
    [
        {"resume": {str(UUID(int=1)): 1}},
        {"resume": 1, "update": {"typo": 1}},
        {"resume": 1, "goto": "nowhere"},
        {"resume": 1, "goto": {"node": "nowhere", "input": 1}},
    ],
    ids=["id", "update", "goto", "send"],
)
def test_what_the_graph_does_not_take(
    api: APIClient, waiting: Callable[..., Run], body: dict[str, Any]
) -> None:
    run = waiting(ask)
    answer = api.post(f"/api/runs/{run.id}/resume", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_answer")
    run.refresh_from_db()
    assert run.status == "interrupted"


def test_nobody_is_404(api: APIClient) -> None:
    for nobody in ("x", uuid4()):
        assert api.post(f"/api/runs/{nobody}/resume", {"resume": 1}).status_code == 404


def test_from_the_command_line(
    waiting: Callable[..., Run],
    drain: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = waiting(ask)
    for wrong, says in (
        (["--answer", "yes"], "not JSON"),
        (["--answer", '"\\u0000"'], "NUL"),
        (["--goto", "nowhere"], "nowhere"),
        ([], "Nothing is said"),
    ):
        with pytest.raises(CommandError, match=says):
            call_command("resume_run", str(run.id), *wrong)
    update = ["--update", '{"log": ["by hand"]}', "--goto", "aside"]
    call_command("resume_run", str(run.id), "--answer", '"yes"', *update)
    assert capsys.readouterr().out.split() == [str(run.id)]
    drain()
    assert sorted(output(run)) == sorted(["in", "by hand", "yes", "aside", "in"])
    with pytest.raises(CommandError, match="only an interrupted run"):
        call_command("resume_run", str(run.id), "--answer", "1")


@pytest.mark.parametrize("changes", [{}, {"log": ["changed"]}])
def test_replay_of_interrupted_run_asks_under_the_same_id(
    waiting: Callable[..., Run], drain: Callable[[], None], changes: dict[str, Any]
) -> None:
    first = waiting(ask)
    again = replay_run(first.id, from_step=0, changes=changes)
    drain()
    again.refresh_from_db()
    assert again.status == "interrupted", again.error
    assert asked(again) == asked(first)
    twice = replay_run(again.id, from_step=0, changes={"log": ["twice"]}) if changes else again
    drain()
    assert asked(twice) == asked(first), "a fork of a fork"
