"""Stored values come back as they were, or are refused with their place and the way out."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from runs.engine import START, NotStorableError, StateGraph, serde


@serde.allow
@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: Any = None
    length: float = dataclasses.field(init=False, default=0.0)


@serde.allow
class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


@serde.allow
class Person(BaseModel):
    name: str
    tags: tuple[str, ...] = ()


class Stranger:
    pass


text = st.text(st.characters(exclude_categories=["Cs"]))
hashables = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    text,
    st.binary(),
    st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=2))])),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.ip_addresses(),
    st.sampled_from(list(Colour)),
)
leaves = st.one_of(hashables, st.builds(Person, name=text, tags=st.lists(text).map(tuple)))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(text, inner),
        st.dictionaries(hashables, inner),
        st.sets(hashables),
        st.frozensets(hashables),
        st.builds(Point, x=st.integers(), y=inner),
    ),
    max_leaves=15,
)


@given(values)
def test_what_goes_in_comes_out(value: Any) -> None:
    back = serde.loads(serde.dumps(value))
    assert back == value
    assert type(back) is type(value)


@given(values)
def test_the_same_value_has_the_same_bytes(value: Any) -> None:
    assert serde.dumps(serde.loads(serde.dumps(value))) == serde.dumps(value)


@given(values)
def test_plain_never_refuses(value: Any) -> None:
    serde.plain(value)


@pytest.mark.parametrize(
    "numbers",
    [[1, 2**63 - 1, -(2**63)], [1, 2**63], [-(2**63) - 1], [0.5, 1e300], [0.5, math.inf], [1, 0.5]],
)
def test_lists_of_numbers_survive(numbers: list[Any]) -> None:
    assert repr(serde.loads(serde.dumps(numbers))) == repr(numbers)


def test_not_a_number_survives() -> None:
    assert math.isnan(serde.loads(serde.dumps(math.nan)))


def test_tuples_inside_sets_and_keys_stay_tuples() -> None:
    value = {(1, (2, 3)): {(4, "a")}}
    assert serde.loads(serde.dumps(value)) == value


def test_a_dict_that_looks_like_a_tag_stays_a_dict() -> None:
    value = {"$type": "set", "value": [1]}
    assert serde.loads(serde.dumps(value)) == value


def test_text_that_looks_like_a_tag_stays_text() -> None:
    assert serde.loads(serde.dumps({"a": '"$type"'})) == {"a": '"$type"'}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"a": [1, Stranger()]},
            r"^A tests\.engine\.test_serde\.Stranger at \.a\[1\] cannot be stored.*serde\.allow",
        ),
        (lambda: None, "cannot be stored"),
        ("\ud800", "cannot be stored"),
        ({"a": "\ud800"}, "cannot be stored"),
    ],
)
def test_what_cannot_be_stored_is_refused(value: Any, words: str) -> None:
    with pytest.raises(NotStorableError, match=words):
        serde.dumps(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotStorableError, match="contains itself"):
        serde.dumps(loop)


def test_a_class_that_nobody_allowed_is_not_built() -> None:
    stored = serde.dumps(Point(1)).replace(b":Point", b":Other")
    with pytest.raises(NotStorableError, match=r"Other, which this process does not allow"):
        serde.loads(stored)


def test_only_data_classes_can_be_allowed() -> None:
    with pytest.raises(TypeError, match="Stranger is neither"):
        serde.allow(Stranger)


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
        dt.datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN),  # a time that no clock showed
        dt.datetime(2024, 1, 1, fold=1),
        dt.time(1, tzinfo=BERLIN),
        dt.time(1, fold=1),
        OrderedDict(b=1, a=(2,)),
        defaultdict(list, {1: [(2,)]}),
        defaultdict(None, a=1),
        Counter("aab"),
        deque([1, (2,)], maxlen=5),
        bytearray(b"x"),
        complex(math.inf, -0.0),
        range(0, 2**70, 3),
        Path("/a/b"),
        Decimal("sNaN"),
        Decimal("-0E+3"),
        -0.0,
        "\x00",
        {None: 1, 2: {"$type": "x"}},
    ],
    ids=repr,
)
def test_values_of_python_s_own_types_come_back(value: Any) -> None:
    back = serde.loads(serde.dumps(value))
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    assert getattr(back, "fold", 0) == getattr(value, "fold", 0)
    serde.plain(value)


@pytest.mark.parametrize("name", ["CET", "", "Z", "UTC+00:00", "UTC", "x\x00", "n" * 1000])
@pytest.mark.parametrize("hours", [0, 1, -5.5])
@pytest.mark.parametrize("fold", [0, 1])
def test_name_of_an_offset_comes_back(name: str, hours: float, fold: int) -> None:
    zone = dt.timezone(dt.timedelta(hours=hours), name)
    for value in (
        dt.datetime(2026, 1, 2, 3, 4, 5, 6, zone, fold=fold),
        dt.time(3, 4, tzinfo=zone, fold=fold),
    ):
        back = serde.loads(serde.dumps(value))
        assert type(back) is type(value)
        assert (back.tzname(), back.fold, back.isoformat()) == (name, fold, value.isoformat())


def test_moment_counts_where_the_rules_of_its_zone_have_changed() -> None:
    stored = serde.dumps(dt.datetime(2024, 7, 1, 12, tzinfo=BERLIN)).replace(b"+02:00", b"+03:00")
    assert serde.loads(stored).isoformat() == "2024-07-01T11:00:00+02:00"
    unknown = serde.loads(stored.replace(b"Europe/Berlin", b"Atlantis/Port"))
    assert unknown.isoformat() == "2024-07-01T12:00:00+03:00"


@pytest.mark.parametrize(
    "number", [10**6_000, -(10**6_000), 2**70, -(2**70)], ids=["1", "2", "3", "4"]
)
def test_whole_numbers_of_any_size_come_back(number: int) -> None:
    assert serde.loads(serde.dumps([number])) == [number]
    serde.plain({number: number})


class Text(str):
    pass


class Count(int):
    pass


class Share(float):
    pass


@pytest.mark.parametrize(("value", "plainer"), [(Text("a"), "a"), (Count(3), 3), (Share(0.5), 0.5)])
def test_subclasses_of_text_and_numbers_are_stored_as_these(value: Any, plainer: Any) -> None:
    for written, wanted in ((value, plainer), ({"a": [value]}, {"a": [plainer]})):
        encoded = serde.dumps(written)
        back = serde.loads(encoded)
        assert back == wanted
        assert encoded == serde.dumps(wanted)
        assert type(back) is type(wanted)
    (key,) = serde.loads(serde.dumps({value: 1}))
    assert type(key) is type(plainer)


async def test_next_node_sees_what_a_restart_would_show() -> None:
    class State(TypedDict, total=False):
        a: Any

    def write(state: State) -> State:
        return {"a": [Text("x")]}

    def read(state: State) -> State:
        return {"a": type(state["a"][0]).__name__}

    graph = StateGraph(State).add_node(write).add_node(read).add_edge(START, "write")
    assert await graph.add_edge("write", "read").compile().ainvoke({}) == {"a": "str"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (defaultdict(lambda: 0), "convert it to a dict first"),
        (memoryview(b"x"), "convert it to a bytes first"),
        (slice(1), "hold it in a dataclass"),
    ],
)
def test_refusal_names_a_remedy_that_works(value: Any, words: str) -> None:
    with pytest.raises(NotStorableError, match=words):
        serde.dumps({"a": value})


def test_plain_never_refuses_what_models_and_objects_hold() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    wrong = Person.model_construct(name=Bad(), tags=3)
    assert serde.plain(wrong)["tags"] == 3
    assert "Bad" in serde.plain([Bad()])[0]


def test_uuids_are_equal_not_text() -> None:
    value = uuid.uuid4()
    assert serde.loads(serde.dumps([value, Decimal("1.10")])) == [value, Decimal("1.10")]
