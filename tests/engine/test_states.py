"""State as a dataclass or a pydantic model, and threads that go on."""

from __future__ import annotations

import dataclasses
import operator
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, ValidationError

from runs.engine import START, InvalidGraphError, StateGraph


@dataclasses.dataclass
class Data:
    n: int
    log: Annotated[list[str], operator.add] = dataclasses.field(default_factory=list)
    word: str = "none"


class Model(BaseModel):
    n: int
    log: Annotated[list[str], operator.add] = []
    word: str = "none"


class Whole(TypedDict):
    n: int
    log: Annotated[list[str], operator.add]
    word: NotRequired[str]  # in a string here, where TypedDict itself overlooks it


class Partial(TypedDict, total=False):
    n: int


@pytest.mark.parametrize(
    ("given", "required"), [(Whole, ["n"]), (Partial, None), (Data, ["n"]), (Model, ["n"])]
)
def test_the_schema_requires_what_the_input_type_does(given: Any, required: Any) -> None:
    def node(state: Any) -> None: ...

    builder = StateGraph(Whole, input_schema=given).add_node(node).add_edge(START, "node")
    assert builder.compile().input_json_schema().get("required") == (
        None if given is Whole else required
    ), "nodes may fill in the rest of a state"
    builder = StateGraph(Partial, input_schema=given).add_node(node).add_edge(START, "node")
    assert builder.compile().input_json_schema().get("required") == required


def dict_with(name: str) -> Any:
    make: Any = TypedDict
    return make("Made", {name: str, "log": Annotated[list[str], operator.add]}, total=False)


def record_with(name: str) -> Any:
    log = Annotated[list[str], operator.add]
    return dataclasses.make_dataclass("Made", [(name, str, ""), ("log", log, None)])


@pytest.mark.parametrize("make", [dict_with, record_with])
@pytest.mark.parametrize("name", ["__meta__", "__meta", "_meta", "__start__", "__root__"])
def test_a_key_may_begin_with_underscores(make: Any, name: str) -> None:
    def node(given: Any) -> Any:
        seen = given[name] if isinstance(given, dict) else getattr(given, name)
        return {name: "new", "log": [seen]}

    graph = StateGraph(make(name)).add_node(node).add_edge(START, "node").compile()
    assert graph.invoke({name: "old"}) == {name: "new", "log": ["old"]}
    assert name in graph.input_json_schema()["properties"]
    assert graph.input_faults({name: "old"}) == []


@pytest.mark.parametrize("make", [dict_with, record_with])
def test_the_key_of_questions_is_no_key_of_a_state(make: Any) -> None:
    with pytest.raises(InvalidGraphError, match="cannot be called '__interrupt__'"):
        StateGraph(make("__interrupt__"))


@pytest.mark.parametrize("state", [Data, Model])
def test_nodes_get_the_state_as_its_own_type(state: Any) -> None:
    def node(given: Any) -> dict[str, Any]:
        assert type(given) is state
        return {"n": given.n + 1, "log": [given.word]}

    graph = StateGraph(state).add_node(node).add_edge(START, "node").compile()
    assert graph.invoke({"n": 1}) == {"n": 2, "log": ["none"]}, "a default is not a write"
    assert graph.invoke({"n": 1, "word": "x", "log": ["in"]}) == {
        "n": 2,
        "log": ["in", "x"],
        "word": "x",
    }


@pytest.mark.parametrize("state", [Data, Model])
def test_input_and_update_may_be_of_the_states_type(state: Any) -> None:
    def node(given: Any) -> Any:
        return state(n=given.n + 1, log=["a"])

    graph = StateGraph(state).add_node(node).add_edge(START, "node").compile()
    final = graph.invoke(state(n=1, log=["in"]))
    assert (final["n"], final["log"]) == (2, ["in", "a"])


def test_a_model_validates_what_a_node_is_given() -> None:
    graph = StateGraph(Model).add_node("a", lambda s: None).add_edge(START, "a").compile()
    with pytest.raises(ValidationError):
        graph.invoke({"n": "many"})


def test_a_thread_goes_on_with_its_state() -> None:
    def node(given: Data) -> dict[str, Any]:
        return {"n": given.n + 1, "log": ["x"]}

    graph = StateGraph(Data).add_node(node).add_edge(START, "node").compile()
    assert graph.invoke({"n": 1}, thread_id="t")["n"] == 2
    assert graph.invoke({}, thread_id="t") == {"n": 3, "log": ["x", "x"]}
    assert graph.invoke({"n": 7}, thread_id="other") == {"n": 8, "log": ["x"]}
    assert graph.invoke(None, thread_id="t") == {"n": 3, "log": ["x", "x"]}, (
        "nothing was left to do"
    )
