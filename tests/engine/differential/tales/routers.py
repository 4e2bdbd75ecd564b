"""Tales of routers: what they are given, and what they may do."""

from __future__ import annotations

from typing import Any

from tests.engine.differential.libs import Lib
from tests.engine.differential.tales.words import Private, State, chain, says, tale

TO_THREAD = lambda state, config: config["configurable"]["thread_id"]  # noqa: E731 (no annotations)


@tale
def a_router_that_takes_the_config(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("t", says("t")).add_conditional_edges("a", TO_THREAD, ["t"])
    return lib.compile(builder), [{}]


@tale
def a_first_router_that_takes_the_config(lib: Lib) -> Any:
    builder = lib.StateGraph(State).add_node("t", says("t"))
    return lib.compile(builder.add_conditional_edges(lib.START, TO_THREAD, ["t"])), [{}]


@tale
def a_router_that_takes_the_runtime(lib: Lib) -> Any:
    def route(state: State, runtime: Any) -> str:
        runtime.stream_writer({"seen": len(state["log"])})
        return "b"

    builder = chain(lib, "a").add_node("b", says("b")).add_conditional_edges("a", route, ["b"])
    return lib.compile(builder), [{}]


@tale
def a_router_that_reads_a_private_key(lib: Lib) -> Any:
    def route(state: Private) -> str:
        return str(state["secret"])

    builder = lib.StateGraph(State).add_node("a", lambda s: {"secret": "b"}).add_node("b", reads)
    builder.add_edge(lib.START, "a").add_conditional_edges("a", route, ["b"])
    return lib.compile(builder), [{}]


def reads(state: Private) -> Any:
    return {"log": [state["secret"]]}
