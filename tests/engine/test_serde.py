"""Stored values come back as they were, or are refused with their place and the way out."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from runs.engine import NotStorableError, serde


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


def test_uuids_are_equal_not_text() -> None:
    value = uuid.uuid4()
    assert serde.loads(serde.dumps([value, Decimal("1.10")])) == [value, Decimal("1.10")]
