"""States that are dataclasses and pydantic models: how they are made, aliases, defaults, and the
JSON Schema of an input."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass, field
from datetime import date
from enum import Enum
from typing import Annotated, Any, TypedDict

import pytest
from jsonschema import Draft202012Validator
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as pydantic_dataclass

from runs.engine import START, Context, Send, StateGraph, entrypoint
from runs.engine.errors import InvalidGraphError, InvalidUpdateError


def graph_of(state: Any, *nodes: Callable[..., Any]) -> Any:
    return StateGraph(state).add_sequence(nodes).add_edge(START, nodes[0].__name__).compile()


def idle(state: Any) -> None: ...


@dataclass
class Late:
    a: int
    b: int = field(init=False, default=5)
    c: list[int] = field(init=False, default_factory=list)


@dataclass
class Seeded:
    a: int
    _: KW_ONLY
    b: int = 5
    seed: InitVar[int] = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    a: int
    b: int = 5


@pytest.mark.parametrize("state", [Late, Seeded, Frozen])
def test_a_dataclass_is_made_as_it_wants_to_be(state: Any) -> None:
    def add(state: Any) -> Any:
        return {"b": state.b + state.a}

    graph = graph_of(state, add)
    assert graph.invoke({"a": 1})["b"] == graph.invoke(state(a=1))["b"] == 6
    assert graph.invoke({"a": 1, "b": 7})["b"] == 8
    assert graph.input_json_schema()["required"] == ["a"]
    assert set(graph.input_json_schema()["properties"]) <= {"a", "b", "c"}


def test_a_dataclass_that_wants_more_than_its_keys_is_refused() -> None:
    @dataclass
    class Wanting:
        a: int
        seed: InitVar[int]

    with pytest.raises(InvalidGraphError, match="missing a required argument: 'seed'"):
        StateGraph(Wanting)


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    user_name: str


class Required(BaseModel):
    user_name: str = Field(alias="userName")


class Defaulted(BaseModel):
    user_name: str = Field("nobody", alias="userName", serialization_alias="UN")


class Chosen(BaseModel):
    user_name: str = Field(validation_alias=AliasChoices("u", "name"))


class Reached(BaseModel):
    user_name: str = Field("x", validation_alias=AliasPath("u", "name"))


class Populated(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    user_name: str = Field(alias="userName")


ALIASED: dict[str, tuple[Any, Any]] = {
    "generated": (Camel, {"userName": "z"}),
    "required": (Required, {"userName": "z"}),
    "with-default": (Defaulted, {"userName": "z"}),
    "choices": (Chosen, {"name": "z"}),
    "path": (Reached, {"u": {"name": "z"}}),
    "by-name-too": (Populated, {"userName": "z"}),
}


@pytest.mark.parametrize("name", ALIASED)
def test_the_keys_of_a_model_are_the_names_of_its_fields(name: str) -> None:
    state, by_alias = ALIASED[name]

    def louder(state: Any) -> Any:
        return {"user_name": state.user_name + "!"}

    def same(given: Any) -> Any:
        assert type(given) is state
        return given

    graph = graph_of(state, louder, same)
    assert graph.invoke({"user_name": "z"}) == {"user_name": "z!"}
    assert graph.invoke(state(**by_alias)) == {"user_name": "z!"}
    with pytest.raises(InvalidUpdateError, match="Its keys are 'user_name'"):
        graph.invoke(by_alias)
    schema = graph.input_json_schema()
    assert list(schema["properties"]) == ["user_name"] and schema["additionalProperties"] is False
    assert graph.input_faults({"user_name": "z"}) == []
    assert graph.input_faults({"user_name": 3})[0][0] == ("user_name",)


class Swapped(BaseModel):
    a: int = Field(alias="b")
    b: int = Field(alias="a")


@pydantic_dataclass
class AliasedDataclass:
    user_name: str = Field(alias="userName")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (Swapped, "the name of another field"),
        (AliasedDataclass, "pydantic dataclass with an alias"),
    ],
    ids=["swapped", "dataclass"],
)
def test_aliases_that_cannot_work_are_refused(state: Any, words: str) -> None:
    with pytest.raises(InvalidGraphError, match=words):
        StateGraph(state)


class Part(BaseModel):
    part_id: int = Field(alias="partId")


class Whole(BaseModel):
    part: Part
    whole: Whole | None = None
    size: int = Field(0, alias="SIZE")


def test_objects_inside_are_given_by_their_aliases() -> None:
    def node(state: Whole) -> Any:
        return {"size": state.part.part_id}

    graph, given = graph_of(Whole, node), {"part": {"partId": 3}, "size": 1}
    assert graph.invoke(given)["size"] == 3
    schema = graph.input_json_schema()
    Draft202012Validator(schema).validate({**given, "whole": {"part": {"partId": 4}, "SIZE": 5}})
    assert not Draft202012Validator(schema).is_valid({"part": {"partId": 3}, "SIZE": 1})


class Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int
    high: int = 9

    @model_validator(mode="after")
    def _ordered(self) -> Checked:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


@dataclass
class Ordered:
    low: int
    high: int = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


@pytest.mark.parametrize("state", [Checked, Ordered])
def test_what_an_object_says_of_its_fields_is_said_before_a_run(state: Any) -> None:
    graph = graph_of(state, idle)
    assert graph.input_faults({"low": 1}) == []
    ((where, why),) = graph.input_faults({"low": 10})
    assert where == () and "low is above high" in why
    assert graph.input_faults({"high": 1}) == [], "a node may fill in what is left out"
    assert graph.input_faults({"low": 10}, goes_on=True) == [], "the thread may have the rest"
    assert graph.state_faults({"low": 10}) == []


# --- defaults of reduced keys ---------------------------------------------------------------------


class Model(BaseModel):
    log: Annotated[list[str], operator.add] = ["start"]
    n: int = 0


class Made(BaseModel):
    log: Annotated[list[str], operator.add] = Field(default_factory=lambda: ["start"])
    n: int = 0


@dataclass
class Data:
    log: Annotated[list[str], operator.add] = field(default_factory=lambda: ["start"])
    n: int = 0


@pytest.mark.parametrize("state", [Model, Made, Data])
def test_a_reduced_key_begins_with_its_default(state: Any) -> None:
    def node(given: Any) -> Any:
        return {"log": ["a"]}

    def whole(given: Any) -> Any:
        return state(n=1)

    graph = graph_of(state, node, whole)
    for given in ({}, {"n": 1}, state(), state(n=1)):
        assert graph.invoke(given)["log"] == ["start", "a"]
    for given in ({"log": ["in"]}, state(log=["in"])):
        assert graph.invoke(given)["log"] == ["in", "a"]
    assert graph.invoke({"log": []})["log"] == ["a"]


@pytest.mark.parametrize("state", [Model, Data])
def test_a_default_counts_once_in_a_thread(state: Any) -> None:
    def node(given: Any) -> Any:
        return {"log": ["a"]}

    graph = graph_of(state, node)
    graph.invoke({}, thread_id="t")
    graph.invoke(state(n=2), thread_id="t")
    assert graph.invoke({"log": ["b"]}, thread_id="t")["log"] == ["start", "a", "a", "b", "a"]
    graph.update_state("t", state(n=3), as_node="node")
    assert graph.get_state("t").values == {"log": ["start", "a", "a", "b", "a"], "n": 3}
    graph.update_state("new", {"n": 1}, as_node="__start__")
    assert graph.get_state("new").values["log"] == ["start"]


@dataclass
class Asked:
    word: str
    day: date = date(2020, 1, 1)


class Answered(TypedDict, total=False):
    word: str
    day: date
    seen: Any


def test_the_defaults_of_an_input_type_count_for_mappings_too() -> None:
    def node(state: Answered) -> Any:
        return {"seen": state["day"].year}

    builder = StateGraph(Answered, input_schema=Asked).add_node(node).add_edge(START, "node")
    graph = builder.compile()
    assert graph.invoke({"word": "a"})["seen"] == graph.invoke(Asked("a"))["seen"] == 2020
    graph.invoke({"word": "a", "day": "2024-02-29"}, thread_id="t")
    assert graph.invoke({"word": "b"}, thread_id="t")["seen"] == 2024


def test_an_object_may_set_a_key_back_to_its_default() -> None:
    def node(state: Asked) -> Any:
        return Asked(state.word)

    builder = StateGraph(Asked, input_schema=Asked).add_node(node).add_edge(START, "node")
    final = builder.compile().invoke({"word": "a", "day": date(2024, 1, 1)})
    assert final["day"] == date(2020, 1, 1)


def test_a_strict_model_takes_what_came_as_json() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)

        day: date
        seen: int = 0

    def node(state: Any) -> Any:
        return {"seen": state.day.year}

    graph = graph_of(Strict, node)
    assert graph.input_faults({"day": "2024-02-29"}) == []
    assert graph.invoke({"day": "2024-02-29"})["seen"] == 2024
    assert graph.input_faults({"day": "2024-02-29", "seen": "1"}), "it is strict all the same"


def test_none_is_no_beginning() -> None:
    class Empty(BaseModel):
        log: Annotated[list[str] | None, operator.add] = None

    def node(given: Any) -> Any:
        return {"log": ["a"]}

    graph = graph_of(Empty, node)
    assert graph.invoke({}) == graph.invoke(Empty()) == {"log": ["a"]}


# --- JSON Schema ----------------------------------------------------------------------------------


class Color(Enum):
    RED = "red"
    OTHER = object()


@dataclass
class Tree:
    name: str
    kids: list[Tree] = field(default_factory=list)


class Described(TypedDict, total=False):
    tree: Tree
    part: Part
    day: date
    color: Color
    pair: tuple[int, str]
    many: dict[str, list[int]]
    anything: object


def test_the_schema_says_what_the_annotations_say() -> None:
    schema = Draft202012Validator(graph_of(Described, idle).input_json_schema())
    for good in (
        {"tree": {"name": "a", "kids": [{"name": "b"}]}},
        {"part": {"partId": 1}},
        {"day": "2024-02-29", "color": "red", "pair": [1, "a"], "many": {"a": [1]}},
        {"anything": [1]},
    ):
        schema.validate(good)
    for bad in (
        {"tree": {"name": "a", "kids": [{"nme": "b"}]}},
        {"part": {"part_id": 1}},
        {"color": "green"},
        {"pair": [1]},
        {"many": {"a": ["b"]}},
        {"other": 1},
    ):
        assert not schema.is_valid(bad), bad


@dataclass
class Line:
    sku: str


class Order(TypedDict, total=False):
    lines: list[Line]
    line: Line
    log: Annotated[list[str], operator.add]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int = 0


def test_what_a_model_has_beside_its_fields_is_no_key_however_it_comes() -> None:
    def extra(given: Open) -> Open:
        return Open(n=1, more=2)  # type: ignore[call-arg]

    with pytest.raises(InvalidUpdateError, match="wrote to 'more'"):
        graph_of(Open, extra).invoke({})
    for given in ({"more": 2}, Open(more=2)):  # type: ignore[call-arg]
        with pytest.raises(InvalidUpdateError, match="wrote to 'more'"):
            graph_of(Open, lambda given: {"n": 1}).invoke(given)


def test_what_a_node_is_given_it_may_send_and_write() -> None:
    def fan_out(state: Order) -> list[Send]:
        return [Send("work", {"line": line}) for line in state["lines"]]

    def work(state: Order) -> Order:
        return {"log": [state["line"].sku]}

    def first(state: Order) -> Order:
        return {"line": state["lines"][0]}

    builder = StateGraph(Order).add_node(first).add_node(work).add_edge(START, "first")
    graph = builder.add_conditional_edges("first", fan_out, ["work"]).compile()
    made = graph.invoke({"lines": [{"sku": "a"}, {"sku": "b"}]})
    assert (made["line"], made["log"]) == (Line("a"), ["a", "b"])


def test_what_a_function_defines_is_known_when_it_has_returned() -> None:
    def build() -> Any:
        @dataclass
        class Inside:
            day: date

        @dataclass
        class Around:
            inside: Inside

        @entrypoint()
        def flow(given: Around) -> int:
            return given.inside.day.year

        def node(state: Order, ctx: Context) -> Order:
            return {"log": [str(ctx.context.inside.day.year)]}

        graph = StateGraph(Order, context_schema=Around).add_node(node).add_edge(START, "node")
        return flow, graph.compile()

    flow, graph = build()
    given = {"inside": {"day": "2024-02-29"}}
    assert flow.invoke(given) == 2024
    assert graph.invoke({}, context=given)["log"] == ["2024"]
