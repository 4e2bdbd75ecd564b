"""What nodes are given of a state: what its annotations say, however the values came."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator
from langchain_core.messages import AnyMessage
from pydantic import BaseModel, Field

from runs.engine import (
    START,
    CachePolicy,
    Command,
    Context,
    Send,
    StateGraph,
    add_messages,
    entrypoint,
    interrupt,
    serde,
)
from runs.engine.errors import InvalidUpdateError
from runs.engine.plain_json import plain
from runs.engine.values import allowed


class Color(Enum):
    RED = "red"


@dataclass
class Item:
    sku: str
    n: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    name: str
    kids: tuple[Tree, ...] = ()


class Model(BaseModel):
    sku: str
    day: date | None = None


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@dataclass
class Left:
    kind: Literal["left"]
    item: Item


@dataclass
class Right:
    kind: Literal["right"]
    item: Item


class Point(NamedTuple):
    x: int
    item: Item


class Nested(TypedDict):
    item: Item


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some classes may be stored, and others are given as mappings."""
    monkeypatch.setattr(allowed, "_allowed", dict(allowed._allowed))
    monkeypatch.setattr(allowed, "_names", dict(allowed._names))
    serde.allow(Item)
    serde.allow(Color)
    yield


ITEM = {"sku": "a", "n": 2}
ID = "0188b6d8-7c33-7d36-9c3c-3c1c1d1b2a3f"

#: What an annotation makes of a value as JSON has it.
MADE: dict[str, tuple[Any, Any, Any]] = {
    "dataclass": (Item, ITEM, Item("a", 2)),
    "list": (list[Item], [ITEM], [Item("a", 2)]),
    "optional": (Item | None, ITEM, Item("a", 2)),
    "none": (Item | None, None, None),
    "dict-of-lists": (dict[str, list[Item]], {"k": [ITEM]}, {"k": [Item("a", 2)]}),
    "numbered": (dict[int, Item], {"1": ITEM}, {1: Item("a", 2)}),
    "tuple": (tuple[int, Item], [1, ITEM], (1, Item("a", 2))),
    "tuple-of-any-length": (tuple[Item, ...], [ITEM], (Item("a", 2),)),
    "frozen-recursive": (
        Tree,
        {"name": "a", "kids": [{"name": "b"}]},
        Tree(name="a", kids=(Tree(name="b"),)),
    ),
    "model": (Model, {"sku": "a", "day": "2024-02-29"}, Model(sku="a", day=date(2024, 2, 29))),
    "tagged-models": (
        Annotated[Cat | Dog, Field(discriminator="kind")],
        {"kind": "dog"},
        Dog(kind="dog"),
    ),
    "model-or-typeddict": (Cat | Nested, {"item": ITEM}, {"item": Item("a", 2)}),
    "model-or-text": (Cat | str, {"kind": "cat"}, Cat(kind="cat")),
    "dataclasses": (Left | Right, {"kind": "right", "item": ITEM}, Right("right", Item("a", 2))),
    "named-tuple": (Point, {"x": 1, "item": ITEM}, Point(1, Item("a", 2))),
    "typeddict": (Nested, {"item": ITEM}, {"item": Item("a", 2)}),
    "text-or-date": (str | date, "2024-02-29", "2024-02-29"),
    "list-or-one": (list[Item] | Item, ITEM, Item("a", 2)),
    "datetime": (datetime, "2024-02-29T10:00:00Z", datetime(2024, 2, 29, 10, tzinfo=UTC)),
    "date": (date, "2024-02-29", date(2024, 2, 29)),
    "time": (time, "10:30:00", time(10, 30)),
    "duration": (timedelta, "P1DT2H", timedelta(days=1, hours=2)),
    "seconds": (timedelta, 1.5, timedelta(seconds=1.5)),
    "uuid": (UUID, ID, UUID(ID)),
    "decimal": (Decimal, "1.50", Decimal("1.50")),
    "enum": (Color, "red", Color.RED),
    "set": (set[str], ["a"], {"a"}),
    "bytes": (bytes, "aGk=", b"hi"),
    "address": (IPv4Address, "127.0.0.1", IPv4Address("127.0.0.1")),
    "network": (IPv6Network | None, "2001:db8::/32", IPv6Network("2001:db8::/32")),
    "path": (PurePosixPath, "a/b", PurePosixPath("a/b")),
    "annotated": (Annotated[list[Annotated[Item, "x"]], "y"], [ITEM], [Item("a", 2)]),
}


def typeddict_of(hint: Any) -> Any:
    make: Any = TypedDict
    return make("Made", {"given": hint, "seen": Any}, total=False)


def dataclass_of(hint: Any) -> Any:
    return dataclasses.make_dataclass("Made", [("given", hint, None), ("seen", Any, None)])


def graph_of(state: Any, *nodes: Callable[..., Any], **options: Any) -> Any:
    return (
        StateGraph(state, **options)
        .add_sequence(nodes)
        .add_edge(START, nodes[0].__name__)
        .compile()
    )


@pytest.mark.parametrize("make", [typeddict_of, dataclass_of], ids=["typeddict", "dataclass"])
@pytest.mark.parametrize("name", MADE)
def test_a_node_sees_what_the_annotation_says(make: Any, name: str) -> None:
    hint, given, made = MADE[name]
    seen: list[Any] = []

    def node(state: Any) -> None:
        seen.append(state["given"] if isinstance(state, dict) else state.given)

    graph = graph_of(make(hint), node)
    graph.invoke({"given": given})
    assert seen == [made] and type(seen[0]) is type(made)
    assert graph.input_faults({"given": given}) == []
    assert graph.input_faults({"given": plain(made)}) == [], "what is shown can be given again"


MISFITS: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "date": (date, "2024-02-30", ()),
    "date-or-none": (date | None, "2024-02-30", ()),
    "uuid": (UUID, "x", ()),
    "address": (IPv4Address, "127.0.0.256", ()),
    "network": (IPv6Network, "2001:db8::1/32", ()),
    "decimal": (Decimal, "x", ()),
    "enum": (Color, "green", ()),
    "bytes": (bytes, "%", ()),
    "duration": (timedelta, "soon", ()),
    "missing": (Item, {"n": 1}, ()),
    "unknown": (list[Item], [{"sku": "a", "size": 1}], ()),
    "tag": (Left | Right, {"kind": "up", "item": ITEM}, ()),
    "model": (Model, {"sku": 1}, ("sku",)),
    "tuple": (tuple[int, int], [1], ()),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_said_before_a_run_and_in_it(name: str) -> None:
    hint, given, at = MISFITS[name]
    graph = graph_of(typeddict_of(hint), idle)
    ((where, why),) = graph.input_faults({"given": given})
    assert where == ("given", *at) and why
    with pytest.raises(InvalidUpdateError, match="Key 'given' does not hold what its annotation"):
        graph.invoke({"given": given})


def idle(state: Any) -> None: ...


class Basket(TypedDict, total=False):
    items: list[Item]
    out: Any
    log: Annotated[list[Any], operator.add]


def first_sku(state: Basket) -> Any:
    return {"log": [state["items"][0].sku]}


def test_the_same_comes_from_every_door() -> None:
    def route(state: Basket) -> Literal["first_sku"]:
        assert state["items"][0].sku
        return "first_sku"

    def ask(state: Basket) -> Any:
        return {"log": [interrupt("?"), state["items"][0].sku]}

    builder = StateGraph(Basket).add_node(first_sku).add_node(ask).add_edge("first_sku", "ask")
    graph = builder.add_conditional_edges(START, route).compile()
    graph.invoke({"items": [{"sku": "a"}]}, thread_id="t")
    answer: Any = Command(resume="!", update={"items": [{"sku": "b"}]})
    assert graph.invoke(answer, thread_id="t")["log"] == ["a", "!", "b"]
    graph.update_state("t", {"items": [{"sku": "c"}]}, as_node="first_sku")
    assert graph.invoke(None, thread_id="t")["__interrupt__"]
    assert graph.invoke(Command(resume="?"), thread_id="t")["log"][-2:] == ["?", "c"]


def test_a_graph_inside_and_a_cache_get_what_is_kept() -> None:
    @dataclass
    class NotStorable:
        sku: str

    def inner(state: Any) -> Any:
        return {"log": [state["items"][0].sku]}

    make: Any = TypedDict
    made = make("made", {"items": list[NotStorable], "log": Annotated[list[Any], operator.add]})
    sub = graph_of(made, inner)
    builder = (
        StateGraph(made).add_node("sub", sub).add_node("kept", inner, cache_policy=CachePolicy())
    )
    graph = builder.add_edge(START, "sub").add_edge("sub", "kept").compile()
    assert graph.invoke({"items": [{"sku": "a"}]})["log"] == ["a", "a"]


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Part(TypedDict):
    messages: list[AnyMessage]


def test_messages_stay_what_they_are() -> None:
    seen: list[Any] = []

    def whole(state: Any) -> None:
        seen.extend(state["messages"])

    def part(state: Part) -> None:
        seen.extend(state["messages"])

    graph = graph_of(Talk, whole, part)
    given: Any = {"messages": [{"role": "user", "content": "hi", "id": "1"}]}
    graph.invoke(given)
    assert seen == [*given["messages"], *given["messages"]]
    assert graph.input_faults(given) == []
    assert graph.input_json_schema()["properties"]["messages"] == {
        "title": "Messages",
        "type": "array",
    }


if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


@dataclass
class Foreign:
    found: Unknown
    item: int = 1


def test_what_a_function_defines_may_be_named_in_strings() -> None:
    @dataclass
    class Piece:
        sku: str
        parts: list[Piece] = dataclasses.field(default_factory=list)

    class Local(TypedDict, total=False):
        parts: list[Piece]
        foreign: Foreign
        out: Any

    class Some(TypedDict):
        parts: list[Piece]

    def node(state: Some) -> Any:
        return {"out": [state["parts"][0].parts[0].sku, sorted(state)]}

    def other(state: Local) -> Any:
        return {"out": [*state["out"], state["foreign"].found]}

    graph = graph_of(Local, node, other)
    given = {"parts": [{"sku": "a", "parts": [{"sku": "b"}]}], "foreign": {"found": 1}}
    assert graph.invoke(given)["out"] == ["b", ["parts"], 1]
    Draft202012Validator(graph.input_json_schema()).validate(given)


@dataclass
class Owner:
    item: Item
    since: date


def test_what_is_sent_is_an_object_too() -> None:
    class Aliased(BaseModel):
        sku: str = Field(alias="SKU")

    def start(state: Basket) -> Any:
        return [Send("item", ITEM), Send("model", {"sku": "b"}), Send("alias", {"sku": "c"})]

    def item(item: Item) -> Any:
        return {"log": [item.sku]}

    def model(model: Model) -> Any:
        return {"log": [model.sku]}

    def alias(model: Any) -> Any:
        return {"log": [model.sku]}

    alias.__annotations__["model"] = Aliased
    builder = StateGraph(Basket).add_node(start, destinations=["item", "model", "alias"])
    builder.add_node(item).add_node(model).add_node(alias).add_edge(START, "start")
    assert builder.compile().invoke({})["log"] == ["a", "b", "c"]
    builder = StateGraph(Basket).add_node(item)
    builder.add_conditional_edges(START, lambda state: Send("item", {"size": 1}))
    with pytest.raises(InvalidUpdateError, match="Node 'item' was sent what does not fit"):
        builder.compile().invoke({})


def test_a_context_and_the_input_of_a_function_are_objects_too() -> None:
    def node(state: Basket, ctx: Context) -> Any:
        return {"out": [ctx.context.item.sku, ctx.context.since.year]}

    graph = graph_of(Basket, node, context_schema=Owner)
    assert graph.invoke({}, context={"item": ITEM, "since": "2024-02-29"})["out"] == ["a", 2024]
    with pytest.raises(TypeError, match="this is no Owner: "):  # LangGraph's class
        graph.invoke({}, context={"item": ITEM})

    @entrypoint()
    def flow(items: list[Item]) -> str:
        return items[0].sku

    assert flow.invoke([ITEM]) == flow.invoke([Item("a")]) == "a"
    assert flow.compiled.input_json_schema()["properties"]["input"]["type"] == "array"
    assert flow.compiled.input_faults({"input": [{"size": 1}]})[0][0] == ("input",)
    with pytest.raises(InvalidUpdateError, match="Key 'input' does not hold what its annotation"):
        flow.invoke([{"size": 1}])


def counted(left: dict[str, Item], right: dict[str, Item]) -> dict[str, Item]:
    return left | {key: Item(item.sku, item.n + 1) for key, item in right.items()}


@pytest.mark.parametrize(
    ("hint", "given", "merged"),
    [
        (Annotated[set[str], operator.or_], ["a"], {"a", "b"}),
        (Annotated[tuple[str, ...], operator.add], ["a"], ("a", "b")),
        (Annotated[Decimal, operator.add], "1.5", Decimal("3.5")),
        (Annotated[date, max], "2024-02-29", date(2024, 3, 1)),
    ],
    ids=["set", "tuple", "decimal", "date"],
)
def test_a_reducer_merges_what_came_as_json(hint: Any, given: Any, merged: Any) -> None:
    written = {set: {"b"}, tuple: ("b",), Decimal: Decimal(2), date: date(2024, 3, 1)}

    def node(state: Any) -> Any:
        return {"given": written[type(merged)]}

    assert graph_of(typeddict_of(hint), node).invoke({"given": given}) == {"given": merged}


def test_a_reducer_merges_objects_that_can_be_stored() -> None:
    make: Any = TypedDict
    made = make("made", {"by": Annotated[dict[str, Item], counted]})
    graph = graph_of(made, idle)
    assert graph.invoke({"by": {"a": ITEM}}) == {"by": {"a": Item("a", 3)}}
