"""Durability: in every mode a killed run ends as one that was not, and leaves the same record."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runs.engine import Context, MemoryJournal, StateGraph, interrupt
from runs.engine.checkpoint import Note
from runs.engine.errors import Fenced
from runs.engine.journal.durability import DURABILITIES, HELD_STEPS, Durability, paced
from runs.engine.journal.ports import Lease, Record, Superstep
from tests.contract.builders import checkpoint, superstep
from tests.engine.mortal import LEASE, LossyJournal, live
from tests.engine.recipes import PHASES, SLOW, NodeRecipe, Recipe, recipes
from tests.engine.test_resume_parity import KINDS, ON_THE_LOOP, build, told


async def check(recipe: Recipe, share: float, after: bool, durability: str) -> None:
    plain, whole = LossyJournal(), LossyJournal()
    expected = await live(lambda: build(recipe), plain, {"log": ["in"]})
    assert await live(lambda: build(recipe), whole, {"log": ["in"]}, durability) == expected
    assert told(whole) == told(plain), "the record is that of a sync run"
    dies_at = 1 + int(share * (whole.calls - 1))
    killed = LossyJournal(dies_at, after=after)
    assert await live(lambda: build(recipe), killed, {"log": ["in"]}, durability) == expected
    assert told(killed) == told(plain)


@given(recipes(ON_THE_LOOP), st.floats(0, 1), st.booleans(), st.sampled_from(DURABILITIES))
@settings(max_examples=100, deadline=None, phases=PHASES, suppress_health_check=SLOW)
def test_a_killed_run_ends_as_one_that_was_not(
    recipe: Recipe, share: float, after: bool, durability: str
) -> None:
    kinds = {node.kind for node in recipe.nodes}
    # How far a subgraph is when another node fails depends on what it waits for.
    assume(durability == "sync" or "fail" not in kinds or not any("sub" in kind for kind in kinds))
    asyncio.run(check(recipe, share, after, durability))


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_single_call(kind: str, durability: str) -> None:
    recipe = Recipe(
        nodes=tuple(NodeRecipe(k, 2, False, False) for k in ("plain", kind, "emit", "plain")),
        edges=frozenset({(-1, 0), (0, 1), (0, 2), (1, 3), (2, 3)}),
        joins=((frozenset({1, 2}), 3),),
        routers=(),
    )
    plain, whole = LossyJournal(), LossyJournal()
    expected = await live(lambda: build(recipe), plain, {"log": ["in"]})
    await live(lambda: build(recipe), whole, {"log": ["in"]}, durability)
    for dies_at in range(1, whole.calls + 1):
        for after in (False, True):
            killed = LossyJournal(dies_at, after=after)
            ended = await live(lambda: build(recipe), killed, {"log": ["in"]}, durability)
            assert ended == expected
            assert told(killed) == told(plain), f"killed at call {dies_at}"


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


class Watched(MemoryJournal):
    """Says what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[str] = []

    def record(self, lease: Lease, at: Any, notes: Any) -> None:
        self.given += [f"note {one.kind}" for one in cast("list[Note]", notes)]
        super().record(lease, at, notes)

    async def commit(self, lease: Lease, superstep: Superstep) -> None:
        self.given.append(f"commit {superstep.checkpoint.step}")
        await super().commit(lease, superstep)

    def submit(self, lease: Lease, supersteps: Any, records: Any = ()) -> asyncio.Future[None]:
        steps = [one.checkpoint.step for one in cast("list[Superstep]", supersteps)]
        kinds = [note.kind for one in cast("list[Record]", records) for note in one.notes]
        self.given.append(f"submit {steps} {kinds}")
        return super().submit(lease, supersteps, records)


def chain(*nodes: Any) -> Any:
    return StateGraph(State).add_sequence(nodes).set_entry_point(nodes[0].__name__).compile()


async def one(state: State, ctx: Context) -> State:
    ctx.emit("one")
    return {"log": ["one"]}


async def two(state: State) -> State:
    return {"log": ["two"]}


async def asks(state: State) -> State:
    return {"log": [interrupt("?")]}


async def fails(state: State) -> State:
    raise ValueError("no")


async def steps(state: State, ctx: Context) -> State:
    return {"log": [await ctx.step("double", lambda: 2)]}


@pytest.mark.parametrize(
    ("durability", "given"),
    [
        ("sync", ["submit [0] []", "commit 1", "submit [2] []"]),
        ("async", ["submit [0] []", "submit [1] []", "submit [2] []"]),
        ("exit", ["submit [0, 1, 2] []"]),
    ],
)
async def test_when_supersteps_are_handed_over(durability: Durability, given: list[str]) -> None:
    journal = Watched()
    graph = chain(one, two)
    answer = await graph.ainvoke({"log": []}, thread_id="t", journal=journal, durability=durability)
    assert answer == {"log": ["one", "two"]}
    assert journal.given == given
    assert [c.step for c in await journal.history("t")] == [2, 1, 0]


async def test_events_of_an_exit_run_are_live() -> None:
    journal = Watched()

    async def looks(state: State, ctx: Context) -> State:
        (events,) = journal._events.values()
        return {"log": [[event.name for event in events], len(await journal.history("t"))]}

    answer = await chain(one, looks).ainvoke(
        {"log": []}, thread_id="t", journal=journal, durability="exit"
    )
    names = ["checkpoint", "node_started", "custom", "node_update", "checkpoint", "node_started"]
    assert answer["log"] == ["one", names, 0]


@pytest.mark.parametrize(
    ("last", "given"),
    [
        (asks, ["submit [0, 1] ['interrupt']"]),
        (fails, ["submit [0, 1] []"]),
        (steps, ["submit [0, 1] ['step']", "submit [2] []"]),
    ],
    ids=["interrupt", "failure", "step"],
)
async def test_an_exit_run_is_written_when_it_stops(last: Any, given: list[str]) -> None:
    journal = Watched()
    try:
        await chain(one, last).ainvoke(
            {"log": []}, thread_id="t", journal=journal, durability="exit"
        )
    except ValueError:
        assert last is fails
    assert journal.given == given


async def test_what_an_exit_run_holds_back_has_a_limit() -> None:
    journal = Watched()
    keeping = paced(journal, "exit", LEASE)
    made = None
    for step in range(HELD_STEPS):
        made = checkpoint(LEASE, step, parent=made)
        assert journal.given == []
        await keeping.commit(LEASE, superstep(made))
    assert len(journal.given) == 1


async def test_an_async_run_is_told_that_it_is_fenced() -> None:
    journal = MemoryJournal()
    keeping = paced(journal, "async", LEASE)
    await journal.settle(Lease(run_id=LEASE.run_id, thread_id=LEASE.thread_id, attempt=2))
    with pytest.raises(Fenced):
        await keeping.commit(LEASE, superstep(checkpoint(LEASE)))


def test_an_unknown_durability_is_refused() -> None:
    with pytest.raises(ValueError, match="'sync', 'async', 'exit'"):
        paced(MemoryJournal(), "later", LEASE)
