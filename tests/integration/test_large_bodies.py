"""What a body costs is limited by what it says, not only by its bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from runs import schema_limits, workflows
from runs.errors import Problem
from runs.http.parsers import read_json
from runs.operations.new_run import NewRun, validate
from runs.validation import MAX_DEPTH, _is_storable, _walk

MOST = 1000


@pytest.fixture(autouse=True)
def _few_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.FASTGRAPH, "max_body_values", MOST)


@pytest.mark.parametrize(
    "value",
    [
        [{}] * MOST,
        [[]] * MOST,
        [1] * (MOST + 1),
        {str(i): i for i in range(MOST + 1)},
        [{"a": "b"}] * (MOST // 2 + 1),
        ["a,b"] * (MOST + 1),
        ['\\"'] * (MOST + 1),
        ["\\\\"] * (MOST + 1),
        [["x"] * 100] * 10,
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_body_with_too_many_values_is_refused_before_it_is_parsed(
    value: Any, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", None)
    with pytest.raises(Problem) as caught:
        read_json(json.dumps(value).encode(encoding))
    assert (caught.value.status, caught.value.code) == (413, "too_many_values")


@pytest.mark.parametrize(
    "value",
    [
        {"text": "[{,:" * MOST},
        {"text": '\\",' * MOST},
        ["a,b,c"] * (MOST - 1),
        [1] * (MOST - 1),
        {str(i): '",{' for i in range(MOST - 1)},
        {"a": "\\" * MOST, "b": ["\\,"] * 20},
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32-le"])
def test_what_stands_in_text_is_no_value(value: Any, encoding: str) -> None:
    assert read_json(json.dumps(value).encode(encoding)) == value


def test_a_number_of_thousands_of_digits_is_refused_in_the_client_s_words() -> None:
    with pytest.raises(Problem) as caught:
        read_json(b'{"a": ' + b"9" * 10**6 + b"}")
    assert (caught.value.status, caught.value.code) == (400, "malformed_json")
    assert "send it as text" in caught.value.detail
    assert "sys." not in caught.value.detail


@pytest.mark.parametrize(
    "value",
    [
        {},
        [[[]]],
        {"a": [1, 1.5, None, True, "é", ()]},
        {"a": "\x00"},
        {"\ud800": 1},
        {1: 2},
        [2**63],
        [-(2**63)],
        [float("inf")],
        [b"bytes"],
        {"a": {"b": "\udc00"}},
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_the_quick_look_finds_a_fault_where_the_slow_one_does(value: Any) -> None:
    assert _is_storable(value) == (not list(_walk(value, "")))


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 5 * MAX_DEPTH])
def test_the_quick_look_allows_the_same_depth(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    assert _is_storable(value) == (not list(_walk(value, ""))) == (depth <= MAX_DEPTH)


TREE = {"$ref": "#/$defs/tree"}
EITHER = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {
        "tree": {
            "anyOf": [
                {"type": "object", "properties": {"c": TREE}, "required": ["no"]},
                {"type": "object", "properties": {"c": TREE}, "required": ["none"]},
            ]
        }
    },
    "properties": {"x": TREE},
}


@pytest.fixture
def with_schema(anything: str) -> Iterator[Any]:
    """Checks a payload for a workflow with this input schema."""

    def checked(schema: dict[str, Any], payload: Any) -> None:
        graph = workflows.get(anything).graph
        with workflows.temporary():
            workflows.register("schemed", graph, input_schema=schema)
            validate([NewRun(workflow="schemed", payload=payload)])

    yield checked


def test_a_schema_that_branches_at_each_level_is_given_up_on(with_schema: Any) -> None:
    deep: Any = {}
    for _ in range(60):
        deep = {"c": deep}
    with pytest.raises(Problem) as caught:
        with_schema(EITHER, {"x": deep})
    assert (caught.value.status, caught.value.code) == (422, "too_complex")


def test_a_message_does_not_repeat_the_value_at_each_level(with_schema: Any) -> None:
    class Shown(str):
        shown = 0

        def __repr__(self) -> str:
            Shown.shown += len(self)
            return super().__repr__()

    deep: Any = Shown("x" * 100_000)
    for _ in range(10):
        deep = {"c": deep}
    with pytest.raises(Problem) as caught:
        with_schema(EITHER, {"x": deep})
    assert caught.value.code == "invalid"
    assert len(caught.value.detail) < 1000
    assert Shown.shown == 0


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([{"a": i} for i in range(5000)], True),
        ([{"a": 1}, {"a": 1.0}], False),
        ([1, True, "1", None, [1], [True]], True),
        ([[{"a": [0]}], [{"a": [False]}]], True),
        ([*range(5000), *map(str, range(5000)), 7], False),
    ],
    ids=["objects", "1 and 1.0", "kinds", "nested kinds", "mixed"],
)
def test_items_are_unique_without_comparing_each_with_each(
    with_schema: Any, items: list[Any], unique: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_limits, "BASE", 100_000)
    schema = {"properties": {"x": {"uniqueItems": True}}}
    if unique:
        with_schema(schema, {"x": items})
        return
    with pytest.raises(Problem, match="non-unique"):
        with_schema(schema, {"x": items})


def test_what_the_library_looks_up_in_lists_is_given_up_on_when_there_is_much_of_it(
    with_schema: Any,
) -> None:
    schema = {
        "properties": {
            "x": {"prefixItems": [{}], "contains": {"type": "integer"}, "unevaluatedItems": False}
        }
    }
    with_schema(schema, {"x": [1] * 500})
    with pytest.raises(Problem) as caught:
        with_schema(schema, {"x": [1] * 100_000})
    assert caught.value.code == "too_complex"
