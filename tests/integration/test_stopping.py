"""A worker and nodes that cancel themselves or are deaf: their runs end, and others go on."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypedDict

import pytest
from pytest_django import Settings

from fastgraph_site.worker import work as work_as_a_job
from runs.engine import START, StateGraph
from runs.engine.concurrency import stopping
from runs.models import Event, Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from tests.integration.counting import Register

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 60
beside = threading.Event()


class State(TypedDict, total=False):
    x: Any


def cancels_itself(state: State) -> Any:
    own = asyncio.current_task()
    assert own is not None
    own.cancel()
    return asyncio.sleep(SECONDS)


async def cancels_and_waits(state: State) -> None:
    await cancels_itself(state)


async def cancels_all_tasks(state: State) -> State:
    if state.get("x") == "beside it":
        beside.set()
        await asyncio.sleep(0.2)
        return {"x": 2}
    while not beside.is_set():
        await asyncio.sleep(0.01)
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(0)
    return {"x": 1}


async def stops_the_loop(state: State) -> State:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.05)
    return {"x": 1}


async def exits_in_a_task(state: State) -> State:
    async def leave() -> None:
        raise SystemExit(0)

    asyncio.get_running_loop().left = asyncio.create_task(leave())  # type: ignore[attr-defined]
    await asyncio.sleep(0.05)
    return {"x": 1}


async def exits_in_a_callback(state: State) -> State:
    asyncio.get_running_loop().call_soon(sys.exit, 0)
    await asyncio.sleep(0.05)
    return {"x": 1}


async def raises(state: State) -> None:
    raise asyncio.CancelledError


async def deaf(state: State) -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(SECONDS)


async def breaks(state: State) -> None:
    raise ValueError("its own")


async def leaves_a_deaf_task(state: State) -> State:
    asyncio.get_running_loop().left = asyncio.create_task(deaf(state))  # type: ignore[attr-defined]
    return {"x": 1}


def run_of(register: Register, *nodes: Any, **options: Any) -> Run:
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node.__name__, node, **options).add_edge(START, node.__name__)
    return create_run(NewRun(workflow=register(builder), payload={}))


@pytest.mark.parametrize("node", [cancels_and_waits, raises], ids=["cancels", "raises"])
def test_a_node_that_cancels_itself_fails_its_run(
    register: Register, work: Callable[[], None], node: Any
) -> None:
    run = run_of(register, node)
    work()
    run.refresh_from_db()
    assert (run.status, run.attempt, run.crashes) == ("failed", 1, 0)
    assert run.error is not None
    assert (run.error["type"], run.error["node"]) == ("NodeCancelledError", node.__name__)
    assert not Event.objects.filter(run=run, name="recovered").exists()


def test_a_node_that_cancels_all_tasks_reaches_no_other_run_and_not_the_worker(
    register: Register, work: Callable[[], None]
) -> None:
    beside.clear()
    run = run_of(register, cancels_all_tasks)
    other = create_run(NewRun(workflow=run.workflow, payload={"x": "beside it"}))
    work()
    for one in (run, other):
        one.refresh_from_db()
        assert (one.status, one.attempt) == ("completed", 1), one.error


@pytest.mark.parametrize("node", [stops_the_loop, exits_in_a_task, exits_in_a_callback])
def test_a_node_that_ends_the_event_loop_does_not_end_the_worker(
    register: Register, settings: Settings, node: Any
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.0}
    run = run_of(register, node)
    work_as_a_job()
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("completed", 1), run.error


@pytest.mark.parametrize("how", ["sibling", "timeout"])
def test_a_deaf_node_ends_with_its_run_and_the_worker_goes_on(
    register: Register, work: Callable[[], None], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.1)
    if how == "sibling":
        run, kind = run_of(register, deaf, breaks), "ValueError"
    else:
        run, kind = run_of(register, deaf, timeout=0.1), "NodeTimeoutError"
    work()
    run.refresh_from_db()
    assert run.status == "failed"
    assert run.error is not None
    assert run.error["type"] == kind


def test_a_deaf_task_that_a_node_left_does_not_keep_the_worker(
    register: Register, settings: Settings
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.0}
    run = run_of(register, leaves_a_deaf_task)
    work_as_a_job()
    run.refresh_from_db()
    assert run.status == "completed"
