"""An event loop that a run's code blocks: the runs beside it leave without a crash, but for those
on which a thread works, and what the loop still writes of them is fenced off."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, TypedDict

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from pytest_django import Settings

from runs import workflows
from runs.engine import START, StateGraph
from runs.engine.ids import uuid7
from runs.models import PendingWrite, Run
from runs.queries.why import causes
from runs.scheduling import claims, stalls
from tests.integration.chain import names
from tests.integration.counting import pending
from tests.support.processes import wait_until
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)

#: A busy machine keeps a loop waiting as well: it stands still only while code of a run blocks it.
NEVER, SOON = 1000.0, 0.1
#: What the code of these runs waits for.
released = threading.Event()
#: Code of a run holds the event loop.
blocked = threading.Event()


def hold() -> None:
    with suppress(RuntimeError):  # a thread of its own has no loop
        asyncio.get_running_loop()
        blocked.set()
    assert released.wait(60)


def folded(old: list[int], new: list[int]) -> list[int]:
    if new == [1]:
        hold()
    return old + new


class State(TypedDict, total=False):
    n: int
    items: Annotated[list[int], folded]


async def blocks(state: State) -> None:
    hold()


async def nothing(state: State) -> None: ...


async def adds(state: State) -> State:
    return {"items": [1]}


def router(state: State) -> str:
    hold()
    return "nothing"


async def waits(state: State) -> State:
    while not released.is_set():
        await asyncio.sleep(0.01)
    return {"n": 1}


def sync_node(state: State) -> None:
    hold()


async def in_a_thread(state: State) -> None:
    await asyncio.to_thread(hold)


async def in_the_shared_thread(state: State) -> None:
    await sync_to_async(hold)()


def only(node: Any) -> StateGraph:
    return StateGraph(State).add_node("node", node).add_edge(START, "node")


BLOCKING = {
    "a node": only(blocks),
    "a reducer": only(adds),
    "a router": only(nothing).add_node("nothing", nothing).add_conditional_edges("node", router),
    "a router of START": StateGraph(State)
    .add_node("nothing", nothing)
    .add_conditional_edges(START, router),
}


@pytest.fixture(autouse=True)
def _soon(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No lease is renewed meanwhile, so that nothing else says that a run was taken away."""
    more = {"linger_seconds": 0.02, "lease_seconds": 1000.0}
    settings.FASTGRAPH = {**settings.FASTGRAPH, **more}
    monkeypatch.setattr(stalls, "STANDING_SECONDS", NEVER)
    with workflows.temporary():
        yield


@contextmanager
def standing(*graphs: StateGraph) -> Iterator[list[Run]]:
    """A run of each graph: the first blocks the event loop of their worker, and the others had
    begun. At the end of the block all code goes on, and the worker ends."""
    runs = []
    for name, graph in enumerate(graphs):
        workflows.register(f"graph_{name}", graph.compile())
        runs.append(pending(f"graph_{name}"))
    blocking = Run.objects.filter(id=runs[0].id)
    blocking.update(paused_at=timezone.now())
    released.clear()
    blocked.clear()
    thread = threading.Thread(target=run_pending)
    thread.start()
    try:
        wait_until(
            "the others have begun",
            lambda: all("node_started" in names(run) for run in runs[1:]),
        )
        blocking.update(paused_at=None)
        assert blocked.wait(60)
        stalls.STANDING_SECONDS = SOON
        wait_until("the loop stands still", lambda: bool(stalls.published()))
        yield runs
    finally:
        stalls.STANDING_SECONDS = NEVER
        released.set()
        thread.join()


def is_put_back(run: Run) -> bool:
    run.refresh_from_db()
    return run.status == "pending"


def why(run: Run) -> str:
    return next(c.detail for c in causes(run, timezone.now()) if c.code == "loop_stands_still")


@pytest.mark.parametrize("blocking", BLOCKING.values(), ids=BLOCKING)
def test_a_run_leaves_a_loop_that_stands_still_without_a_crash(blocking: StateGraph) -> None:
    with standing(blocking, only(waits)) as (culprit, beside):
        wait_until("it is put back", lambda: is_put_back(beside))
        assert (beside.crashes, beside.lease_owner) == (0, None)
        assert not is_put_back(culprit)
        for run in (culprit, beside):
            assert f"run {culprit.id}" in why(run)
    for run in (culprit, beside):
        run.refresh_from_db()
        assert (run.status, run.crashes) == ("completed", 0), run.error
    assert "recovered" not in names(culprit)
    assert names(beside).count("recovered") == 1


@pytest.mark.parametrize("busy", [sync_node, in_a_thread, in_the_shared_thread])
def test_a_run_on_which_a_thread_works_stays(busy: Any) -> None:
    with standing(BLOCKING["a node"], only(waits), only(busy)) as (_, beside, working):
        wait_until("another is put back", lambda: is_put_back(beside))
        assert not is_put_back(working)
    working.refresh_from_db()
    assert (working.status, working.attempt) == ("completed", 1)


def test_what_the_loop_still_writes_of_a_run_that_left_is_fenced() -> None:
    with standing(BLOCKING["a node"], only(waits)) as (_, beside):
        wait_until("it is put back", lambda: is_put_back(beside))
        (taken,) = claims.claim(other := uuid7(), 1)
        assert taken.lease.run_id == str(beside.id)
    beside.refresh_from_db()
    assert (beside.status, beside.attempt, beside.lease_owner) == ("running", 2, other)
    assert names(beside)[-1] == "recovered"
    assert not PendingWrite.objects.filter(run=beside).exists()
