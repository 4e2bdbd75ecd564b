"""Creating and replaying runs: one transaction each, or a Problem and nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django_q.models import OrmQ

from runs import workflows
from runs.errors import Problem
from runs.journal import reading
from runs.lifecycle import wakeup
from runs.models import Checkpoint, Event, Run, State, Thread
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.replay import replay_run
from tests.integration.conftest import Trail

pytestmark = pytest.mark.django_db

DONE = ["first", "second", "third of hello"]


def values(run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    assert run.status == "completed", run.error
    graph = workflows.get(run.workflow).graph.graph
    assert run.checkpoint_id is not None
    view = reading.read_state(graph, run.thread_id, run.checkpoint_id)
    assert view is not None
    return dict(view.values)


def test_a_new_run_rings_in_its_own_transaction(trail: str) -> None:
    create_run(NewRun(workflow=trail, payload={"input": "x"}))

    assert OrmQ.objects.filter(key=wakeup.key()).count() == 1


def test_without_its_wake_up_there_is_no_run(trail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("no queue")

    monkeypatch.setattr(wakeup, "ring", broken)
    with pytest.raises(RuntimeError, match="no queue"):
        create_run(NewRun(workflow=trail, payload={"input": "x"}))

    assert (Run.objects.count(), Thread.objects.count(), Event.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize(
    "payload", [{"input": math.nan}, {"input": math.inf}, {"input": "x", 5: 1}, {"input": b"x"}, []]
)
def test_what_is_not_json_is_refused_from_python_too(trail: str, payload: Any) -> None:
    with pytest.raises(Problem) as caught:
        create_run(NewRun(workflow=trail, payload=payload))

    assert (caught.value.status, caught.value.code) == (422, "invalid")


@pytest.mark.parametrize(
    "schema", [{"$ref": "http://127.0.0.1:9/schema"}, {"$ref": "#/$defs/none"}, {"$ref": "#"}]
)
def test_a_schema_is_never_fetched(
    anything: str, monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any]
) -> None:
    graph = workflows.get(anything).graph
    with workflows.temporary():
        workflows.register("remote", graph, input_schema=schema)
        with pytest.raises(Problem) as caught:
            create_run(NewRun(workflow="remote", payload={}))

    assert caught.value.code == "unusable_schema"


def test_a_replay_begins_again_on_a_thread_of_its_own(
    finished: Run, work: Callable[[], None]
) -> None:
    again = replay_run(finished.id)
    work()

    assert again.source_run_id == finished.id
    assert again.thread_id != finished.thread_id
    assert again.name == finished.name
    assert values(again) == {"input": "hello", "done": DONE}


def test_a_replay_from_the_beginning_may_change_the_payload(
    finished: Run, work: Callable[[], None]
) -> None:
    again = replay_run(finished.id, changes={"input": "bye"})
    work()

    assert again.payload == {"input": "bye"}
    assert values(again)["done"][-1] == "third of bye"
    with pytest.raises(Problem) as caught:
        replay_run(finished.id, changes={"input": 5})
    assert caught.value.errors[0]["at"] == "/payload/input"


def test_a_replay_goes_on_from_a_step(finished: Run, work: Callable[[], None]) -> None:
    again = replay_run(finished.id, from_step=1)
    assert (again.thread_id, again.step) == (finished.thread_id, 1)
    assert again.checkpoint_id == Checkpoint.objects.get(run=finished, step=1).id
    work()

    assert values(again) == {"input": "hello", "done": DONE}
    nodes = Event.objects.filter(run=again, name="node_started").values_list("node", flat=True)
    assert list(nodes) == ["second", "third"]


def test_a_replay_may_change_the_state(finished: Run, work: Callable[[], None]) -> None:
    again = replay_run(finished.id, from_step=2, changes={"input": "bye", "done": ["edited"]})
    work()

    assert values(again) == {"input": "bye", "done": ["edited", "third of bye"]}
    fork = Checkpoint.objects.get(run=again, source="fork")
    assert (fork.step, fork.parent_id) == (
        2,
        Checkpoint.objects.get(run=finished, step=2).id,
    )
    assert values(finished) == {"input": "hello", "done": DONE}


def test_a_replay_of_a_replay(finished: Run, work: Callable[[], None]) -> None:
    once = replay_run(finished.id, from_step=2, changes={"done": ["edited"]})
    work()
    twice = replay_run(once.id, from_step=2)
    whole = replay_run(once.id)
    work()

    assert values(twice)["done"] == ["edited", "third of hello"]
    assert values(whole)["done"] == DONE


def test_a_failed_run_can_go_on_from_its_last_good_step(
    trail: str, work: Callable[[], None]
) -> None:
    run = create_run(NewRun(workflow=trail, payload={"input": "fail"}))
    work()
    run.refresh_from_db()
    assert run.status == "failed"

    again = replay_run(run.id, from_step=run.step, changes={"input": "hello"})
    work()

    assert values(again)["done"] == DONE


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"from_step": 4}, "unknown_step", "0 to 3"),
        ({"from_step": -1}, "unknown_step", "0 to 3"),
        ({"from_step": 2**70}, "unknown_step", "0 to 3"),
        ({"from_step": 1, "changes": {"colour": 1}}, "unknown_channel", "input, done"),
        ({"from_step": 1, "changes": {"input": "\x00"}}, "invalid", "/set/input"),
        ({"changes": {"input": math.nan}}, "invalid", "/set/input"),
        ({"changes": []}, "invalid", "/set"),
        ({"changes": ["input"]}, "invalid", "/set"),
    ],
)
def test_a_replay_that_cannot_be(
    finished: Run, options: dict[str, Any], code: str, words: str
) -> None:
    def count() -> list[int]:
        return [model._default_manager.count() for model in (Run, Thread, Event, State, Checkpoint)]

    before = count()
    with pytest.raises(Problem) as caught:
        replay_run(finished.id, **options)

    assert (caught.value.status, caught.value.code) == (422, code)
    assert words in caught.value.detail
    assert count() == before


def test_a_replay_of_nobody() -> None:
    with pytest.raises(Problem) as caught:
        replay_run(uuid4())

    assert (caught.value.status, caught.value.code) == (404, "unknown_run")


def test_a_replay_from_a_step_that_a_waiting_run_has_not(trail: str) -> None:
    run = create_run(NewRun(workflow=trail, payload={"input": "x"}))

    with pytest.raises(Problem, match="no checkpoint yet"):
        replay_run(run.id, from_step=0)


def test_a_run_on_a_thread_goes_on_with_its_state(finished: Run, work: Callable[[], None]) -> None:
    more = create_run(
        NewRun(workflow="trail", payload={"input": "more"}, thread=finished.thread_id)
    )
    work()

    assert values(more) == {"input": "more", "done": [*DONE, "first", "second", "third of more"]}
    assert set(Trail.__annotations__) == {"input", "done"}
