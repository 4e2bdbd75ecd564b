"""Enums, literals, mappings and named tuples of JSON: made what the annotation says, shown in a
form that can be given again, and stored when a node writes them back."""

from __future__ import annotations

import operator
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import Enum, IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import pytest
from jsonschema import Draft202012Validator

from runs.engine import START, Context, StateGraph, entrypoint
from runs.engine.errors import InvalidUpdateError
from runs.engine.plain_json import plain


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Day(Enum):
    FIRST = date(2024, 1, 1)
    SECOND = date(2024, 1, 2)


class Moment(Enum):
    START = datetime(2024, 1, 1, tzinfo=UTC)


class Place(Enum):
    HOME = (1, 2)
    MIXED = ("a", date(2024, 1, 1))


class Group(Enum):
    BOTH = frozenset({1, 2})


class Length(Enum):
    SHORT = timedelta(seconds=3)


class Born(date, Enum):
    EARLY = 2024, 1, 1


class Right(IntFlag):
    READ = 1
    WRITE = 2


class Word(StrEnum):
    A = "a"


class Either(Enum):
    TEXT = "1"
    NUMBER = 1


class Point(NamedTuple):
    x: int
    day: date = date(2020, 1, 1)
    label: str = "z"


FIRST, POINT = "2024-01-01", Point(1, date(2024, 1, 1))

#: What an annotation makes of a value as JSON has it.
MADE: dict[str, tuple[Any, Any, Any]] = {
    "key-int-enum": (dict[Level, int], {"1": 5}, {Level.LOW: 5}),
    "key-of-mapping": (Mapping[Level, int], {"2": 5}, {Level.HIGH: 5}),
    "key-date-enum": (dict[Day, int], {FIRST: 5}, {Day.FIRST: 5}),
    "key-tuple-enum": (dict[Place, int], {"[1, 2]": 5}, {Place.HOME: 5}),
    "key-flag": (dict[Right, int], {"3": 5}, {Right.READ | Right.WRITE: 5}),
    "key-literal": (dict[Literal[1, 2], int], {"1": 5}, {1: 5}),
    "key-literal-member": (dict[Literal[Level.LOW], int], {"1": 5}, {Level.LOW: 5}),
    "key-literal-text": (dict[Literal["a", "b"], int], {"a": 1}, {"a": 1}),
    "key-literal-text-of-two": (dict[Literal["1", 1], int], {"1": 1}, {"1": 1}),
    "key-literal-number-first": (dict[Literal[1, "1", 2], int], {"1": 1, "2": 3}, {"1": 1, 2: 3}),
    "key-literal-text-or-member": (dict[Literal["a", Word.A], int], {"a": 1}, {"a": 1}),
    "key-enum-of-text-and-number": (dict[Either, int], {"1": 5}, {Either.TEXT: 5}),
    "key-literal-or-number": (dict[Literal["a"] | int, int], {"a": 1, "2": 3}, {"a": 1, 2: 3}),
    "key-optional": (dict[int | None, int], {"1": 5}, {1: 5}),
    "key-date-or-number": (dict[date | int, int], {"1": 5, FIRST: 6}, {1: 5, Day.FIRST.value: 6}),
    "key-number-or-text": (dict[int | str, int], {"1": 5}, {"1": 5}),
    "key-bool": (dict[bool, int], {"true": 5, "False": 6}, {True: 5, False: 6}),
    "literal": (Literal[Level.LOW], 1, Level.LOW),
    "literal-date": (Literal[Day.FIRST, Day.SECOND], "2024-01-02", Day.SECOND),
    "literal-or-none": (Literal[Level.LOW] | None, 1, Level.LOW),
    "literal-mixed": (Literal[1, Level.HIGH, "a"], 2, Level.HIGH),
    "literal-itself": (Literal[1, Level.LOW], 1, 1),
    "literal-equal": (list[Literal[1, Level.HIGH]], [1.0, 2], [1, Level.HIGH]),
    "literal-bytes": (list[Literal[b"x"]], ["eA=="], [b"x"]),
    "enum-date": (Day, FIRST, Day.FIRST),
    "enum-datetime": (Moment, "2024-01-01T00:00:00Z", Moment.START),
    "enum-tuple": (Place, [1, 2], Place.HOME),
    "enum-tuple-of-date": (Place, ["a", FIRST], Place.MIXED),
    "enum-set": (Group, [1, 2], Group.BOTH),
    "enum-duration": (Length, 3, Length.SHORT),
    "enum-that-is-a-date": (Born, FIRST, Born.EARLY),
    "enum-or-text": (Day | str, FIRST, FIRST),
    "text-or-enum": (list[int] | Day, FIRST, Day.FIRST),
    "flag": (Right, 3, Right.READ | Right.WRITE),
    "tuple-whole": (Point, [1, FIRST, "z"], POINT),
    "tuple-short": (Point, [1, FIRST], POINT),
    "tuple-mapping": (Point, {"x": 1, "day": FIRST}, POINT),
    "tuple-of-several-types": (Point | str, [1, FIRST], POINT),
    "tuple-or-list": (set[Point], [[1, FIRST]], {POINT}),
    "counter": (Counter[str], {"a": 2}, Counter(a=2)),
    "counter-of-enum": (Counter[Level], {"1": 2}, Counter({Level.LOW: 2})),
    "counter-bare": (Counter, {"a": 2}, Counter(a=2)),
    "ordered": (OrderedDict[str, date], {"a": FIRST}, OrderedDict(a=Day.FIRST.value)),
    "ordered-bare": (OrderedDict, {"a": 1}, OrderedDict(a=1)),
    "default": (defaultdict[str, list[date]], {"a": [FIRST]}, {"a": [Day.FIRST.value]}),
    "default-of-default": (
        defaultdict[str, defaultdict[Level, int]],
        {"a": {"1": 2}},
        {"a": {Level.LOW: 2}},
    ),
}


def state_of(hint: Any) -> Any:
    make: Any = TypedDict
    return make("Made", {"given": hint, "again": hint}, total=False)


def graph_of(hint: Any, seen: list[Any]) -> Any:
    def node(state: Any) -> Any:
        seen.append(state["given"])
        return {"again": state["given"]}

    def after(state: Any) -> None:
        seen.append(state["again"])

    builder = StateGraph(state_of(hint)).add_sequence([node, after])
    return builder.add_edge(START, "node").compile()


@pytest.mark.parametrize("name", MADE)
def test_a_node_sees_what_the_annotation_says(name: str) -> None:
    hint, given, made = MADE[name]
    seen: list[Any] = []
    graph = graph_of(hint, seen)
    assert graph.input_faults({"given": given}) == []
    Draft202012Validator(graph.input_json_schema()).validate({"given": given})
    graph.invoke({"given": given})
    assert seen == [made, made], "what a node writes back is the same for the next"
    if not name.startswith("default"):
        assert type(seen[0]) is type(seen[1]) is type(made)
    assert graph.input_faults({"given": plain(made)}) == [], "what is shown can be given again"
    Draft202012Validator(graph.input_json_schema()).validate({"given": plain(made)})


@pytest.mark.parametrize(
    "key", [Literal["a", "b"], Literal["a"] | Literal["b"], Literal["a"] | None]
)
def test_texts_that_a_literal_does_not_name_are_left_alone_in_keys_as_in_values(key: Any) -> None:
    seen: list[Any] = []
    given: dict[str, Any] = {"a": 1, "c": 2}
    graph_of(dict[key, int], seen).invoke({"given": given})
    graph_of(list[key], seen).invoke({"given": [*given]})
    assert seen == [given, given, [*given], [*given]]


def test_a_defaultdict_makes_what_its_annotation_says() -> None:
    for hint, made in (
        (defaultdict[str, int], 0),
        (defaultdict[str, list[date]], []),
        (defaultdict[str, Mapping[str, int]], {}),
        (defaultdict[str, defaultdict[str, set[int]]], {}),
    ):
        seen: list[Any] = []
        graph_of(hint, seen).invoke({"given": {}})
        assert type(seen[0]) is defaultdict and seen[0]["new"] == made, hint
    with pytest.raises(KeyError):
        seen = []
        graph_of(defaultdict[str, Any], seen).invoke({"given": {}})
        seen[0]["new"]


def test_a_reducer_merges_counters_that_came_as_json() -> None:
    make: Any = TypedDict
    state = make("state", {"seen": Annotated[Counter[str], operator.add]})
    builder = StateGraph(state).add_node("node", lambda state: {"seen": state["seen"]})
    graph = builder.add_edge(START, "node").compile()
    assert graph.invoke({"seen": {"a": 2}}) == {"seen": Counter(a=4)}


MISFITS: dict[str, tuple[Any, Any, str]] = {
    "seconds": (timedelta, 1e300, "1e\\+300 is out of range"),
    "seconds-below": (timedelta, -1e300, "-1e\\+300 is out of range"),
    "days": (timedelta, "P99999999999D", "is out of range"),
    "many-digits": (timedelta, f"P{'9' * 400}D", "is out of range"),
    "infinite": (timedelta | None, float("inf"), "inf is out of range"),
    "inside": (list[timedelta], [1, 1e300], "1e\\+300 is out of range"),
    "of-several": (timedelta | Level, 1e300, "1e\\+300 is none of timedelta, Level"),
    "key": (dict[Level, int], {"7": 1}, "'7' is not a valid Level"),
    "key-text": (dict[Right, int], {"READ": 1}, "'READ'"),
    "key-of-several": (dict[int | date, int], {"x": 1}, "'x' is none of int, date"),
    "key-bool": (dict[bool, int], {"1": 1}, "'1' is neither true nor false"),
    "literal": (Literal[Level.LOW], 2, "2 is none of <Level.LOW: 1>"),
    "enum": (Day, "2024-01-05", "'2024-01-05' is not a valid Day"),
    "enum-tuple": (Place, [9], r"\[9\] is not a valid Place"),
    "tuple-long": (Point, [1, FIRST, "z", 4], "Point has 3 fields, and there are 4 values"),
    "tuple-short": (Point, [], "this is no Point"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_said_before_a_run_and_in_it(name: str) -> None:
    hint, given, says = MISFITS[name]
    graph = graph_of(hint, [])
    ((where, why),) = graph.input_faults({"given": given})
    assert where == ("given",)
    with pytest.raises(InvalidUpdateError, match=says) as caught:
        graph.invoke({"given": given})
    assert why.rstrip(".") in str(caught.value)


def test_a_function_and_a_context_are_given_the_same() -> None:
    @entrypoint()
    def main(given: dict[Level, timedelta]) -> Any:
        return list(given)

    assert main.invoke({"2": 1}) == [Level.HIGH]
    with pytest.raises(InvalidUpdateError, match="1e\\+300 is out of range"):
        main.invoke({"2": 1e300})

    class Settings(TypedDict):
        wait: dict[Level, timedelta]

    def node(state: Any, ctx: Context) -> Any:
        return {"again": list(ctx.context["wait"].values())}

    builder = StateGraph(state_of(Any), Settings).add_node("node", node)
    graph = builder.add_edge(START, "node").compile()
    waits = graph.invoke({}, context={"wait": {"1": 2}})
    assert waits == {"again": [timedelta(seconds=2)]}
    with pytest.raises(ValueError, match="1e\\+300 is out of range"):
        graph.invoke({}, context={"wait": {"1": 1e300}})
