"""Objects in a payload are given over REST by each name by which pydantic takes a field, as by a
mapping in Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import pydantic
import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, CompiledGraph, StateGraph
from runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True)


class Choices(BaseModel):
    value: str = Field(validation_alias=AliasChoices("value", "val", AliasPath("values", 0)))
    other: int = 0


class Forbids(Choices):
    model_config = ConfigDict(extra="forbid")


class ByName(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    the_value: str

    @property
    def value(self) -> str:
        return self.the_value


@pydantic.dataclasses.dataclass(config=ConfigDict(populate_by_name=True))
class Plain:
    value: str = Field(alias="theValue")


class Keys(TypedDict, total=False):
    choices: list[Choices]
    forbids: list[Forbids]
    by_name: list[ByName]
    plain: list[Plain]
    out: list[str]


class Model(BaseModel):
    choices: list[Choices] = []
    forbids: list[Forbids] = []
    by_name: list[ByName] = []
    plain: list[Plain] = []
    out: list[str] = []


@dataclasses.dataclass
class Record:
    choices: list[Choices] = dataclasses.field(default_factory=list)
    forbids: list[Forbids] = dataclasses.field(default_factory=list)
    by_name: list[ByName] = dataclasses.field(default_factory=list)
    plain: list[Plain] = dataclasses.field(default_factory=list)
    out: list[str] = dataclasses.field(default_factory=list)


STATES: dict[str, Any] = {"typed-dict": Keys, "model": Model, "dataclass": Record}


def graph_of(state: Any) -> CompiledGraph:
    def node(given: Any) -> dict[str, Any]:
        own = given if isinstance(given, dict) else vars(given)
        objects = [one for key in Keys.__annotations__ if key != "out" for one in own.get(key, ())]
        return {"out": [one.value for one in objects]}

    node.__annotations__["given"] = state
    return StateGraph(state).add_node("node", node).add_edge(START, "node").compile()


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with workflows.temporary():
        for name, state in STATES.items():
            workflows.register(name, graph_of(state))
        yield


def post(api: APIClient, workflow: str, payload: Any) -> Any:
    return api.post("/api/runs/", {"workflow": workflow, "payload": payload}, format="json")


@pytest.mark.parametrize("state", STATES)
def test_each_name_is_taken(api: APIClient, work: Callable[[], None], state: str) -> None:
    named = [{"value": "a"}, {"val": "b"}, {"values": ["c"]}]
    payload = {
        "choices": named,
        "forbids": named,
        "by_name": [{"theValue": "d"}, {"the_value": "e"}],
        "plain": [{"theValue": "f"}, {"value": "g"}],
    }
    made = post(api, state, payload)
    assert made.status_code == 201, made.json()
    work()
    run = Run.objects.get(id=made.json()["id"])
    assert run.status == "completed", run.error
    out = api.get(f"/api/runs/{run.id}/state").json()["values"]["out"]
    assert out == graph_of(STATES[state]).invoke(payload)["out"] == [*"abcabcdefg"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "payload",
    [
        {"choices": [{}]},
        {"choices": [{"val": 1}]},
        {"choices": [{"value": "a", "other": "b"}]},
        {"forbids": [{"value": "a", "another": 1}]},
        {"by_name": [{"THE_VALUE": "a"}]},
        {"plain": [{}]},
    ],
    ids=["no-name", "type", "other-type", "forbidden", "no-such-name", "no-field"],
)
def test_what_fits_by_no_name_is_refused(api: APIClient, state: str, payload: Any) -> None:
    answer = post(api, state, payload)
    assert answer.status_code == 422
    (key,) = payload
    assert answer.json()["errors"][0]["at"].startswith(f"/payload/{key}")
    assert not Run.objects.exists()
