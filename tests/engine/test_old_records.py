"""Supersteps that an earlier version has begun go on by its rule: the n-th call of a name has the
n-th record, the n-th question the n-th answer, the n-th sleep the n-th end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypedDict

import orjson
import pytest

from runs.engine import (
    START,
    Command,
    CompiledGraph,
    Context,
    MemoryJournal,
    StateGraph,
    entrypoint,
    ids,
    interrupt,
    serde,
    task,
)
from runs.engine.checkpoint import Note
from tests.engine.mortal import Hands


class State(TypedDict, total=False):
    got: Any


def only(node: Any) -> CompiledGraph:
    return StateGraph(State).add_node("n", node).add_edge(START, "n").compile()


async def place_in(journal: MemoryJournal, node: str) -> str:
    """What the ids of the node's questions are made of."""
    newest = (await journal.history("t"))[0]
    return f"{newest.checkpoint_id}|{newest.step + 1}:0:{node}:{node}"


def made_old(journal: MemoryJournal) -> None:
    """Give all notes the form that the earlier version wrote."""
    for notes in journal._threads["t"].notes.values():
        for key, note in list(notes.items()):
            if note.kind in ("interrupt", "step", "sleep"):
                notes[key] = replace(note, body=_old(note))


def _old(note: Note) -> bytes:
    said = serde.loads(note.dumps())
    if note.kind == "sleep":
        return serde.dumps(said["until"] if isinstance(said, dict) else said)
    for new in ("wait", "call"):
        said.pop(new, None)
    if note.kind == "step":
        # Written by test graphs whose steps have one name each.
        said["key"] = said["key"].partition("@")[0].partition("#")[0] + f"#{note.idx + 1}"
    return serde.dumps(said)


async def test_steps_questions_and_ids_go_on_by_order() -> None:
    done: list[Any] = []
    times = iter(range(99))

    async def node(state: State, ctx: Context) -> State:
        first = await ctx.step("s", done.append, next(times))
        answer = interrupt(f"text {next(times)}")
        second = await ctx.step("s", done.append, next(times))
        return {"got": [first, answer, interrupt("second?"), second]}

    journal, graph = MemoryJournal(), only(node)
    (asked,) = (await graph.ainvoke({}, thread_id="t", journal=journal))["__interrupt__"]
    place = await place_in(journal, "n")
    assert asked.id == ids.derived_text(place, "interrupt", "0"), "the id of the earlier version"
    made_old(journal)
    said: Command[Any] = Command(resume={asked.id: "y"})
    (asked,) = (await graph.ainvoke(said, thread_id="t", journal=journal))["__interrupt__"]
    assert asked.id == ids.derived_text(place, "interrupt", "1")
    final = await graph.ainvoke(Command(resume="z"), thread_id="t", journal=journal)
    assert final["got"] == [None, "y", "z", None]
    assert len(done) == 2, "a changed argument is not told from an unchanged one"
    for notes in journal._threads["t"].notes.values():
        steps = [orjson.loads(n.dumps()) for n in notes.values() if n.kind == "step"]
        assert all("call" not in step for step in steps), "its notes stay of the earlier form"


async def test_questions_at_once_go_by_order() -> None:
    async def ask(word: str) -> Any:
        return interrupt(word)

    async def node(state: State) -> State:
        return {"got": await asyncio.gather(ask("a"), ask("b"))}

    journal, graph = MemoryJournal(), only(node)
    await graph.ainvoke({}, thread_id="t", journal=journal)
    place = await place_in(journal, "n")
    old_ids = [ids.derived_text(place, "interrupt", str(n)) for n in (0, 1)]
    made_old(journal)
    for notes in journal._threads["t"].notes.values():
        for key, note in list(notes.items()):
            if note.kind == "interrupt":
                said = serde.loads(note.dumps()) | {"id": old_ids[note.idx]}
                notes[key] = replace(note, body=serde.dumps(said))
    answers: Command[Any] = Command(resume=dict(zip(old_ids, "AB", strict=True)))
    final = await graph.ainvoke(answers, thread_id="t", journal=journal)
    assert final["got"] == ["A", "B"]


async def test_a_fork_takes_an_answer_by_an_old_id() -> None:
    async def ask(word: str) -> Any:
        return interrupt(word)

    async def node(state: State) -> State:
        return {"got": await asyncio.gather(ask("a"), ask("b"))}

    journal, graph = MemoryJournal(), only(node)
    await graph.ainvoke({}, thread_id="t", journal=journal)
    at = (await graph.aget_state("t", journal=journal)).config
    place = await place_in(journal, "n")
    old_ids = [ids.derived_text(place, "interrupt", str(n)) for n in (0, 1)]
    made_old(journal)
    for notes in journal._threads["t"].notes.values():
        for key, note in list(notes.items()):
            if note.kind == "interrupt":
                said = serde.loads(note.dumps()) | {"id": old_ids[note.idx]}
                notes[key] = replace(note, body=serde.dumps(said))
    for words in ("AB", "CD"):
        answers: Command[Any] = Command(resume=dict(zip(old_ids, words, strict=True)))
        final = await graph.ainvoke(answers, at, journal=journal)
        assert final["got"] == list(words)


@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.parametrize("first_version", [True, False])
async def test_a_fork_takes_an_answer_by_an_id_that_was_made_of_the_run(
    by_id: bool, first_version: bool
) -> None:
    """As versions before `0011_fewer_indexes` made them."""
    graph = only(lambda state: {"got": [interrupt("a?"), interrupt("b?")]})
    journal = MemoryJournal()
    await graph.ainvoke({}, thread_id="t", journal=journal)
    at = (await graph.aget_state("t", journal=journal)).config
    made_old(journal)
    place, newest = await place_in(journal, "n"), (await journal.history("t"))[0]
    first = ids.derived_text(newest.run_id, newest.checkpoint_id, "0:n", "n")
    old_id = ""
    for notes in journal._threads["t"].notes.values():
        for key, note in list(notes.items()):
            if note.kind == "interrupt":
                task_id = first if first_version else note.task_id
                old_id = ids.derived_text(task_id, "interrupt", "0")
                said = serde.loads(note.dumps()) | {"id": old_id}
                notes[key] = replace(note, task_id=task_id, body=serde.dumps(said))
    assert (await graph.aget_state(at, journal=journal)).interrupts[0].id == old_id
    said_first: Any = {old_id: "A"} if by_id else "A"
    waits = await graph.ainvoke(Command(resume=said_first), thread_id="t", journal=journal)
    second = waits["__interrupt__"][0].id
    final = await graph.ainvoke(Command(resume={second: "B"}), thread_id="t", journal=journal)
    assert final["got"] == ["A", "B"]
    waits = await graph.ainvoke(Command(resume=said_first), at, journal=journal)
    (asked,) = waits["__interrupt__"]
    assert (asked.value, asked.id) == ("b?", ids.derived_text(place, "interrupt", "1"))
    final = await graph.ainvoke(Command(resume={asked.id: "B"}), thread_id="t", journal=journal)
    assert final["got"] == ["A", "B"]


async def test_a_sleep_keeps_its_end() -> None:
    clock, journal = Hands(), MemoryJournal()
    begun = clock.time

    class Stops(Exception):
        pass

    class Stopped(Hands):
        async def sleep(self, seconds: float) -> None:
            raise Stops

    async def node(state: State, ctx: Context) -> State:
        await ctx.sleep(60)
        await ctx.sleep(60)
        return {"got": (clock.time - begun).total_seconds()}

    graph = only(node)
    with pytest.raises(Stops):
        await graph.ainvoke({}, thread_id="t", journal=journal, clock=Stopped())
    made_old(journal)
    clock.time += timedelta(seconds=30)
    final = await graph.ainvoke(None, thread_id="t", journal=journal, clock=clock)
    assert final["got"] == 120


async def test_tasks_that_wait_go_on_by_order() -> None:
    @task
    async def ask(word: str) -> Any:
        return interrupt(word)

    @entrypoint()
    async def flow(n: Any) -> Any:
        return [await one for one in [ask("a"), ask("b")]]

    journal = MemoryJournal()
    await flow.ainvoke(1, thread_id="t", journal=journal)
    place = await place_in(journal, "flow")
    for notes in journal._threads["t"].notes.values():
        for key, note in list(notes.items()):
            if note.kind == "step":
                del notes[key]
            elif note.kind == "interrupt":
                said = serde.loads(note.dumps())
                number = "ab".index(said["value"]) + 1
                said["id"] = ids.derived_text(f"{place}|ask#{number}", "interrupt", "0")
                del said["wait"]
                notes[key] = replace(note, body=serde.dumps(said))
    said = {ids.derived_text(f"{place}|ask#{n}", "interrupt", "0"): f"!{n}" for n in (1, 2)}
    assert await flow.ainvoke(Command(resume=said), thread_id="t", journal=journal) == ["!1", "!2"]
