"""Subgraphs that keep their state, in the database: from run to run of a thread, and through a
crash in their middle."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from typing import Annotated, TypedDict

import pytest

from runs.engine import START, Command, StateGraph, interrupt
from runs.engine.checkpoint import Frontier
from runs.models import Checkpoint, Thread
from runs.operations.replay import replay_run
from runs.operations.resume import resume_run
from runs.process import stop_request
from runs.process.shared_flag import Flag
from tests.integration.counting import Register, pending, result

pytestmark = pytest.mark.django_db(transaction=True)


class Talk(TypedDict, total=False):
    said: Annotated[list[str], operator.add]


class Around(TypedDict, total=False):
    word: str
    heard: list[str]


def around(*inner: Callable[[Talk], object]) -> StateGraph:
    """A node that tells its word to a graph with a memory, and answers all that it has heard."""
    memory = StateGraph(Talk).add_sequence(inner).add_edge(START, inner[0].__name__)
    compiled = memory.compile(checkpointer=True)

    async def agent(state: Around) -> Around:
        return {"heard": (await compiled.ainvoke({"said": [state["word"]]}))["said"]}

    return StateGraph(Around).add_node(agent).add_edge(START, "agent")


async def count(state: Talk) -> Talk:
    return {"said": [str(len(state["said"]))]}


def test_a_memory_goes_on_from_run_to_run(register: Register, drain: Callable[[], None]) -> None:
    name, thread = register(around(count)), Thread.objects.create()
    first, second = (pending(name, {"word": word}, thread) for word in "ab")
    elsewhere = pending(name, {"word": "c"})
    drain()
    assert result(first)["heard"] == ["a", "1"]
    assert result(second)["heard"] == ["a", "1", "b", "3"]
    assert result(elsewhere)["heard"] == ["c", "1"]
    # A fork has the memory of its branch, and what it does is seen by no other.
    again = replay_run(first.id, from_step=0, changes={"word": "x"})
    drain()
    assert result(again)["heard"] == ["x", "1"]
    newest = Checkpoint.objects.get(id=again.thread.checkpoint_id or first.id)
    assert list(Frontier.loads(newest.frontier).inside) == ["agent"]


def test_a_memory_asks_and_goes_on(register: Register, drain: Callable[[], None]) -> None:
    async def ask(state: Talk) -> Talk:
        return {"said": [interrupt("?")]}

    name, thread = register(around(count, ask)), Thread.objects.create()
    for word, heard in (("a", "a 1 !"), ("b", "a 1 ! b 4 !")):
        run = pending(name, {"word": word}, thread)
        drain()
        resume_run(run.pk, Command(resume="!"))
        drain()
        assert result(run)["heard"] == heard.split()


def test_a_crash_inside_loses_and_repeats_nothing(
    register: Register, drain: Callable[[], None]
) -> None:
    calls: list[str] = []
    flag = Flag()

    async def note(state: Talk) -> Talk:
        calls.append(state["said"][-1])
        return {"said": ["noted"]}

    async def dies(state: Talk) -> Talk:
        if state["said"][-2] == "b" and not flag.is_set():
            flag.set()  # the cluster is to stop: the run goes back to the queue from here
            await asyncio.sleep(60)
        return {"said": ["alive"]}

    name, thread = register(around(note, dies)), Thread.objects.create()
    pending(name, {"word": "a"}, thread)
    drain()
    run = pending(name, {"word": "b"}, thread)
    stop_request.arm(flag)
    try:
        drain()
    finally:
        stop_request._flag = None
    run.refresh_from_db()
    assert (run.status, calls) == ("pending", ["a", "b"])
    drain()
    assert result(run)["heard"] == ["a", "noted", "alive", "b", "noted", "alive"]
    assert calls == ["a", "b"], "what was done is not done again"
