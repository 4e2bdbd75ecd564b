"""What a run costs to keep and to load, in the database: nothing large is stored twice."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from django.apps import apps
from django.db import connection
from django.db.models.sql import compiler

from artifacts.models import Artifact
from runs import workflows
from runs.engine import END, START, StateGraph
from runs.journal import reading
from runs.models import Payload, Run, State
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.replay import replay_run
from runs.queries.summaries import detail
from tests.integration.counting import Register, result

pytestmark = pytest.mark.django_db(transaction=True)

LINES = [f"{number:04}" + "x" * 996 for number in range(1_000)]


class Log(TypedDict, total=False):
    lines: Annotated[list[str], operator.add]
    left: int


class Two(TypedDict, total=False):
    big: str
    small: str


async def append(state: Log) -> Log:
    return {"lines": [f"{state['left']:04}" + "y" * 996], "left": state["left"] - 1}


def more(state: Log) -> str:
    return "append" if state["left"] else END


@pytest.fixture
def appending(register: Register) -> str:
    graph = StateGraph(Log).add_node("append", append).add_edge(START, "append")
    return register(graph.add_conditional_edges("append", more, ["append", END]))


def stored_bytes() -> int:
    """What all columns of all tables hold, and the files."""
    total = sum(Artifact.objects.values_list("size", flat=True))
    with connection.cursor() as cursor:
        models: list[Any] = [*apps.get_app_config("runs").get_models(), Artifact]
        for model in models:
            for field in model._meta.concrete_fields:
                size = f'SUM(LENGTH(CAST("{field.column}" AS TEXT)))'
                cursor.execute(f"SELECT COALESCE({size}, 0) FROM {model._meta.db_table}")
                total += int(cursor.fetchone()[0])
    return total


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the sizes of the rows that are fetched."""
    sizes: list[int] = []
    real = compiler.cursor_iter

    def counting(*args: Any, **options: Any) -> Iterator[Any]:
        for rows in real(*args, **options):
            sizes.append(sum(len(str(value)) for row in rows for value in row))
            yield rows

    monkeypatch.setattr(compiler, "cursor_iter", counting)
    return sizes


def values(run: Run, step: int) -> dict[str, Any]:
    graph = workflows.get(run.workflow).graph.graph
    checkpoint = run.checkpoints.get(step=step, namespace="")
    state = reading.read_state(graph, run.thread_id, checkpoint.id)
    assert state is not None
    return dict(state.values)


def test_small_additions_to_a_large_state(
    appending: str, drain: Callable[[], None], read: list[int]
) -> None:
    before = stored_bytes()
    run = create_run(NewRun(workflow=appending, payload={"lines": LINES, "left": 50}))
    drain()
    run.refresh_from_db()
    assert (run.status, run.step) == ("completed", 50), run.error
    assert stored_bytes() - before <= 3_000_000

    read.clear()
    saved = reading.load(str(run.thread_id), "", None, None)
    assert saved is not None and len(saved.chains["lines"]) == 51
    assert 1_050_000 <= sum(read) <= 2_500_000
    # Nothing is lost by it: each step can be looked at, and what was given is shown.
    for step in (0, 1, 50):
        assert values(run, step)["left"] == 50 - step
        assert values(run, step)["lines"][:1000] == LINES
        assert len(values(run, step)["lines"]) == 1_000 + step
    assert detail(run)["payload"] == {"lines": LINES, "left": 50}


def test_replays_of_a_large_run(appending: str, drain: Callable[[], None]) -> None:
    payload = {"lines": LINES[:20], "left": 2}
    run = create_run(NewRun(workflow=appending, payload=payload))
    drain()
    assert State.objects.filter(given=True, value="").count() == 1
    again = replay_run(run.id, changes={"left": 1})
    onward = replay_run(run.id, from_step=1)
    forked = replay_run(run.id, from_step=0, changes={"left": 3})
    assert Payload.objects.count() == 2, "a replay from a step has no copy"
    assert onward.given == forked.given == payload
    drain()
    assert len(result(run)["lines"]) == len(result(onward)["lines"]) == 22
    assert [len(result(again)["lines"]), len(result(forked)["lines"])] == [21, 23]
    assert again.given == {**payload, "left": 1}
    assert replay_run(forked.id).given == payload


def test_a_large_addition_to_a_thread(appending: str, drain: Callable[[], None]) -> None:
    first = create_run(NewRun(workflow=appending, payload={"lines": LINES[:100], "left": 1}))
    drain()
    added = {"lines": LINES[100:130], "left": 1}
    second = create_run(NewRun(workflow=appending, payload=added, thread=first.thread_id))
    drain()
    stored = State.objects.filter(given=True).order_by("id")
    assert [state.is_delta for state in stored] == [False, True]
    lines = result(second)["lines"]
    assert (lines[:100], lines[101:131]) == (LINES[:100], LINES[100:130])
    assert len(lines) == 132


def test_a_value_that_is_a_small_part_of_the_input_is_stored_itself(
    register: Register, drain: Callable[[], None]
) -> None:
    name = register(StateGraph(Two).add_node("n", lambda s: {"big": ""}).add_edge(START, "n"))
    run = create_run(NewRun(workflow=name, payload={"big": "b" * 90_000, "small": "s" * 9_000}))
    drain()
    assert list(State.objects.filter(given=True).values_list("channel", flat=True)) == ["big"]
    assert result(run) == {"big": "", "small": "s" * 9_000}


def test_a_small_payload_stays_with_its_run(appending: str, drain: Callable[[], None]) -> None:
    run = create_run(NewRun(workflow=appending, payload={"lines": ["a"], "left": 1}))
    drain()
    assert not Payload.objects.exists()
    assert not State.objects.filter(given=True).exists()
    assert run.given == {"lines": ["a"], "left": 1}
