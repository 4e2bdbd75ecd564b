"""What goes wrong in a node, a router or a reducer ends the run, and never the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from rest_framework.test import APIClient

from runs.engine import START, StateGraph
from runs.models import Event, Run, State
from tests.integration.counting import Count, Register, add, error_of, pending

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_a_node_raises_ends_the_run(register: Register, drain: Callable[[], None]) -> None:
    async def boom(state: Count) -> None:
        raise ValueError("no \x00 good \ud800")

    graph = StateGraph(Count).add_node("add", add).add_node("boom", boom)
    graph.add_edge(START, "add").add_edge("add", "boom")
    run = pending(register(graph))
    drain()
    error = error_of(run)
    assert (error["type"], error["node"]) == ("ValueError", "boom")
    assert error["message"] == "no \\x00 good ?"
    assert "raise ValueError" in error["traceback"]
    assert "/runs/engine/" not in error["traceback"]
    last = Event.objects.filter(run=run).latest("seq")
    assert (last.name, last.node) == ("failed", "boom")
    assert set(last.decoded) == {"type", "message", "node"}
    # the state of the last good checkpoint is kept
    assert run.step == 1
    assert State.objects.filter(thread=run.thread, channel="done").count() == 1


def test_a_run_says_in_which_graph_the_node_is_that_failed(
    register: Register, drain: Callable[[], None], api: APIClient
) -> None:
    async def boom(state: Count) -> None:
        raise ValueError("inside")

    inner = StateGraph(Count).add_node("boom", boom).add_edge(START, "boom").compile()
    run = pending(register(StateGraph(Count).add_node("sub", inner).add_edge(START, "sub")))
    drain()
    last = Event.objects.filter(run=run).latest("seq")
    assert last.namespace.startswith("sub:")
    error = error_of(run)
    assert (error["node"], error["namespace"]) == ("boom", last.namespace)
    for listed in (
        api.get(f"/api/runs/{run.pk}").json(),
        api.get("/api/runs/").json()["results"][0],
    ):
        assert listed["error"]["namespace"] == last.namespace
    del error["namespace"]  # as earlier versions kept it
    Run.objects.filter(pk=run.pk).update(error=error)
    assert api.get(f"/api/runs/{run.pk}").json()["error"]["namespace"] == ""


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1)])
def test_no_error_of_a_node_ends_the_worker(
    register: Register, drain: Callable[[], None], error: BaseException
) -> None:
    def boom(state: Count) -> None:
        raise error

    run = pending(register(StateGraph(Count).add_node("boom", boom).add_edge(START, "boom")))
    drain()
    run.refresh_from_db()
    assert run.status == "failed"


def test_a_value_that_cannot_be_stored_fails_its_node(
    register: Register, drain: Callable[[], None]
) -> None:
    async def bad(state: Count) -> Any:
        return {"n": object()}

    run = pending(register(StateGraph(Count).add_node("bad", bad).add_edge(START, "bad")))
    drain()
    error = error_of(run)
    assert error["type"] == "NotStorableError"
    assert "Key 'n' of node 'bad'" in error["message"]


def test_a_sync_node_that_outlives_its_run_holds_nobody_up(
    register: Register, drain: Callable[[], None]
) -> None:
    go_on = threading.Event()

    def linger(state: Count) -> None:
        go_on.wait(60)

    async def boom(state: Count) -> None:
        raise RuntimeError

    graph = StateGraph(Count).add_node("linger", linger).add_node("boom", boom)
    run = pending(register(graph.add_edge(START, "linger").add_edge(START, "boom")))
    try:
        drain()  # returns, although the thread of `linger` is still there
        assert error_of(run)["type"] == "RuntimeError"
    finally:
        go_on.set()


def leave(*args: Any) -> Any:
    raise SystemExit(5)


class Leaving(TypedDict, total=False):
    n: Annotated[int, leave]


async def write(state: Any) -> dict[str, Any]:
    return {"n": 1}


@pytest.mark.parametrize("where", ["router", "reducer"])
def test_no_router_or_reducer_ends_the_worker(
    register: Register, drain: Callable[[], None], where: str
) -> None:
    graph = StateGraph(Leaving if where == "reducer" else Count).add_node("write", write)
    if where == "router":
        graph.add_conditional_edges(START, leave, ["write"])
    else:
        graph.add_edge(START, "write")
    run = pending(register(graph), payload={})
    drain()
    assert error_of(run)["type"] == "SystemExit"
