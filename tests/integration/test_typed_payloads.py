"""Payloads whose values have types of their own, over REST: refused when they do not fit, and seen
by the nodes as the annotations say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from enum import IntEnum
from typing import Annotated, Any

import pytest
from langchain_core.messages import AnyMessage
from pydantic import BaseModel, field_validator
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, StateGraph, add_messages
from runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True)


class Size(IntEnum):
    SMALL = 1


@dataclasses.dataclass
class Item:
    sku: str
    day: date | None = None
    wait: timedelta | None = None
    sizes: dict[Size, int] | None = None


@dataclasses.dataclass
class Basket:
    items: list[Item] = dataclasses.field(default_factory=list)
    out: Any = None


class Dated(BaseModel):
    when: date | None = None
    out: Any = None

    @field_validator("when")
    @classmethod
    def _not_before(cls, when: date | None) -> date | None:
        if when is not None and when.year < 2000:
            raise RuntimeError("before our time")
        return when


class Talk(BaseModel):
    messages: Annotated[list[AnyMessage], add_messages] = []
    out: Any = None


def said(state: Talk) -> dict[str, Any]:
    return {"out": [[one.type, one.content] for one in state.messages]}


def first(state: Basket) -> dict[str, Any]:
    item = state.items[0]
    return {"out": [item.sku, item.day and item.day.year]}


def shown(state: Dated) -> dict[str, Any]:
    return {"out": str(state.when and state.when.year)}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with workflows.temporary():
        for name, state, node in (
            ("basket", Basket, first),
            ("dated", Dated, shown),
            ("talk", Talk, said),
        ):
            graph = StateGraph(state).add_node("node", node).add_edge(START, "node").compile()
            workflows.register(name, graph)
            workflows.register(f"{name}_loose", graph, input_schema={"type": "object"})
        formats = {"properties": {"id": {"type": "string", "format": "uuid"}}}
        graph = StateGraph(Basket).add_node("node", first).add_edge(START, "node").compile()
        workflows.register("formats", graph, input_schema={"type": "object", **formats})
        yield


def post(api: APIClient, workflow: str, payload: Any) -> Any:
    return api.post("/api/runs/", {"workflow": workflow, "payload": payload}, format="json")


@pytest.mark.parametrize("suffix", ["", "_loose"], ids=["derived", "of-its-own"])
@pytest.mark.parametrize(
    ("workflow", "payload", "out"),
    [
        ("basket", {"items": [{"sku": "a", "day": "2024-02-29"}]}, ["a", 2024]),
        ("basket", {"items": [{"sku": "a"}]}, ["a", None]),
        ("basket", {"items": [{"sku": "a", "sizes": {"1": 2}}]}, ["a", None]),
        ("dated", {"when": "2024-02-29"}, "2024"),
        ("talk", {"messages": [{"role": "user", "content": "x"}]}, [["human", "x"]]),
        ("talk", {"messages": [["ai", "x"], "y"]}, [["ai", "x"], ["human", "y"]]),
    ],
    ids=["dates-inside", "dataclass", "keys", "model", "message", "messages"],
)
def test_nodes_see_objects(
    api: APIClient,
    work: Callable[[], None],
    workflow: str,
    payload: Any,
    out: Any,
    suffix: str,
) -> None:
    made = post(api, workflow + suffix, payload)
    assert made.status_code == 201, made.json()
    work()
    run = Run.objects.get(id=made.json()["id"])
    assert run.status == "completed", run.error
    assert api.get(f"/api/runs/{run.id}/state").json()["values"]["out"] == out


@pytest.mark.parametrize("suffix", ["", "_loose"], ids=["derived", "of-its-own"])
@pytest.mark.parametrize(
    ("workflow", "payload", "at"),
    [
        ("dated", {"when": "2024-02-30"}, "/payload/when"),
        ("dated", {"when": "1999-01-01"}, "/payload"),
        ("basket", {"items": [{"sku": "a", "day": "2024-02-30"}]}, "/payload/items"),
        ("basket", {"items": [{"size": 1}]}, "/payload/items"),
        ("talk", {"messages": [{"role": "nobody", "content": "x"}]}, "/payload/messages"),
        ("basket", {"items": [{"sku": "a", "wait": 1e300}]}, "/payload/items"),
        ("basket", {"items": [{"sku": "a", "sizes": {"7": 2}}]}, "/payload/items"),
    ],
    ids=[
        "no-such-day",
        "validator",
        "no-such-day-inside",
        "no-such-field",
        "no-message",
        "out-of-range",
        "no-such-key",
    ],
)
def test_what_does_not_fit_is_refused(
    api: APIClient, workflow: str, payload: Any, at: str, suffix: str
) -> None:
    answer = post(api, workflow + suffix, payload)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"].startswith(at)
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("given", "status"),
    [("x", 422), ("0188b6d8-7c33-7d36-9c3c-3c1c1d1b2a3f", 201)],
    ids=["bad", "ok"],
)
def test_a_format_in_a_schema_of_ones_own_is_checked(
    api: APIClient, given: str, status: int
) -> None:
    assert post(api, "formats", {"id": given}).status_code == status


def test_an_update_beside_an_answer_is_checked(api: APIClient, work: Callable[[], None]) -> None:
    builder = StateGraph(Basket).add_node("node", first)
    graph = builder.add_edge(START, "node").compile(interrupt_before=["node"])
    workflows.register("stops", graph)
    run = post(api, "stops", {"items": []}).json()["id"]
    work()
    bad, good = {"items": [{"size": 1}]}, {"items": [{"sku": "b"}]}
    answer = api.post(f"/api/runs/{run}/resume", {"resume": 1, "update": bad}, format="json")
    assert answer.status_code == 422 and answer.json()["errors"][0]["at"] == "/update/items"
    answer = api.post(f"/api/runs/{run}/resume", {"resume": 1, "update": good}, format="json")
    assert answer.status_code < 300, answer.json()
    work()
    assert api.get(f"/api/runs/{run}/state").json()["values"]["out"] == ["b", None]


def test_edits_of_a_replay_are_checked(api: APIClient, work: Callable[[], None]) -> None:
    made = post(api, "basket", {"items": [{"sku": "a"}]}).json()
    work()
    path = f"/api/runs/{made['id']}/replay"
    answer = api.post(path, {"from_step": 0, "set": {"items": [{"size": 1}]}}, format="json")
    assert answer.status_code == 422 and answer.json()["errors"][0]["at"] == "/set/items"
    answer = api.post(path, {"from_step": 0, "set": {"items": [{"sku": "b"}]}}, format="json")
    assert answer.status_code == 201
    work()
    state = api.get(f"/api/runs/{answer.json()['id']}/state").json()
    assert state["values"]["out"] == ["b", None]
