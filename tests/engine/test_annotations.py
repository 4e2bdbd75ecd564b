"""What annotations of state keys, nodes and routers mean to a graph."""

# ruff: noqa: UP007, UP045 -- the old spellings of unions are other objects
from __future__ import annotations

import dataclasses
import operator
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

import pytest
import typing_extensions as extensions
from langgraph.channels import Topic, UntrackedValue
from langgraph.managed import IsLastStep
from pydantic import AfterValidator, BaseModel, Field, RootModel

from runs.engine import START, Command, Send, StateGraph, add_messages
from runs.engine.errors import InvalidGraphError
from runs.engine.graph.channels import EphemeralValue, Reducer
from runs.engine.graph.destinations import answers, destinations, may_choose

T = TypeVar("T")
Appended = Annotated[list[Any], operator.add]
Log = extensions.TypeAliasType("Log", Appended)
LogOf = extensions.TypeAliasType("LogOf", Annotated[list[T], operator.add], type_params=(T,))
NewLog = NewType("NewLog", Appended)
Ends = extensions.TypeAliasType("Ends", Literal["done"])


def state_of(hint: Any) -> Any:
    make: Any = TypedDict
    return make("Made", {"log": hint}, total=False)


class Generics(TypedDict, Generic[T]):
    log: Annotated[list[T], operator.add]


class Bound(Generics[str]):
    n: NotRequired[int]


class ReadOnly(extensions.TypedDict, total=False):
    log: extensions.ReadOnly[Annotated[list[Any], operator.add]]


class Heir(ReadOnly):
    n: int


class Model(BaseModel):
    log: Annotated[list[Any], operator.add, Field(description="x")] = []


class Maybe(BaseModel):
    log: Annotated[list[Any], operator.add] | None = None


@dataclasses.dataclass
class Typed(Generic[T]):
    log: Annotated[list[T], operator.add, "doc"] = dataclasses.field(default_factory=list)


MERGED = {
    "not-last": state_of(Annotated[list[Any], operator.add, "what happened"]),
    "first-of-others": state_of(Annotated[list[Any], AfterValidator(list), operator.add]),
    "optional": state_of(Optional[Appended]),
    "or-none": state_of(None | Appended),
    "nested": state_of(Annotated[Appended, "doc"]),
    "not-required": state_of(NotRequired[Annotated[list[Any], operator.add, "x"]]),
    "around-not-required": state_of(Annotated[NotRequired[list[Any]], operator.add]),
    "in-a-string": state_of("Annotated[list[Any], operator.add, 'x']"),
    "alias": state_of(Log),
    "alias-or-none": state_of(Optional[Log]),
    "generic-alias": state_of(LogOf[str]),
    "new-type": state_of(NewLog),
    "lambda": state_of(Annotated[list[Any], lambda a, b: a + b, "x"]),
    "partial": state_of(Annotated[list[Any], partial(operator.concat), "x"]),
    "generic": Generics,
    "generic-of": Generics[str],
    "bound": Bound,
    "read-only": ReadOnly,
    "inherited": Heir,
    "model": Model,
    "model-or-none": Maybe,
    "dataclass": Typed,
    "dataclass-of": Typed[str],
}


@pytest.mark.parametrize("at_once", [False, True], ids=["in-turn", "at-once"])
@pytest.mark.parametrize("name", MERGED)
def test_a_reducer_counts_wherever_it_stands(name: str, at_once: bool) -> None:
    builder = StateGraph(MERGED[name])
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_node("b", lambda state: {"log": ["b"]})
    builder.add_edge(START, "a").add_edge(START if at_once else "a", "b")
    assert builder.compile().invoke({"log": ["in"]})["log"] == ["in", "a", "b"]


def test_a_conversation_may_be_none() -> None:
    builder = StateGraph(state_of(Optional[Annotated[list[Any], add_messages]]))
    builder.add_node("a", lambda state: {"log": [{"role": "user", "content": "x"}]})
    builder.add_node("b", lambda state: {"log": None})
    final = builder.add_edge(START, "a").add_edge("a", "b").compile().invoke({})
    assert final["log"][0]["id"], "messages get ids all the same"


def test_a_reducer_inside_of_optional_never_sees_none() -> None:
    builder = StateGraph(state_of(Optional[Appended])).add_node("a", lambda state: {"log": ["a"]})
    graph = builder.add_edge(START, "a").compile()
    assert graph.invoke({"log": None}) == graph.invoke({}) == {"log": ["a"]}


def three(a: Any, b: Any, c: Any) -> Any: ...


async def later(a: Any, b: Any) -> Any: ...


class Plain:
    a: int


class Point(NamedTuple):
    a: int


REFUSED: dict[str, tuple[Any, str]] = {
    "two": (state_of(Annotated[list[Any], operator.add, three]), "add and three: which of them"),
    "two-nested": (state_of(Annotated[Appended | None, three]), "three and add: which of them"),
    "two-channels": (state_of(Annotated[int, EphemeralValue, operator.add]), "which of them"),
    "three-values": (state_of(Annotated[list[Any], three, "x"]), "two values"),
    "one-value": (state_of(Annotated[list[Any], len]), "two values"),
    "async": (state_of(Annotated[list[Any], later]), "async or a generator"),
    "async-or-none": (state_of(Optional[Annotated[list[Any], later]]), "async or a generator"),
    "unknown-class": (state_of(Annotated[list[Any], Plain]), "Plain, which is no channel"),
    "foreign-class": (state_of(Annotated[list[Any], UntrackedValue]), "UntrackedValue, which is"),
    "foreign-channel": (state_of(Annotated[list[Any], Topic(str)]), "Topic, which is no channel"),
    "managed": (state_of(IsLastStep), "IsLastStepManager, which is no channel"),
    "incomplete": (state_of(Annotated[list[Any], Reducer]), "needs more than the name"),
    "in-a-list": (state_of(list[Annotated[int, operator.add]]), "stands inside of list"),
    "in-a-dict": (state_of(dict[str, Appended]), "stands inside of dict"),
    "one-of-several": (state_of(Union[Appended, str]), "stands at one of several types"),
    "unresolved": (state_of("Annotated[Nowhere, operator.add]"), "'Nowhere' stands for nothing"),
    "named-tuple": (Point, "Point is not a state"),
    "plain": (Plain, "Plain is not a state"),
    "root-model": (RootModel[int], "a RootModel, which has no keys"),
    "int": (int, "int is not a state"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused(name: str) -> None:
    state, words = REFUSED[name]
    with pytest.raises(InvalidGraphError, match=words):
        StateGraph(state)


class Items(TypedDict, total=False):
    items: list[int]
    out: Annotated[list[Any], operator.add]


def worker(state: dict[str, Any]) -> dict[str, Any]:
    return {"out": [state["n"]]}


def done(state: Items) -> dict[str, Any]:
    return {"out": ["done"]}


def router(said: Any) -> Callable[..., Any]:
    def route(state: Any) -> Any:
        return [Send("worker", {"n": n}) for n in state["items"]] or "done"

    route.__annotations__ = {"return": said}
    return route


ROUTES = {
    "sends-or-name": list[Send] | Literal["done"],
    "sequence-of-both": Sequence[Send | Literal["done"]],
    "tuple-or-name": tuple[Send, ...] | Literal["done"],
    "annotated": Annotated[list[Annotated[Send, "x"]] | Literal["done"], "doc"],
    "name-or-text": Literal["done"] | str,
    "optional": Optional[Sequence[Send]],
    "alias": Union[Ends, Iterable[Send]],
    "string": "list[Send] | Literal['done']",
    "unresolved": "Nowhere",
    "one-send": Send,
    "awaitable": Awaitable[list[Send]],
    "list": list,
    "any": Any,
    "object": object,
    "variable": T,
}


@pytest.mark.parametrize("name", ROUTES)
def test_a_router_that_may_send_leads_anywhere(name: str) -> None:
    builder = StateGraph(Items).add_node(worker).add_node(done)
    graph = builder.add_conditional_edges(START, router(ROUTES[name])).compile()
    assert graph.invoke({"items": [1, 2]})["out"] == [1, 2]
    assert graph.invoke({"items": []})["out"] == ["done"]


class Asked:
    def __call__(self, state: Items) -> Literal["done"]:
        return "done"

    async def method(self, state: Items) -> list[Literal["done"]]:
        return ["done"]


def wrapped(function: Any) -> Any:
    @wraps(function)
    def inner(*args: Any) -> Any:
        return function(*args)

    return inner


def with_more(more: int, state: Items) -> Ends | None:
    return "done"


@pytest.mark.parametrize(
    "route",
    [Asked(), Asked().method, wrapped(Asked().method), partial(with_more, 1), wrapped(with_more)],
    ids=["object", "method", "wrapped-method", "partial", "wrapped"],
)
def test_whatever_can_be_called_names_its_answers(route: Any) -> None:
    assert answers("Router", route) == ("done",)


def test_a_router_whose_literal_is_no_name_needs_a_path_map() -> None:
    builder = StateGraph(Items).add_node(done)
    with pytest.raises(InvalidGraphError, match=r"answers True, .* path_map="):
        builder.add_conditional_edges(START, router(Literal[True]))
    with pytest.raises(InvalidGraphError, match="path_map='done'; give a list"):
        builder.add_conditional_edges(START, router(str), "done")
    with pytest.raises(InvalidGraphError, match=r"destinations='a'; give a list of names: \['a'\]"):
        builder.add_node("n", done, destinations="a")


COMMANDS: dict[str, tuple[Any, tuple[str, ...], bool]] = {
    "literal": (Command[Literal["b"]], ("b",), False),
    "optional": (Optional[Command[Literal["b"]]], ("b",), False),
    "or-a-dict": (dict[str, Any] | Command[Literal["b", "c"]], ("b", "c"), False),
    "list": (list[Command[Literal["b"]]], ("b",), False),
    "annotated": (Annotated[Command[Literal["b"]], "x"], ("b",), False),
    "union-inside": (Command[Union[Literal["b"], Literal["c"]]], ("b", "c"), False),
    "alias-inside": (Command[Ends], ("done",), False),
    "string": ("Command[Literal['b']]", ("b",), False),
    "or-any-name": (Command[Union[Literal["b"], str]], ("b",), True),
    "any-name": (Command[str], (), True),
    "bare": (Command, (), True),
    "commands": (Sequence[Command[Any]], (), True),
    "send": (Send, (), True),
    "sends": (tuple[Send, ...] | None, (), True),
    "dict": (dict[str, Any], (), False),
    "dicts": (list[dict[str, Any]], (), False),
    "none": (None, (), False),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_node_says_where_it_may_go(name: str) -> None:
    said, names, anywhere = COMMANDS[name]

    def node(state: Any) -> Any: ...

    node.__annotations__ = {"state": "Nowhere", "return": said}
    assert destinations(node) == names, "what stands beside it may be unreadable"
    assert may_choose(node) is anywhere


@dataclasses.dataclass
class Seen:
    items: list[int] = dataclasses.field(default_factory=list)


class Other(TypedDict):
    items: list[int]


class Protocolled(Protocol):
    items: list[int]


@pytest.mark.parametrize(
    "said",
    [
        Seen,
        "Seen",
        Optional[Seen],
        Annotated[Seen, "x"],
        Seen | dict[str, Any],
        extensions.TypeAliasType("S", Seen),
        NewType("N", Seen),
        TypeVar("V", bound=Seen),
    ],
    ids=["class", "string", "optional", "annotated", "or-dict", "alias", "new-type", "variable"],
)
def test_a_node_sees_the_type_that_it_names(said: Any) -> None:
    def node(state: Any) -> Any:
        return {"out": [type(state).__name__]}

    node.__annotations__ = {"state": said}
    assert StateGraph(Items).add_node(node).add_edge(START, "node").compile().invoke({}) == {
        "out": ["Seen"]
    }


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Seen | Other, "reads a Seen or Other, .* several states"),
        ("Nowhere", "reads a Nowhere, .* can be found"),
        (Protocolled, "No Protocolled can be made"),
    ],
    ids=["two", "unresolved", "protocol"],
)
def test_a_state_that_a_node_cannot_be_given_is_refused(said: Any, words: str) -> None:
    def node(state: Any) -> Any: ...

    node.__annotations__ = {"state": said}
    with pytest.raises(InvalidGraphError, match=words):
        StateGraph(Items).add_node(node)


def test_a_second_argument_is_what_its_annotation_says() -> None:
    def takes_config(state: Items, given: dict[str, Any]) -> Any:
        return {"out": [given["configurable"]["x"]]}

    def takes_writer(state: Items, given: Callable[[Any], None]) -> Any:
        given("told")

    def takes_mapping(state: Items, given: Mapping[str, Any] | None) -> Any:
        return {"out": [given is not None]}

    def takes_number(state: Items, given: int) -> Any: ...

    builder = StateGraph(Items).add_sequence([takes_config, takes_writer, takes_mapping])
    graph = builder.add_edge(START, "takes_config").compile()
    config = {"configurable": {"x": 1}}
    assert list(graph.stream({}, config, stream_mode="custom")) == ["told"]
    assert graph.invoke({}, config)["out"] == [1, True]
    with pytest.raises(InvalidGraphError, match="an argument 'given' that nothing is known"):
        builder.add_node(takes_number)
