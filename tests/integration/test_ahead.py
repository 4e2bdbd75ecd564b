"""Supersteps that are handed over and not waited for: whoever needs to know of them does."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any, TypedDict

import pytest
from django.db import DataError
from django.utils import timezone
from pytest_django import Settings

from artifacts.store import store
from runs.engine import START, CompiledGraph, Context, RetryPolicy, StateGraph
from runs.engine.journal.durability import DURABILITIES
from runs.engine.journal.ports import Superstep
from runs.journal import commit, writer
from runs.journal.batch_rows import Attach, Collected
from runs.journal.entry import Entry
from runs.journal.journal import DurableJournal
from runs.models import Checkpoint, Event, Run, RunStatus
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.scheduling import claimable, claims
from runs.worker.executor import Executor
from runs.worker.worker import Worker
from tests.integration.counting import Register
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def begin(name: str, durability: str = "sync") -> Run:
    return create_run(NewRun(workflow=name, payload={"log": ["in"]}, durability=durability))


def gap_free(run: Run) -> bool:
    seqs = list(Event.objects.filter(run=run).order_by("seq").values_list("seq", flat=True))
    return seqs == list(range(1, run.seq + 1))


@pytest.mark.parametrize("durability", DURABILITIES)
def test_subgraphs_that_are_tried_again_together_find_where_they_are(
    register: Register,
    drain: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    durability: str,
) -> None:
    write = commit.write

    def slowly(entries: Sequence[Entry], attach: Attach) -> Any:
        time.sleep(0.05)  # a disk that is slow; nothing waits for just this time
        return write(entries, attach)

    monkeypatch.setattr(commit, "write", slowly)
    tried: set[str] = set()

    def inner(name: str) -> CompiledGraph:
        async def leaf(state: State) -> State:
            if name not in tried:
                tried.add(name)
                raise ConnectionError("once")
            return {"log": [name]}

        return StateGraph(State).add_node("leaf", leaf).add_edge(START, "leaf").compile()

    graph = StateGraph(State)
    again = RetryPolicy(initial_interval=0.0, jitter=False)
    for name in ("a", "b"):
        graph.add_node(name, inner(name), retry_policy=again).add_edge(START, name)
    run = begin(register(graph), durability)
    drain()
    run.refresh_from_db()
    assert run.status == "completed", run.error
    assert gap_free(run)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_an_input_that_cannot_be_stored_fails_the_run_whoever_is_told_first(
    register: Register,
    drain: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    durability: str,
) -> None:
    stepped = Collected.stepped

    def refused(self: Collected, run: Any, superstep: Superstep) -> None:
        if superstep.checkpoint.source == "input":
            raise DataError("it cannot be stored")
        stepped(self, run, superstep)

    monkeypatch.setattr(Collected, "stepped", refused)

    async def careful(state: State, ctx: Context) -> State:
        with suppress(Exception):
            await ctx.step("x", lambda: 1)
        return {"log": ["first"]}

    async def second(state: State) -> State:
        return {"log": ["second"]}

    graph = StateGraph(State).add_node("careful", careful).add_node("second", second)
    run = begin(
        register(graph.add_edge(START, "careful").add_edge("careful", "second")), durability
    )
    drain()
    run.refresh_from_db()
    assert run.status == "failed"
    assert not Checkpoint.objects.filter(run=run).exists()
    assert gap_free(run)


def test_a_part_of_a_node_is_not_done_for_a_run_that_was_rolled_back(
    register: Register, settings: Settings
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.02, "cancel_seconds": 30.0}
    done: list[str] = []

    async def node(state: State, ctx: Context) -> State:
        await ctx.step("charge", lambda: done.append("charged"))
        done.append("went on")
        return {}

    run = begin(register(StateGraph(State).add_node("node", node).add_edge(START, "node")))
    (claimed,) = claims.claim(Worker(store()).id, 1)
    now = timezone.now()
    Run.objects.filter(id=run.id).update(cancel_requested_at=now, rolled_back=True)

    async def execute() -> None:
        journal = DurableJournal(store().attach)
        with ThreadPoolExecutor(2) as threads:
            await Executor(journal=journal, artifacts=store(), threads=threads).execute(claimed)
        await asyncio.to_thread(journal.close)

    asyncio.run(execute())
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert "went on" not in done
    assert not Checkpoint.objects.filter(run=run).exists()
    assert gap_free(run)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_no_node_of_a_suspect_is_begun_by_two(
    register: Register, settings: Settings, durability: str
) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.5}
    begun: list[str] = []

    def node(name: str) -> Callable[[State], Any]:
        async def run(state: State) -> State:
            begun.append(name)
            await asyncio.sleep(0.1)
            return {"log": [name]}

        return run

    names = ["one", "two", "three"]
    graph = StateGraph(State).add_sequence([(name, node(name)) for name in names])
    run = begin(register(graph.add_edge(START, "one")), durability)
    Run.objects.filter(id=run.id).update(crashes=claimable.suspicious())

    async def both() -> None:
        await asyncio.gather(Worker(store(), apart=True).drain(), Worker(store()).drain())

    asyncio.run(both())
    run_pending()
    run.refresh_from_db()
    assert run.status == "completed"
    assert begun == names
    assert gap_free(run)


def test_the_input_is_written_with_what_follows_at_once(
    monkeypatch: pytest.MonkeyPatch, trail: str
) -> None:
    batches: list[list[int]] = []
    write = commit.write

    def noted(entries: Sequence[Entry], attach: Attach) -> commit.Outcome:
        steps = [superstep.checkpoint.step for entry in entries for superstep in entry.supersteps]
        batches.append(steps)
        return write(entries, attach)

    monkeypatch.setattr(commit, "write", noted)
    monkeypatch.setattr(writer, "PATIENCE", 60.0)  # however slow the machine is
    run = create_run(NewRun(workflow=trail, payload={"input": "x"}))
    run_pending()
    assert Run.objects.get(id=run.pk).status == RunStatus.COMPLETED
    assert batches[0] == [0, 1]
