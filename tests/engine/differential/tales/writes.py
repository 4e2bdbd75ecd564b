"""Tales of what nodes read and write, and what becomes of their errors."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import BaseModel

from tests.engine.differential.libs import Lib
from tests.engine.differential.tales.words import (
    Data,
    Given,
    Model,
    Private,
    State,
    Told,
    chain,
    says,
    tale,
)


@tale
def two_writers_of_one_value(lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    for name in "ab":
        builder.add_node(name, lambda s, n=name: {"x": n}).add_edge(lib.START, name)
    return lib.compile(builder), [{}]


@tale
def a_node_that_answers_nonsense(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("a", lambda s: 7).add_edge(lib.START, "a")
    return lib.compile(builder), [{}]


@tale
def reducers_of_many_kinds(lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    for number, name in enumerate("ab"):
        builder.add_node(
            name, lambda s, n=name, i=number: {"total": i + 1, "table": {n: i, "k": n}, "log": [n]}
        ).add_edge(lib.START, name)
    return lib.compile(builder), [{}, {"total": 10, "table": {"z": 0}}]


@tale
def reducers_begin_empty(lib: Lib) -> Any:
    def a(state: State) -> State:
        return {"x": sorted(state), "y": [state["log"], state["total"], state["table"]]}

    return lib.compile(lib.StateGraph(State).add_node("a", a).add_edge(lib.START, "a")), [{}]


@tale
def input_and_output_of_their_own(lib: Lib) -> Any:
    builder = lib.StateGraph(State, input_schema=Given, output_schema=Told)
    builder.add_node("a", lambda s: {"log": [s["x"]], "y": 1}).add_edge(lib.START, "a")
    return lib.compile(builder), [{"x": 4}]


@tale
def private_keys(lib: Lib) -> Any:
    def second(state: Private) -> dict[str, Any]:
        return {"log": [sorted(state), state["secret"]]}

    builder = lib.StateGraph(State).add_node("a", lambda s: {"secret": 3})
    builder.add_node("b", second, input_schema=Private)
    return lib.compile(builder.add_edge(lib.START, "a").add_edge("a", "b")), [{}]


@tale
def a_dataclass(lib: Lib) -> Any:
    def a(state: Data) -> dict[str, Any]:
        return {"n": state.n + 1, "log": [type(state).__name__, state.n]}

    builder = lib.StateGraph(Data).add_node("a", a).add_edge(lib.START, "a")
    return lib.compile(builder), [{"n": 1}, {"n": 5}]


@tale
def a_pydantic_model(lib: Lib) -> Any:
    def a(state: Model) -> dict[str, Any]:
        return {"n": state.n + 1, "log": [type(state).__name__, state.n]}

    builder = lib.StateGraph(Model).add_node("a", a).add_edge(lib.START, "a")
    return lib.compile(builder), [{"n": 1}]


@tale
def an_error(lib: Lib) -> Any:
    def b(state: State) -> Any:
        raise KeyError("b")

    builder = chain(lib, "a").add_node("b", b).add_edge("a", "b")
    return lib.compile(builder), [{}]


@tale
def an_error_and_going_on(lib: Lib) -> Any:
    tries: list[int] = []

    def b(state: State) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise KeyError("b")
        return {"log": ["b"]}

    builder = chain(lib, "a").add_node("b", b).add_edge("a", "b")
    builder.add_node("c", says("c")).add_edge("a", "c")
    return lib.compile(builder), [{}, None]


@tale
def a_retry(lib: Lib) -> Any:
    tries: list[int] = []

    def a(state: State) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        return {"log": [len(tries)]}

    policy = lib.RetryPolicy(initial_interval=0.001, jitter=False)
    builder = lib.StateGraph(State).add_node("a", a, retry_policy=policy).add_edge(lib.START, "a")
    return lib.compile(builder), [{}]


@tale
def a_retry_that_gives_up(lib: Lib) -> Any:
    def a(state: State) -> Any:
        raise ConnectionError

    policy = lib.RetryPolicy(initial_interval=0.001, jitter=False, max_attempts=2)
    builder = lib.StateGraph(State).add_node("a", a, retry_policy=policy).add_edge(lib.START, "a")
    return lib.compile(builder), [{}]


@tale
def a_node_that_writes_nothing(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", lambda s: None).add_edge("a", "b")
    return lib.compile(builder.add_node("c", says("c")).add_edge("b", "c")), [{"x": 1}]


@tale
def none_is_a_value(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("a", lambda s: {"x": None, "y": s.get("x", "no")})
    return lib.compile(builder.add_edge(lib.START, "a")), [{"x": None}, {}]


class Filled(BaseModel):
    x: Any = "x"
    y: Any = None
    log: list[Any] = ["filled"]


@dataclasses.dataclass
class FilledData:
    x: Any = "x"
    y: Any = None


@tale
def a_model_with_defaults(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", lambda s: Filled(log=["b"])).add_edge("a", "b")
    return lib.compile(builder), [{"x": 1, "y": 1}]


@tale
def a_model_whose_none_was_set(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", lambda s: Filled(y=None)).add_edge("a", "b")
    return lib.compile(builder), [{"x": 1, "y": 1}]


@tale
def a_dataclass_with_defaults(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", lambda s: FilledData()).add_edge("a", "b")
    return lib.compile(builder), [{"x": 1, "y": 1}]
