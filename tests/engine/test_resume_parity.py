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
    CachePolicy,
    Command,
    CompiledGraph,
    Context,
    MessagesState,
    RemoveMessage,
    RetryPolicy,
    Send,
    StateGraph,
    SyncContext,
    entrypoint,
    interrupt,
    serde,
    task,
)
from runs.engine.concurrency import outside_calls
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import advance
from runs.engine.execution.task.task_call import current
from tests.engine.mortal import LEASE, Killed, MortalJournal, live
from tests.engine.recipes import ENOUGH, PHASES, SLOW, NodeRecipe, Recipe, recipes

KINDS = (
    *("plain", "emit", "retry", "ask", "step", "sleep", "sub", "memory", "fan", "goto", "fail"),
    *("sync", "cached", "artifact", "retried sub", "called sub"),
)


AGAIN = RetryPolicy(initial_interval=0.0, jitter=False)


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
        data = e.data if e.name != "retry" else {**serde.loads(e.data), "until": "its time"}
        said = (e.name, e.node, e.step, e.namespace, data)
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
        if made.kind in ("sub", "memory", "retried sub"):
            fails, keeps = made.kind == "retried sub", made.kind == "memory"
            inner = _inner(name, keeps=keeps, fails=fails)
            builder.add_node(name, inner, retry_policy=AGAIN if fails else None)
        else:
            builder.add_node(
                name,
                _sync(name, made) if made.kind == "sync" else _node(name, after, made),
                retry_policy=AGAIN,
                cache_policy=CachePolicy() if made.kind == "cached" else None,
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


def _sync(name: str, made: NodeRecipe) -> Any:
    def run(state: Any, ctx: SyncContext) -> Any:
        said: list[Any] = [name]
        for beat in range(made.number):
            ctx.emit({"beat": beat})
            said.append(ctx.step("double", lambda beat=beat: beat * 2))
        ctx.sleep(60)
        said += [ctx.save_artifact(f"{name}.txt", name).artifact_id, interrupt(f"{name}?")]
        said += _inner(name).invoke({}, {"recursion_limit": 9})["log"]
        return {"log": said}

    return run


def _node(name: str, after: str, made: NodeRecipe) -> Any:
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
            if made.kind == "artifact":
                said.append((await ctx.save_artifact(f"{beat}.txt", name)).artifact_id)
        if made.kind == "called sub":
            inner = _inner(name)
            said += (await inner.ainvoke({}, {"recursion_limit": 9}))["log"]
            async for shown in inner.astream({}):  # less of it when it is run again
                said = [word for word in said if word != shown]
        if made.kind == "sleep":
            await ctx.sleep(60)
            ctx.emit("awake")
        if made.kind == "retry" and current.get().attempt == 1:  # on record, in any process
            raise ConnectionError("again")
        words = len(state["log"]) if isinstance(state, dict) else 0
        if made.kind == "fail" and words > 2 + made.number:
            raise KeyError(name)
        if made.kind == "goto" and words < ENOUGH:
            return Command(update={"log": said}, goto=after)
        return {"log": said}

    return run


def _inner(name: str, *, keeps: bool = False, fails: bool = False) -> CompiledGraph:
    async def first(state: Inner, ctx: Context) -> Inner:
        ctx.emit("inside")
        around = current.get().execution.namespace.removeprefix(f"{name}:")
        attempts = [
            call.attempt for call in outside_calls.in_progress if call.task.task_id == around
        ]
        if fails and attempts == [1]:
            raise ConnectionError("again")
        return {"log": [f"{name}.first"]}

    async def second(state: Inner) -> Inner:
        return {"log": [interrupt(f"{name}.second")]}

    async def third(state: Inner) -> Inner:
        return {"log": [f"{name}.third"]}

    # Without the log of the graph around it, which would be written back to itself.
    builder = StateGraph(Inner, input_schema=Nothing).add_sequence([("a", first), ("b", second)])
    builder.add_node("c", third).add_edge("a", "c").add_edge(START, "a")
    return builder.compile(checkpointer=keeps)


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


class Counter(TypedDict, total=False):
    seen: Annotated[list[Any], operator.add]


async def count(state: Counter) -> Counter:
    return {"seen": [len(state["seen"])]}


async def confirm(state: Counter) -> Counter:
    return {"seen": [interrupt(f"after {len(state['seen'])}?")]}


COUNTER = StateGraph(Counter).add_sequence([count, confirm]).add_edge(START, "count")
MEMORY = COUNTER.compile(checkpointer=True)


@task
async def remembered(word: str) -> int:
    return len((await MEMORY.ainvoke({"seen": [word]}))["seen"])


def remembering() -> CompiledGraph:
    """Twice around: a node with a memory beside others, one that asks when its memory is done
    with, and one whose memory is in a task."""

    async def a(state: State, ctx: Context) -> State:
        seen = (await MEMORY.ainvoke({"seen": ["a"]}))["seen"]
        await ctx.step("look", lambda: len(seen))
        return {"log": [[*seen, interrupt("sure?")]]}

    async def b(state: State) -> State:
        return {"log": [[await remembered("x"), await remembered("y"), interrupt("b")]]}

    builder = StateGraph(State).add_node(a).add_node(b).add_node("z", lambda s: {"log": ["z"]})
    builder.add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], "z")
    return builder.add_conditional_edges(
        "z", lambda s: ["a", "b"] if s["log"].count("z") < 2 else END, ["a", "b", END]
    ).compile()


@pytest.mark.parametrize("after", [False, True])
async def test_every_call_of_a_graph_with_memories(after: bool) -> None:
    whole = MortalJournal()
    expected = await live(remembering, whole, {})
    first = ["a", 1, "!after 2?"]
    assert expected["log"] == [
        [*first, "!sure?"],
        [3, 3, "!b"],
        "z",
        [*first, "a", 4, "!after 5?", "!sure?"],
        [6, 6, "!b"],
        "z",
    ]
    for dies_at in range(1, whole.calls + 1):
        killed = MortalJournal(dies_at, after=after)
        assert await live(remembering, killed, {}) == expected, f"killed at call {dies_at}"
        assert told(killed) == told(whole), f"killed at call {dies_at}"


def talking() -> CompiledGraph:
    """Messages without ids from all sides: the input, parallel nodes, a Send, a Command, a graph
    inside that keeps its state, and a trim by id."""
    inner = StateGraph(MessagesState).add_node("echo", lambda s: {"messages": ["echo"]})
    memory = inner.add_edge(START, "echo").compile(checkpointer=True)

    async def a(state: MessagesState) -> Any:
        got = await memory.ainvoke({"messages": ["asked"]})
        return [{"messages": ("ai", f"{len(got['messages'])}")}, {"messages": ("ai", "more")}]

    async def b(state: MessagesState) -> Any:
        said = interrupt("?")
        return Command(update={"messages": [said]}, goto=Send("c", {"messages": [{"role": "x"}]}))

    async def c(state: MessagesState) -> Any:
        return {"messages": state["messages"]}

    async def trim(state: MessagesState) -> Any:
        return {"messages": [RemoveMessage(one["id"]) for one in state["messages"][:-4]]}

    builder = StateGraph(MessagesState).add_node(a).add_node(b, destinations=["c"]).add_node(c)
    builder.add_node(trim).add_edge(START, "a").add_edge(START, "b").add_edge("c", "trim")
    builder.add_conditional_edges("trim", lambda s: "a" if len(s["messages"]) > 3 else END)
    return builder.add_edge("a", END).compile()


@pytest.mark.parametrize("after", [False, True])
async def test_every_call_of_a_conversation_gives_the_same_ids(after: bool) -> None:
    whole = MortalJournal()
    expected = await live(talking, whole, {"messages": ["hello", "there"]})
    assert len({one["id"] for one in expected["messages"]}) == len(expected["messages"]) == 6
    for dies_at in range(1, whole.calls + 1):
        killed = MortalJournal(dies_at, after=after)
        again = await live(talking, killed, {"messages": ["hello", "there"]})
        assert again == expected, f"killed at call {dies_at}"
        assert told(killed) == told(whole), f"killed at call {dies_at}"


def trying() -> CompiledGraph:
    """A node that is tried again around a graph that is, too."""
    policy = RetryPolicy(initial_interval=5.0, jitter=False, max_attempts=3)

    async def inside(state: State, ctx: Context) -> Any:
        attempt = current.get().attempt
        ctx.emit(f"inside {attempt}")
        if attempt == 1:
            raise ConnectionError("inside")
        return {"log": ["inside"]}

    inner = StateGraph(State).add_node("inside", inside, retry_policy=policy)
    graph = inner.add_edge(START, "inside").compile()

    async def around(state: State, ctx: Context) -> Any:
        attempt = current.get().attempt
        first = await graph.ainvoke({"log": []})
        ctx.emit("between")
        if attempt == 1:
            raise ConnectionError("around")
        second = await graph.ainvoke({"log": []})
        if attempt == 2:
            raise ConnectionError("around")
        return {"log": [*first["log"], *second["log"]]}

    builder = StateGraph(State).add_node("around", around, retry_policy=policy)
    builder.add_node("beside", lambda state: {"log": ["beside"]})
    return builder.add_edge(START, "around").add_edge(START, "beside").compile()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("after", [False, True])
async def test_every_call_of_a_graph_that_is_tried_again(after: bool, durability: str) -> None:
    whole = MortalJournal()
    expected = await live(trying, whole, {"log": []}, durability)
    for dies_at in range(1, whole.calls + 1):
        killed = MortalJournal(dies_at, after=after)
        assert await live(trying, killed, {"log": []}, durability) == expected
        assert told(killed) == told(whole), f"killed at call {dies_at}"


#: Without threads: how far one is when another node fails is nobody's to say.
ON_THE_LOOP = tuple(kind for kind in KINDS if kind not in ("sync", "artifact"))


@given(recipes(ON_THE_LOOP), st.floats(0, 1), st.booleans())
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
    async def node(state: State) -> State:
        return {"log": ["x" * 1_000]}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile().graph
    counts = []
    for dies_at in (None, 5):
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
