"""Events say which node of which graph they are of, also where several have one name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import orjson
import pytest

from runs.engine import START, StateGraph, task
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.queries import event_frames
from tests.integration.counting import Register

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    word: str


def fails(state: State) -> State:
    raise ValueError("no")


def passes(state: State) -> State:
    return {}


@task(name="work")
async def answering(word: str) -> str:
    return word


@task(name="work")
async def broken(word: str) -> str:
    raise ValueError(word)


async def calls(state: State) -> State:
    return {"word": await answering("x")}


async def calls_broken(state: State) -> State:
    return {"word": await broken("x")}


def graph(**nodes: Any) -> StateGraph:
    made = StateGraph(State)
    for before, (name, node) in zip([START, *nodes], nodes.items(), strict=False):
        made.add_node(name, node).add_edge(before, name)
    return made


@pytest.fixture
def frames_of(register: Register, work: Callable[[], None]) -> Callable[[StateGraph], Any]:
    """Runs a graph to its end; its frames."""

    def run(built: StateGraph) -> list[dict[str, Any]]:
        made = create_run(NewRun(workflow=register(built), payload={}))
        work()
        found = event_frames.read({made.pk: 0}, limit=1000)
        return [orjson.loads(frame.body) for frame in found]

    return run


def test_a_failure_inside_a_subgraph_says_where(frames_of: Callable[[StateGraph], Any]) -> None:
    inner = graph(work=fails).compile()
    (*_, last) = frames_of(graph(sub=inner, work=passes))
    assert (last["event"], last["node"]) == ("failed", "work")
    assert last["namespace"].startswith("sub:")


def test_a_failure_of_the_outer_graph_has_no_namespace(
    frames_of: Callable[[StateGraph], Any],
) -> None:
    inner = graph(work=passes).compile()
    (*_, last) = frames_of(graph(sub=inner, work=fails))
    assert (last["event"], last["node"]) == ("failed", "work")
    assert "namespace" not in last


def test_the_events_of_a_node_and_of_a_call_have_its_task_id(
    frames_of: Callable[[StateGraph], Any],
) -> None:
    found = frames_of(graph(outer=calls, work=passes))
    began = {e["task_id"]: e for e in found if e["event"] == "node_started"}
    ended = {e["task_id"]: e["node"] for e in found if e["event"] == "node_update"}
    assert ended == {task_id: e["node"] for task_id, e in began.items()}
    assert [e["data"]["task_id"] for e in began.values()] == list(began)
    (call,) = [e for e in began.values() if "called_by" in e["data"]]
    assert (call["node"], began[call["data"]["called_by"]]["node"]) == ("work", "outer")


def test_a_failed_call_is_told_from_a_node_of_its_name(
    frames_of: Callable[[StateGraph], Any],
) -> None:
    found = frames_of(graph(outer=calls_broken, work=passes))
    last = found[-1]
    (call,) = [e for e in found if e["event"] == "node_started" and "called_by" in e["data"]]
    assert (last["event"], last["node"], last["task_id"]) == ("failed", "work", call["task_id"])
