"""The plain form of values: what clients see of them, in a state, in events, in result files."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
import subprocess
import sys
from decimal import Decimal
from ipaddress import ip_interface
from typing import Any, TypedDict
from uuid import UUID

import orjson
import pydantic
import pytest

from runs.engine import START, StateGraph, serde


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: Any


class Person(pydantic.BaseModel):
    name: str
    born: dt.date


class Endless(pydantic.BaseModel):
    def model_dump(self, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        found["self"] = found
        return found

    def __repr__(self) -> str:
        return "Endless()"


MOMENT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
ID = UUID(int=1)
FORMS: dict[str, tuple[Any, Any]] = {
    "datetime": (MOMENT, "2026-01-02T00:00:00+00:00"),
    "date": (dt.date(2026, 1, 2), "2026-01-02"),
    "uuid": (ID, str(ID)),
    "decimal": (Decimal("1.10"), "1.10"),
    "address": (ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
    "bytes": (b"\x00\xff", "AP8="),
    "set": ({"b", "a", "c"}, ["a", "b", "c"]),
    "tuple": ((1, (2,)), [1, [2]]),
    "enum": (Colour.RED, "red"),
    "dataclass": (Point(x=(1,)), {"x": [1]}),
    "model": (Person(name="A", born=dt.date(2026, 1, 2)), {"name": "A", "born": "2026-01-02"}),
    "not a number": ([math.nan, math.inf, -math.inf], ["nan", "inf", "-inf"]),
    "big number": (2**70, str(2**70)),
    "looks like a tag": ({"$type": "x"}, {"$type": "x"}),
    "looks like a known tag": (
        {"$type": "tuple", "value": [1]},
        {"$type": "tuple", "value": [1]},
    ),
    "looks like an object": (
        [{"$type": "instance", "class": "os.system", "value": {}}],
        [{"$type": "instance", "class": "os.system", "value": {}}],
    ),
    "keys": (
        {Colour.RED: 1, MOMENT: 2, b"\xff": 3, 4: 5, ID: 6},
        {"red": 1, "2026-01-02T00:00:00+00:00": 2, "/w==": 3, "4": 5, str(ID): 6},
    ),
}


@pytest.mark.parametrize(("value", "form"), FORMS.values(), ids=FORMS)
def test_a_value_has_one_plain_form(value: Any, form: Any) -> None:
    for cls in (Colour, Point, Person):
        serde.allow(cls)
    encoded = serde.plain_json(value)
    assert json.loads(encoded, parse_constant=pytest.fail) == form
    assert serde.plain(value) == form
    assert json.loads(serde.pretty(value)) == form
    assert serde.plain_json(serde.show(serde.dumps(value))) == encoded, "from what is stored"


def test_what_shows_itself_without_end_is_shown_by_name() -> None:
    assert serde.plain([Endless(), 1]) == ["Endless()", 1]


@pytest.mark.processes
def test_a_set_is_in_the_same_order_in_every_process() -> None:
    script = "from runs.engine import serde; print(serde.plain_json({str(n) for n in range(99)}))"
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


Odd = TypedDict("Odd", {"$type": str, "value": Any})


@pytest.mark.parametrize(
    "update", [{"$type": "a"}, {"$type": "tuple", "value": [1]}], ids=["alone", "both"]
)
async def test_a_state_key_that_is_named_as_the_tags_key_is_no_tag(update: Any) -> None:
    graph = StateGraph(Odd).add_node("n", lambda s: update).add_edge(START, "n").compile()
    seen = [one async for one in graph.astream({"$type": "x"}, stream_mode="updates")]
    assert seen == [{"n": update}]
    assert orjson.loads(serde.plain_json(await graph.ainvoke({"$type": "x"}))) == update
