"""Pydantic's dataclasses as states, inside of values, as contexts and behind a Send."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from runs.engine import START, Command, CompiledGraph, Context, Send, StateGraph


@pydantic_dataclass
class Part:
    size: int
    day: date | None = None


@pydantic_dataclass(config=ConfigDict(strict=True))
class Strict:
    size: int


@pydantic_dataclass
class Aliased:
    size: int = Field(alias="theSize")


@pydantic_dataclass
class Whole:
    part: Part | None = None
    log: Annotated[list[int], lambda old, new: old + new] = dataclasses.field(default_factory=list)
    late: int = dataclasses.field(default=5, init=False)
    out: Any = None


class Keys(TypedDict, total=False):
    part: Part
    parts: list[Part]
    by_name: dict[str, Part]
    maybe: Part | None
    either: Part | str
    strict: Strict
    aliased: Aliased
    out: Any


@dataclasses.dataclass
class Record:
    part: Part | None = None
    out: Any = None


class Model(BaseModel):
    part: Part | None = None
    out: Any = None


def only(state: Any, read: Callable[[Any], Any], **options: Any) -> CompiledGraph:
    def node(given: Any) -> dict[str, Any]:
        return {"out": read(given)}

    builder = StateGraph(state, **options).add_node("node", node)
    return builder.add_edge(START, "node").compile()


GIVEN = {"size": 1, "day": "2024-02-29"}
PART = Part(size=1, day=date(2024, 2, 29))


@pytest.mark.parametrize("state", [Whole, Record, Model])
def test_it_is_made_of_a_mapping_in_every_state(state: Any) -> None:
    graph = only(state, lambda given: given.part)
    assert graph.invoke({"part": GIVEN})["out"] == PART
    assert graph.invoke(state(part=PART))["out"] == PART


@pytest.mark.parametrize(
    ("key", "given", "seen"),
    [
        ("part", GIVEN, PART),
        ("part", PART, PART),
        ("parts", [GIVEN], [PART]),
        ("by_name", {"a": GIVEN}, {"a": PART}),
        ("maybe", GIVEN, PART),
        ("maybe", None, None),
        ("either", GIVEN, PART),
        ("either", "text", "text"),
        ("strict", {"size": 1}, Strict(1)),
        ("aliased", {"theSize": 1}, Aliased(theSize=1)),
    ],
)
def test_it_is_made_in_a_value(key: str, given: Any, seen: Any) -> None:
    assert only(Keys, lambda state: state[key]).invoke({key: given})["out"] == seen


def test_fields_that_its_constructor_does_not_take_are_kept() -> None:
    graph = only(Whole, lambda given: [given.late, given.log])
    assert graph.invoke({"late": 7, "log": [1]})["out"] == [7, [1]]


@pytest.mark.parametrize("given", [{}, {"size": "x"}, {"size": 1, "day": "2024-02-30"}])
def test_what_does_not_fit_names_the_key(given: Any) -> None:
    with pytest.raises(Exception, match="part"):
        only(Keys, lambda state: state["part"]).invoke({"part": given})


def test_a_send_brings_it() -> None:
    def send(state: Keys) -> Any:
        return Command(goto=Send("worker", GIVEN))

    def worker(part: Part) -> dict[str, Any]:
        return {"out": part}

    builder = StateGraph(Keys).add_node("send", send, destinations=["worker"])
    builder.add_node("worker", worker).add_edge(START, "send")
    assert builder.compile().invoke({})["out"] == PART


def test_a_context_is_made_of_a_mapping() -> None:
    async def node(state: Keys, ctx: Context) -> dict[str, Any]:
        return {"out": ctx.context}

    builder = StateGraph(Keys, context_schema=Part).add_node("node", node)
    graph = builder.add_edge(START, "node").compile()
    assert graph.invoke({}, context=GIVEN)["out"] == PART


@pydantic_dataclass
class Unchecked:
    day: date = None  # type: ignore[assignment]
    size: int = Field(default=-1, gt=0)
    out: Any = None


class UncheckedModel(BaseModel):
    day: date = None  # type: ignore[assignment]
    size: int = Field(default=-1, gt=0)
    out: Any = None


@pytest.mark.parametrize("state", [Unchecked, UncheckedModel])
def test_a_default_that_pydantic_does_not_check_is_not_checked_in_a_state(state: Any) -> None:
    def whole(given: Any) -> Any:
        return given

    def node(given: Any) -> dict[str, Any]:
        return {"out": (given.day, given.size)}

    builder = StateGraph(state).add_node(whole).add_node(node)
    graph = builder.add_edge(START, "whole").add_edge("whole", "node").compile()
    assert graph.invoke({})["out"] == graph.invoke(state())["out"] == (None, -1)
    assert graph.invoke({"day": "2024-02-29"})["out"] == (date(2024, 2, 29), -1)
    with pytest.raises(ValueError, match="greater than 0"):
        graph.invoke({"size": -2})
