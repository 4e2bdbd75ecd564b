"""Tales of where the edges lead: chains, joins, loops, routers."""

from __future__ import annotations

from typing import Any

from tests.engine.differential.libs import Lib
from tests.engine.differential.tales.words import State, chain, says, tale


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
def a_join_that_is_said_twice(lib: Lib) -> Any:
    builder = chain(lib, "a", "b", "c")
    builder.add_node("z", says("z")).add_edge(["a", "c"], "z").add_edge(["a", "c"], "z")
    builder.add_conditional_edges(
        "z", lambda s: "a" if len(s["log"]) < 9 else lib.END, ["a", lib.END]
    )
    return lib.compile(builder), [{}]


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
def nothing_to_begin_with(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a")), [None]
