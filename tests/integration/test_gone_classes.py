"""What is on record of a class that is gone: shown everywhere as data, and explained to the runs
that need the object."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import (
    START,
    Command,
    Context,
    NotStorableError,
    Send,
    StateGraph,
    add_messages,
    interrupt,
    serde,
)
from runs.engine.values import allowed
from runs.models import Checkpoint, PendingWrite, Run, State
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = f"{__name__}:Order"


@dataclass
class Order:
    number: int
    id: str | None = None


class Shop(TypedDict, total=False):
    order: Any
    orders: Annotated[list[Any], operator.add]
    talk: Annotated[list[Any], add_messages]
    n: int


def take(state: Shop) -> Any:
    written = {"order": Order(1), "orders": [Order(2)], "talk": [Order(3)]}
    return Command(update=written, goto=[Send("ask", {"order": Order(4)}), "aside"])


async def ask(state: Shop, ctx: Context) -> Any:
    await ctx.step("find", lambda: Order(5))
    return {"n": interrupt({"sure?": Order(6)})}


def aside(state: Shop) -> Any:
    return {"orders": [Order(7)]}


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(allowed, "_allowed", dict(allowed._allowed))
    monkeypatch.setattr(allowed, "_names", dict(allowed._names))
    serde.allow(Order)
    with workflows.temporary():
        graph = StateGraph(Shop).add_node(take, destinations=["ask", "aside"]).add_node(ask)
        graph.add_node(aside).add_edge(START, "take")
        workflows.register("shop", graph.compile(), input_schema={"type": "object"})
        yield


def forget() -> None:
    allowed._allowed.clear()
    allowed._names.clear()


@pytest.fixture
def waiting(drain: Callable[[], None]) -> Run:
    """A run that asks, with orders in its state, its Sends, its pending writes and its question;
    the class of the orders is gone since."""
    run = create_run(NewRun(workflow="shop", payload={"n": 0}))
    drain()
    run.refresh_from_db()
    assert run.status == "interrupted", run.error
    forget()
    return run


def test_state_at_each_checkpoint_is_shown_as_data(api: APIClient, waiting: Run) -> None:
    shown = {"$class": ORDER, "number": 1, "id": None}

    rows = api.get(f"/api/runs/{waiting.id}/checkpoints").json()["results"]
    states = [api.get(f"/api/runs/{waiting.id}/state?checkpoint={row['id']}") for row in rows]
    assert [answer.status_code for answer in states] == [200] * len(rows)
    values = states[0].json()["values"]
    assert values["order"] == shown
    assert values["orders"] == [{**shown, "number": 2}]
    assert values["talk"][0] == {**shown, "number": 3, "id": values["talk"][0]["id"]}
    assert values["talk"][0]["id"]
    assert states[0].json()["next"] == ["aside", "ask"]


def test_every_other_reader_needs_no_class(api: APIClient, waiting: Run) -> None:
    for path in ("", "/events", "/why", "/checkpoints", "/state"):
        assert api.get(f"/api/runs/{waiting.id}{path}").status_code == 200
    assert api.get("/api/schema/?format=json").status_code == 200

    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for model in (Checkpoint, State, PendingWrite):
        for pk in model.objects.values_list("pk", flat=True):
            page = reverse(f"admin:runs_{model._meta.model_name}_change", args=[pk])
            assert client.get(page).status_code == 200


def test_answer_is_taken_and_the_run_fails_with_the_way_out(
    api: APIClient, waiting: Run, drain: Callable[[], None]
) -> None:
    answer = api.post(f"/api/runs/{waiting.id}/resume", {"resume": 1}, format="json")
    assert answer.status_code == 200
    drain()
    waiting.refresh_from_db()
    assert waiting.status == "failed"
    assert waiting.error is not None
    assert waiting.error["type"] == NotStorableError.__name__
    assert f"holds a {ORDER}, which this process does not allow" in waiting.error["message"]
    assert "also_known_as" in waiting.error["message"]


def test_moved_class_goes_on_under_its_old_name(
    api: APIClient, waiting: Run, drain: Callable[[], None]
) -> None:
    @dataclass
    class Moved(Order):
        paid: bool = False

    serde.allow(Moved, also_known_as=[f"{__name__}.Order"])
    api.post(f"/api/runs/{waiting.id}/resume", {"resume": 1}, format="json")
    drain()
    waiting.refresh_from_db()
    assert waiting.status == "completed", waiting.error
    values = api.get(f"/api/runs/{waiting.id}/state").json()["values"]
    assert [one["number"] for one in values["orders"]] == [2, 7]
    assert values["order"] == {"number": 1, "id": None, "paid": False}


def test_run_that_does_without_the_object_can_go_on(
    api: APIClient, drain: Callable[[], None]
) -> None:
    """A fork that sets the key to something else needs the class no more."""

    def keep(state: Shop) -> Any:
        return {"order": Order(1)}

    def then(state: Shop) -> Any:
        return {"n": 1}

    graph = StateGraph(Shop).add_node(keep).add_node(then).add_edge(START, "keep")
    compiled = graph.add_edge("keep", "then").compile()
    workflows.register("short", compiled, input_schema={"type": "object"})
    run = create_run(NewRun(workflow="short", payload={"n": 0}))
    drain()
    forget()
    body = {"from_step": 1, "set": {"order": "by hand"}}
    made = api.post(f"/api/runs/{run.id}/replay", body, format="json").json()
    drain()
    again = Run.objects.get(pk=made["id"])
    assert again.status == "completed", again.error


def test_value_that_would_not_come_back_fails_its_node_with_the_field(
    api: APIClient, drain: Callable[[], None]
) -> None:
    def half(order: Any) -> float:
        return float(vars(order)["number"] / 2)

    def keep(order: Any, value: float) -> None:
        vars(order)["number"] = value

    class Halved(Order):
        number: Any = property(half, keep)

    serde.allow(Halved)

    def halve(state: Shop) -> Any:
        return {"order": [Halved(3)]}

    graph = StateGraph(Shop).add_node(halve).add_edge(START, "halve").compile()
    workflows.register("halving", graph, input_schema={"type": "object"})
    run = create_run(NewRun(workflow="halving", payload={"n": 0}))
    drain()
    run.refresh_from_db()
    assert run.error is not None
    for part in ("Key 'order' of node 'halve'", "Halved at [0]", "its field 'number' would"):
        assert part in run.error["message"].replace("[0].", "[0]"), run.error
    assert api.get(f"/api/runs/{run.id}/state").json()["values"]["n"] == 0
