"""A client for the API, and a workflow that shows what it did."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

import pytest
from django.test import override_settings
from pytest_django import Settings
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import END, START, StateGraph, SyncContext
from runs.models import Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from tests.integration.chain import Start, start_chain
from tests.integration.counting import Register
from tests.support.worker import run_pending


class Trail(TypedDict):
    input: str
    done: Annotated[list[str], operator.add]


def first(state: Trail, ctx: SyncContext) -> dict[str, Any]:
    ctx.save_artifact("note.txt", f"note: {state['input']}")
    return {"done": ["first"]}


def second(state: Trail) -> dict[str, Any]:
    if state["input"] == "fail":
        raise ValueError("told to fail")
    return {"done": ["second"]}


def third(state: Trail) -> dict[str, Any]:
    return {"done": [f"third of {state['input']}"]}


SCHEMA = {
    "type": "object",
    "properties": {"input": {"type": "string", "maxLength": 1000}},
    "required": ["input"],
}


@pytest.fixture
def trail(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a registered workflow: three nodes in a row, which note their names in `done`."""
    graph = StateGraph(Trail)
    for node in (first, second, third):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", "third")
    graph.add_edge("third", END)
    with _registered("trail", graph, SCHEMA):
        yield "trail"


@pytest.fixture
def anything() -> Iterator[str]:
    """The name of a registered workflow that takes any object."""
    graph = StateGraph(Trail)
    graph.add_node("third", third)
    graph.add_edge(START, "third")
    with _registered("anything", graph, {"type": "object"}):
        yield "anything"


@contextmanager
def _registered(name: str, graph: StateGraph, schema: dict[str, Any]) -> Iterator[None]:
    with workflows.temporary():
        workflows.register(name, graph.compile(), description="For tests.", input_schema=schema)
        yield


@pytest.fixture
def api() -> APIClient:
    """Speaks to the API without a server, as a program on this machine does. Exceptions that
    reach it unhandled fail the test."""
    return APIClient()


@pytest.fixture
def work(transactional_db: None) -> Iterator[Callable[[], None]]:
    """Executes every pending run, in this process, to its end."""
    from django.conf import settings

    with override_settings(FASTGRAPH={**settings.FASTGRAPH, "linger_seconds": 0.0}):
        yield run_pending


@pytest.fixture
def register() -> Iterator[Register]:
    """Registers a graph as the workflow `under_test`."""
    with workflows.temporary():
        yield lambda graph: workflows.register("under_test", graph.compile()).name


@pytest.fixture
def start() -> Iterator[Start]:
    """Creates a run of the workflow `chain`, as `start_chain` does."""
    with workflows.temporary():
        yield start_chain


@pytest.fixture
def drain(settings: Settings) -> Callable[[], None]:
    """Executes every pending run, as `work` does; the database is the test's to ask for."""
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02}
    return run_pending


@pytest.fixture
def finished(trail: str, work: Callable[[], None]) -> Run:
    """A completed run of `trail`."""
    run = create_run(NewRun(workflow=trail, name="A walk", payload={"input": "hello"}))
    work()
    run.refresh_from_db()
    assert run.status == "completed", run.error
    return run
