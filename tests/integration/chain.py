"""A workflow that is one chain of a test's own nodes, and what they need."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypedDict

from django.db import connections

from runs import workflows
from runs.engine import START, StateGraph
from runs.models import Event, Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

Node = Callable[..., Any]
Start = Callable[..., Run]


class State(TypedDict, total=False):
    n: int


async def add(state: State) -> State:
    return {"n": state["n"] + 1}


def start_chain(*nodes: Node) -> Run:
    """A run of `nodes`, one after another, which are the workflow `chain` from now on; without
    nodes another run of what it is."""
    if nodes:
        graph, last = StateGraph(State), START
        for node in nodes:
            graph.add_node(node.__name__, node).add_edge(last, node.__name__)
            last = node.__name__
        workflows.unregister("chain")
        workflows.register("chain", graph.compile(), input_schema={"type": "object"})
    return create_run(NewRun(workflow="chain", payload={"n": 0}))


def in_thread(function: Callable[[], object]) -> None:
    """Do something with the database from within a node's event loop, and wait for it."""

    def done() -> None:
        try:
            function()
        finally:
            connections.close_all()

    thread = threading.Thread(target=done)
    thread.start()
    thread.join()


def names(run: Run) -> list[str]:
    """Of its events, which are numbered without a gap."""
    found = Event.objects.filter(run=run).order_by("seq").values_list("seq", "name")
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    return [name for _, name in found]
