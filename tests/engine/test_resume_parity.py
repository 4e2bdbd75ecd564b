"""Promise 4: killed at any call of the journal and taken over, a run ends with the same state, the
same checkpoints and the same events as one that was not killed."""

from __future__ import annotations

import asyncio
import operator
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.engine import (
    END,
    START,
    Command,
    CompiledGraph,
    Context,
    RetryPolicy,
    Send,
    StateGraph,
    entrypoint,
    interrupt,
    task,
)
from runs.engine.execution import Execution
from runs.engine.loop import advance
from tests.engine.mortal import LEASE, Killed, MortalJournal, live
from tests.engine.recipes import ENOUGH, PHASES, SLOW, NodeRecipe, Recipe, recipes

KINDS = ("plain", "emit", "retry", "ask", "step", "sleep", "sub", "fan", "goto", "fail")


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    last: dict[str, int]


class Nothing(TypedDict):
    pass


class Inner(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


def told(journal: MortalJournal) -> Any:
    """All that a journal holds of the run: what each task stated, in order (tasks that run at the
    same time may take turns as they like), what the run stated, its checkpoints and its values."""
    thread = journal._threads[LEASE.thread_id]
    stated: dict[str | None, list[Any]] = {}
    for e in journal._events[LEASE.run_id]:
        said = (e.name, e.node, e.step, e.namespace, e.data)
        stated.setdefault(e.task_id or e.namespace, []).append(said)
    return (
        stated,
        {c.checkpoint_id: (c.parent_id, c.frontier) for c in thread.checkpoints.values()},
        {key: change.value for key, change in thread.changes.items()},
    )


def build(recipe: Recipe) -> CompiledGraph:
    builder = StateGraph(State)
    size = len(recipe.nodes)
    for number, made in enumerate(recipe.nodes):
        name, after = recipe.name(number), recipe.name((number + 1) % size)
        if made.kind == "sub":
            builder.add_node(name, _inner(name))
        else:
            builder.add_node(
                name,
                _node(name, after, made),
                retry_policy=RetryPolicy(initial_interval=0.0, jitter=False),
                defer=made.defer,
                destinations=(after,) if made.kind == "goto" else (),
            )
        if made.kind == "fan":
            builder.add_conditional_edges(name, _fan(after, made.number), [after])
    for before, target in sorted(recipe.edges):
        builder.add_edge(START if before < 0 else recipe.name(before), recipe.name(target))
    for sources, joined in recipe.joins:
        builder.add_edge([recipe.name(source) for source in sorted(sources)], recipe.name(joined))
    for source, targets in recipe.routers:
        names = [recipe.name(target) for target in sorted(targets)]
        builder.add_conditional_edges(recipe.name(source), _route(names), [*names, END])
    return builder.compile()


def _node(name: str, after: str, made: NodeRecipe) -> Any:
    tries: dict[str, int] = {}

    async def run(state: Any, ctx: Context) -> Any:
        said: list[Any] = [name if isinstance(state, dict) else f"{name}<{state}"]
        for beat in range(made.number):
            await asyncio.sleep(0)
            if made.kind == "emit":
                ctx.emit({"beat": beat})
            if made.kind == "step":
                said.append(await ctx.step("double", lambda beat=beat: beat * 2))
            if made.kind == "ask":
                said.append(interrupt(f"{name}{beat}"))
        if made.kind == "sleep":
            await ctx.sleep(60)
            ctx.emit("awake")
        if made.kind == "retry":
            tries[ctx.task_id] = tries.get(ctx.task_id, 0) + 1
            if tries[ctx.task_id] == 1:
                raise ConnectionError("again")
        words = len(state["log"]) if isinstance(state, dict) else 0
        if made.kind == "fail" and words > 2 + made.number:
            raise KeyError(name)
        if made.kind == "goto" and words < ENOUGH:
            return Command(update={"log": said}, goto=after)
        return {"log": said}

    return run


def _inner(name: str) -> CompiledGraph:
    async def first(state: Inner, ctx: Context) -> Inner:
        ctx.emit("inside")
        return {"log": [f"{name}.first"]}

    async def second(state: Inner) -> Inner:
        return {"log": [interrupt(f"{name}.second")]}

    async def third(state: Inner) -> Inner:
        return {"log": [f"{name}.third"]}

    # Without the log of the graph around it, which would be written back to itself.
    builder = StateGraph(Inner, input_schema=Nothing).add_sequence([("a", first), ("b", second)])
    builder.add_node("c", third).add_edge("a", "c").add_edge(START, "a")
    return builder.compile()


def _fan(after: str, many: int) -> Any:
    async def fan(state: State) -> Any:
        enough = len(state["log"]) >= ENOUGH
        return [] if enough else [Send(after, {"log": [i]}) for i in range(many)]

    return fan


def _route(names: list[str]) -> Any:
    async def route(state: State) -> Any:
        count = len(state["log"])
        return END if count >= ENOUGH else names[count % len(names) :]

    return route


async def check(recipe: Recipe, share: float, after: bool) -> None:
    whole = MortalJournal()
    expected = await live(lambda: build(recipe), whole, {"log": ["in"]})
    dies_at = 1 + int(share * (whole.calls - 1))
    killed = MortalJournal(dies_at, after=after)
    assert await live(lambda: build(recipe), killed, {"log": ["in"]}) == expected
    assert told(killed) == told(whole)


@task
async def single(n: int) -> int:
    await asyncio.sleep(0)
    return n + 1


@entrypoint()
async def flow(given: Any, *, runtime: Context) -> list[Any]:
    begun = [single(n) for n in range(3)]
    runtime.emit("begun")
    first = [await one for one in begun]
    answer = interrupt("more?")
    await runtime.sleep(30)
    return [*first, answer, await single(first[-1])]


@pytest.mark.parametrize("after", [False, True])
async def test_every_call_of_a_functional_workflow(after: bool) -> None:
    whole = MortalJournal()
    expected = await live(lambda: flow.compiled, whole, {"input": 1})
    assert expected == {"result": [1, 2, 3, "!more?", 4]}
    for dies_at in range(1, whole.calls + 1):
        killed = MortalJournal(dies_at, after=after)
        assert await live(lambda: flow.compiled, killed, {"input": 1}) == expected
        assert told(killed) == told(whole), f"killed at call {dies_at}"


@given(recipes(KINDS), st.floats(0, 1), st.booleans())
@settings(max_examples=100, deadline=None, phases=PHASES, suppress_health_check=SLOW)
def test_a_killed_run_ends_as_one_that_was_not(recipe: Recipe, share: float, after: bool) -> None:
    asyncio.run(check(recipe, share, after))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_every_single_call(kind: str, after: bool) -> None:
    """One graph with a node of that kind between and beside plain ones, killed at each call."""
    recipe = Recipe(
        nodes=tuple(NodeRecipe(k, 2, False, False) for k in ("plain", kind, "emit", "plain")),
        edges=frozenset({(-1, 0), (0, 1), (0, 2), (1, 3), (2, 3)}),
        joins=((frozenset({1, 2}), 3),),
        routers=(),
    )
    whole = MortalJournal()
    expected = await live(lambda: build(recipe), whole, {"log": ["in"]})
    for dies_at in range(1, whole.calls + 1):
        killed = MortalJournal(dies_at, after=after)
        assert await live(lambda: build(recipe), killed, {"log": ["in"]}) == expected
        assert told(killed) == told(whole), f"killed at call {dies_at}"


async def test_an_event_that_was_cut_is_known_again() -> None:
    async def node(state: State, ctx: Context) -> State:
        ctx.emit("x" * 1_000)
        return {"log": ["n"]}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile().graph
    counts = []
    for dies_at in (None, 4):
        journal = MortalJournal(dies_at)
        for attempt in (1, 2):
            execution = Execution(
                graph=graph,
                journal=journal,
                lease=replace(LEASE, attempt=attempt),
                max_event_bytes=99,
            )
            journal.dead = False
            with suppress(Killed):
                await advance(execution, {"log": []})
        counts.append(len(journal._events[LEASE.run_id]))
    assert counts[0] == counts[1]
