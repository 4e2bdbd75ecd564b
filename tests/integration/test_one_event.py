"""GET /api/runs/{id}/events/{seq}: what was too long for a frame; and how others tell of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypedDict
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from runs.engine import START, Command, Send, StateGraph, interrupt, task
from runs.models import Event, Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from tests.integration.counting import Register

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 12


class State(TypedDict, total=False):
    a: Any


def ask(state: State) -> State:
    return {"a": interrupt({"due": datetime(2026, 1, 2, tzinfo=UTC), "n": state["a"]})}


def fan(state: State) -> Command[Any]:
    return Command(goto=[Send("ask", {"a": n}) for n in range(MANY)])


def grow(state: State) -> State:
    return {"a": "x" * 300_000}


@pytest.fixture
def done(register: Register, drain: Callable[[], None]) -> Callable[[StateGraph], Run]:
    """The run of a graph, where it stops."""

    def ran(graph: StateGraph) -> Run:
        run = create_run(NewRun(workflow=register(graph), payload={"a": 0}))
        drain()
        run.refresh_from_db()
        return run

    return ran


def test_an_update_that_was_cut_says_where_the_state_is(
    api: APIClient, done: Callable[[StateGraph], Run]
) -> None:
    run = done(StateGraph(State).add_node("grow", grow).add_edge(START, "grow"))
    shown = api.get(f"/api/runs/{run.id}/events").json()["results"]
    (update,) = [frame for frame in shown if frame["event"] == "node_update"]
    assert update["data"]["$cut"] > 300_000
    whole = api.get(update["data_url"]).json()
    assert whole["data"] == update["data"]
    assert api.get(whole["state_url"]).json()["values"] == grow({})


@pytest.mark.parametrize("state", [{"$cut": 5}, {"$cut": 300_000, "head": "x"}, {"head": "x"}])
def test_a_key_of_the_state_is_not_taken_for_a_cut(
    api: APIClient, done: Callable[[StateGraph], Run], state: dict[str, Any]
) -> None:
    schema = TypedDict("schema", dict.fromkeys(("a", "$cut", "head"), Any), total=False)  # type: ignore[misc]
    run = done(StateGraph(schema).add_node("cut", lambda s: state).add_edge(START, "cut"))
    shown = api.get(f"/api/runs/{run.id}/events").json()["results"]
    (update,) = [frame for frame in shown if frame["event"] == "node_update"]
    assert update["data"] == state
    assert "data_url" not in update
    whole = api.get(f"/api/runs/{run.id}/events/{update['seq']}").json()
    assert whole == update


def test_what_a_task_answers_is_not_taken_for_a_cut(
    api: APIClient, done: Callable[[StateGraph], Run]
) -> None:
    answer = {"$cut": 1, "head": ""}

    @task
    async def cuts() -> dict[str, Any]:
        return answer

    async def node(state: State) -> State:
        return {"a": await cuts()}

    run = done(StateGraph(State).add_node("node", node).add_edge(START, "node"))
    shown = api.get(f"/api/runs/{run.id}/events").json()["results"]
    updates = [frame for frame in shown if frame["event"] == "node_update"]
    assert [frame["data"] for frame in updates] == [answer, {"a": answer}]
    assert not any("data_url" in frame for frame in updates)


@pytest.mark.parametrize("seq", ["1", "01", "1/"])
def test_a_short_one_is_as_it_is_everywhere(
    api: APIClient, done: Callable[[StateGraph], Run], seq: str
) -> None:
    run = done(StateGraph(State).add_node("ask", ask).add_edge(START, "ask"))
    first = api.get(f"/api/runs/{run.id}/events?limit=1").json()["results"][0]
    assert api.get(f"/api/runs/{run.id}/events/{seq}").json() == first


def test_there_is_no_such_event(api: APIClient, done: Callable[[StateGraph], Run]) -> None:
    run = done(StateGraph(State).add_node("ask", ask).add_edge(START, "ask"))
    for path, code in {
        f"/api/runs/{run.id}/events/999": "unknown_event",
        f"/api/runs/{run.id}/events/0": "unknown_event",
        f"/api/runs/{run.id}/events/x": "not_found",
        f"/api/runs/{uuid4()}/events/1": "unknown_run",
        "/api/runs/x/events/1": "unknown_run",
    }.items():
        answer = api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, code), path


def test_what_waits_is_told_in_plain_json_and_not_at_length(
    api: APIClient, done: Callable[[StateGraph], Run]
) -> None:
    graph = StateGraph(State).add_node("fan", fan, destinations=["ask"]).add_node("ask", ask)
    run = done(graph.add_edge(START, "fan"))
    (cause,) = api.get(f"/api/runs/{run.id}/why").json()["causes"]
    assert "{'due': '2026-01-02T00:00:00+00:00', 'n': 9} of node 'ask'" in cause["detail"]
    assert cause["detail"].endswith("; and to 2 more questions.")
    answer = api.post(f"/api/runs/{run.id}/resume", {"resume": {str(uuid4()): 1}})
    assert answer.status_code == 422
    assert " and 2 more" in answer.json()["detail"]
    assert api.post(f"/api/runs/{run.id}/resume", {}).json()["detail"].endswith(" and 2 more.")


def test_a_retry_whose_error_was_cut_is_told_all_the_same(
    api: APIClient, done: Callable[[StateGraph], Run]
) -> None:
    run = done(StateGraph(State).add_node("ask", ask).add_edge(START, "ask"))
    told = Event.objects.filter(run=run, name="node_started").latest("seq")
    Event.objects.filter(pk=told.pk).update(name="retry", data='{"$cut":9,"head":""}')
    Run.objects.filter(pk=run.pk).update(
        status="running", lease_expires_at=datetime(2999, 1, 1, tzinfo=UTC)
    )
    (cause,) = api.get(f"/api/runs/{run.id}/why").json()["causes"]
    assert cause["code"] == "retrying"
