"""Graphs that people write, told once for both libraries."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel

from tests.engine.differential.libs import Answers, Lib, Tale, answer

TALES: dict[str, Tale] = {}


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    total: Annotated[int, operator.add]
    table: Annotated[dict[str, Any], operator.or_]
    x: Any
    y: Any


class Given(TypedDict):
    x: Any


class Told(TypedDict):
    log: list[Any]


class Private(TypedDict):
    secret: Any


@dataclasses.dataclass
class Data:
    n: int
    log: Annotated[list[Any], operator.add] = dataclasses.field(default_factory=list)


class Model(BaseModel):
    n: int
    log: Annotated[list[Any], operator.add] = []


def tale(function: Tale) -> Tale:
    TALES[function.__name__] = function
    return function


def says(*words: Any, **more: Any) -> Callable[[Any], Any]:
    return lambda state: {"log": list(words), **more}


def chain(lib: Lib, *names: str, state: Any = State) -> Any:
    builder = lib.StateGraph(state)
    for name in names:
        builder.add_node(name, says(name))
    for before, after in zip((lib.START, *names), names, strict=False):
        builder.add_edge(before, after)
    return builder


@tale
def one_node(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a")), [{"x": 1}]


@tale
def a_chain(lib: Lib) -> Any:
    return lib.compile(chain(lib, "c", "a", "b")), [{"log": ["in"]}]


@tale
def a_thread_goes_on(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a", "b")), [{"x": 1}, {"log": ["again"]}, None]


@tale
def fan_out_and_in(lib: Lib) -> Any:
    builder = chain(lib, "a")
    for name in ("d", "b", "c"):
        builder.add_node(name, says(name, total=1)).add_edge("a", name).add_edge(name, "z")
    return lib.compile(builder.add_node("z", says("z"))), [{}]


@tale
def a_join_of_uneven_branches(lib: Lib) -> Any:
    builder = chain(lib, "a", "b")
    builder.add_node("c", says("c")).add_edge(lib.START, "c")
    builder.add_node("z", says("z")).add_edge(["b", "c"], "z")
    return lib.compile(builder), [{}]


@tale
def no_join_of_uneven_branches(lib: Lib) -> Any:
    builder = chain(lib, "a", "b", "z")
    builder.add_node("c", says("c")).add_edge(lib.START, "c").add_edge("c", "z")
    return lib.compile(builder), [{}]


@tale
def a_join_with_one_source_that_never_comes(lib: Lib) -> Any:
    builder = chain(lib, "a")
    builder.add_node("b", says("b")).add_node("z", says("z")).add_edge(["a", "b"], "z")
    builder.add_conditional_edges("a", lambda s: "b" if s.get("x") else lib.END, ["b", lib.END])
    return lib.compile(builder), [{}, {"x": 1}, {}]


@tale
def a_join_in_a_loop(lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    for name in "ab":
        builder.add_node(name, says(name)).add_edge(lib.START, name)
    builder.add_node("z", says("z")).add_edge(["a", "b"], "z")
    builder.add_conditional_edges(
        "z", lambda s: ["a", "b"] if len(s["log"]) < 8 else lib.END, ["a", "b", lib.END]
    )
    return lib.compile(builder), [{}]


@tale
def a_loop(lib: Lib) -> Any:
    builder = chain(lib, "a")
    builder.add_conditional_edges("a", lambda s: "a" if len(s["log"]) < 5 else lib.END)
    return lib.compile(builder), [{}]


@tale
def a_loop_without_end(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a").add_edge("a", "a")), [{}]


@tale
def a_path_map(lib: Lib) -> Any:
    builder = chain(lib, "a")
    builder.add_node("b", says("b")).add_node("c", says("c"))
    builder.add_conditional_edges("a", lambda s: bool(s["x"]), {True: "b", False: "c"})
    return lib.compile(builder), [{"x": 1}, {"x": 0}]


@tale
def two_routers_of_one_node(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", says("b")).add_node("c", says("c"))
    builder.add_conditional_edges("a", lambda s: "b", ["b"])

    def second(state: State) -> str:
        return "c"

    builder.add_conditional_edges("a", second, ["c"])
    return lib.compile(builder), [{}]


@tale
def a_router_at_the_start(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("a", says("a")).add_node("b", says("b"))
    builder.add_conditional_edges(lib.START, lambda s: s["x"], ["a", "b"])
    return lib.compile(builder), [{"x": "b"}, {"x": "a"}, {"x": ["a", "b"]}]


@tale
def an_async_router(lib: Lib) -> Any:
    async def route(state: State) -> list[str]:
        return ["b", lib.END]

    builder = chain(lib, "a").add_node("b", says("b"))
    return lib.compile(builder.add_conditional_edges("a", route, ["b", lib.END])), [{}]


@tale
def a_router_with_an_empty_answer(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", says("b"))
    return lib.compile(builder.add_conditional_edges("a", lambda s: [], ["b"])), [{}]


@tale
def a_router_that_raises(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", says("b"))
    return lib.compile(builder.add_conditional_edges("a", lambda s: s["nothing"], ["b"])), [{}]


@tale
def routers_see_their_own_writes(lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    for name in "ab":
        builder.add_node(name, says(name)).add_edge(lib.START, name)
        builder.add_node(f"{name}1", says(f"{name}1")).add_node(f"{name}2", says(f"{name}2"))
        builder.add_conditional_edges(
            name, lambda s, n=name: f"{n}{len(s['log'])}", [f"{name}1", f"{name}2"]
        )
    return lib.compile(builder), [{}]


@tale
def map_and_reduce(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda s: {"log": [s["i"] * 2], "total": s["i"]})
    builder.add_node("r", lambda s: {"x": sum(s["log"])}).add_edge("w", "r")
    builder.add_conditional_edges(
        lib.START, lambda s: [lib.Send("w", {"i": i}) for i in (5, 3, 9, 12, 1)], ["w"]
    )
    return lib.compile(builder), [{}]


@tale
def many_sends_keep_their_order(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda i: {"log": [i]})
    builder.add_conditional_edges(
        lib.START, lambda s: [lib.Send("w", i) for i in range(23, 0, -1)], ["w"]
    )
    return lib.compile(builder), [{}]


@tale
def sends_beside_names(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda s: {"log": [s.get("i", "state")]})
    builder.add_node("z", says("z"))
    builder.add_conditional_edges(
        lib.START, lambda s: [lib.Send("w", {"i": 1}), "z", "w"], ["w", "z"]
    )
    return lib.compile(builder), [{}]


@tale
def sends_from_parallel_nodes(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("w", lambda s: {"log": [s]})
    for name in "ba":
        builder.add_node(name, says(name)).add_edge(lib.START, name)
        builder.add_conditional_edges(
            name, lambda s, n=name: [lib.Send("w", f"{n}{i}") for i in range(2)], ["w"]
        )
    return lib.compile(builder), [{}]


def choosing(lib: Lib, goto: Callable[[], Any], **update: Any) -> Any:
    def a(state: State) -> Any:
        return lib.Command(update={"log": ["a"], **update}, goto=goto())

    builder = lib.StateGraph(State).add_node("a", a, destinations=("b", "c"))
    builder.add_edge(lib.START, "a").add_node("b", says("b")).add_node("c", says("c"))
    return builder


@tale
def a_command_goes(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: "b")), [{}]


@tale
def a_command_goes_several_ways(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: ["c", "b"])), [{}]


@tale
def a_command_goes_nowhere(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: ())), [{}]


@tale
def a_command_sends(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: [lib.Send("b", {}), "c", lib.Send("b", {})])), [{}]


@tale
def a_command_goes_beside_edges(lib: Lib) -> Any:
    return lib.compile(choosing(lib, lambda: "b").add_edge("a", "c")), [{}]


@tale
def a_list_of_updates_and_commands(lib: Lib) -> Any:
    def a(state: State) -> Any:
        return [{"log": [1]}, lib.Command(update={"log": [2]}, goto="b"), {"total": 3}]

    builder = lib.StateGraph(State).add_node("a", a, destinations=("b",)).add_edge(lib.START, "a")
    return lib.compile(builder.add_node("b", says("b"))), [{}]


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
def a_deferred_node(lib: Lib) -> Any:
    builder = chain(lib, "a", "b", "c").add_node("z", says("z"), defer=True)
    return lib.compile(builder.add_edge("a", "z")), [{}]


@tale
def a_deferred_join(lib: Lib) -> Any:
    builder = chain(lib, "a", "b", "c")
    builder.add_node("d", says("d")).add_edge(lib.START, "d")
    builder.add_node("z", says("z"), defer=True).add_edge(["a", "d"], "z")
    return lib.compile(builder), [{}]


@tale
def a_deferred_join_in_a_loop(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_edge(lib.START, "a").add_edge(lib.START, "b")
    builder.add_node("a", says("a")).add_node("b", says("b"), defer=True).add_edge("a", "b")
    builder.add_node("z", says("z"), defer=True).add_edge(["a", "b"], "z")
    builder.add_conditional_edges("b", lambda s: "a" if len(s["log"]) < 7 else lib.END)
    return lib.compile(builder), [{}]


@tale
def a_join_at_the_end(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", says("b")).add_edge(lib.START, "b")
    return lib.compile(builder.add_edge(["a", "b"], lib.END)), [{}]


@tale
def two_deferred_nodes(lib: Lib) -> Any:
    builder = chain(lib, "a", "b").add_node("y", says("y"), defer=True)
    builder.add_node("z", says("z"), defer=True).add_edge(lib.START, "y").add_edge("y", "z")
    return lib.compile(builder), [{}]


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


def asking(lib: Lib, *questions: str) -> Callable[[Any], Any]:
    return lambda state: {"log": [lib.interrupt(question) for question in questions]}


@tale
def a_question(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("q", asking(lib, "?")).add_edge("a", "q")
    return lib.compile(builder), [{}, answer("yes")]


@tale
def questions_in_a_row(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("q", asking(lib, "1", "2", "3"))
    graph = lib.compile(builder.add_edge(lib.START, "q"))
    return graph, [{}, answer("a"), answer("b"), answer("c")]


@tale
def questions_at_once_by_id(lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    for name in "cab":
        builder.add_node(name, asking(lib, name)).add_edge(lib.START, name)
    builder.add_node("f", says("f")).add_edge(lib.START, "f")
    return lib.compile(builder), [{}, Answers({"c": 3, "b": 2}), Answers({"a": 1})]


@tale
def an_answer_with_an_update(lib: Lib) -> Any:
    def q(state: State) -> Any:
        return {"log": [state.get("x"), lib.interrupt("?")]}

    builder = lib.StateGraph(State).add_node("q", q).add_edge(lib.START, "q")
    return lib.compile(builder), [{"x": 1}, answer("a", update={"x": 2, "log": ["cmd"]})]


@tale
def an_answer_with_a_way(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_edge(lib.START, "q")
    builder.add_node("q", asking(lib, "?"), destinations=("side",))
    builder.add_node("side", says("side"))
    return lib.compile(builder), [{}, answer("a", goto="side")]


@tale
def an_input_instead_of_an_answer(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("q", asking(lib, "?")).add_edge(lib.START, "q")
    return lib.compile(builder), [{"log": ["one"]}, {"log": ["two"]}, answer("a")]


@tale
def sends_that_ask(lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    builder.add_node("q", lambda i: {"log": [f"{i}{lib.interrupt(str(i))}"]})
    builder.add_conditional_edges(lib.START, lambda s: [lib.Send("q", i) for i in (2, 1)], ["q"])
    return lib.compile(builder), [{}, Answers({"1": "a"}), Answers({"2": "b"})]


@tale
def a_stop_before(lib: Lib) -> Any:
    graph = lib.compile(chain(lib, "a", "b", "c"), interrupt_before=["b", "c"])
    return graph, [{}, None, None, None]


@tale
def a_stop_after(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a", "b"), interrupt_after=["a", "b"]), [{}, None, None]


def inner(lib: Lib, *nodes: Any) -> Any:
    builder = lib.StateGraph(Given)
    before = lib.START
    for number, node in enumerate(nodes):
        builder.add_node(f"i{number}", node).add_edge(before, f"i{number}")
        before = f"i{number}"
    return builder.compile()


def around(lib: Lib, sub: Any) -> Any:
    builder = chain(lib, "a").add_node("sub", sub).add_edge("a", "sub")
    return lib.compile(builder.add_node("z", lambda s: {"log": [s["x"]]}).add_edge("sub", "z"))


@tale
def a_subgraph(lib: Lib) -> Any:
    sub = inner(lib, lambda s: {"x": s["x"] + 1}, lambda s: {"x": s["x"] * 2})
    return around(lib, sub), [{"x": 3}, {"x": 5}]


@tale
def a_subgraph_that_asks(lib: Lib) -> Any:
    sub = inner(lib, lambda s: {"x": s["x"] + 1}, lambda s: {"x": (s["x"], lib.interrupt("?"))})
    return around(lib, sub), [{"x": 3}, answer("a")]


@tale
def a_subgraph_that_asks_twice(lib: Lib) -> Any:
    def ask(word: str) -> Any:
        return lambda s: {"x": f"{s['x']}{lib.interrupt(word)}"}

    return around(lib, inner(lib, ask("1"), ask("2"))), [{"x": ""}, answer("a"), answer("b")]


@tale
def a_subgraph_in_a_subgraph_that_asks(lib: Lib) -> Any:
    sub = inner(lib, lambda s: {"x": (s["x"], lib.interrupt("?"))})
    return around(lib, inner(lib, sub)), [{"x": 1}, answer("a")]


@tale
def a_subgraph_that_fails(lib: Lib) -> Any:
    return around(lib, inner(lib, lambda s: s["nothing"])), [{"x": 1}]


@tale
def a_subgraph_with_a_reducer_of_the_same_name(lib: Lib) -> Any:
    sub = lib.StateGraph(State).add_node("i", says("i")).add_edge(lib.START, "i").compile()
    return around(lib, sub), [{"x": 1, "log": ["in"]}]


@tale
def a_subgraph_by_send(lib: Lib) -> Any:
    def i(state: Any) -> Any:
        return {"log": [state["x"]]}

    sub = lib.StateGraph(State, input_schema=Given, output_schema=Told)
    sub = sub.add_node("i", i).add_edge(lib.START, "i").compile()
    builder = lib.StateGraph(State).add_node("sub", sub)
    builder.add_conditional_edges(
        lib.START, lambda s: [lib.Send("sub", {"x": n}) for n in (2, 1)], ["sub"]
    )
    return lib.compile(builder), [{}]


@tale
def leaving_a_subgraph(lib: Lib) -> Any:
    def leave(state: Any) -> Any:
        return lib.Command(graph=lib.Command.PARENT, goto="b", update={"log": ["left"]})

    builder = lib.StateGraph(State).add_edge(lib.START, "sub")
    builder.add_node("sub", inner(lib, leave), destinations=("b",)).add_node("b", says("b"))
    return lib.compile(builder), [{"x": 1}]


@tale
def nothing_to_begin_with(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a")), [None]


@tale
def a_node_that_writes_nothing(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", lambda s: None).add_edge("a", "b")
    return lib.compile(builder.add_node("c", says("c")).add_edge("b", "c")), [{"x": 1}]


@tale
def none_is_a_value(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("a", lambda s: {"x": None, "y": s.get("x", "no")})
    return lib.compile(builder.add_edge(lib.START, "a")), [{"x": None}, {}]
