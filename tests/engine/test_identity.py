"""Steps, tasks and graphs in a node get the record of their own arguments, in whatever order they
arrive when the node is called again; what cannot be told is refused before it is done."""

from __future__ import annotations

import asyncio
import itertools
import operator
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest

from runs.engine import (
    START,
    Command,
    CompiledGraph,
    Context,
    IdentityError,
    RetryPolicy,
    StateGraph,
    SyncContext,
    entrypoint,
    interrupt,
    task,
)
from runs.engine.execution.task.call_matching import Calls
from runs.engine.superstep.call_identity import arguments_of, digest, mark_of, typed_digest
from runs.engine.superstep.recorded_call import Kept as Record
from tests.engine.mortal import Hands, LossyJournal, MortalJournal, live


class State(TypedDict, total=False):
    got: Any
    log: Annotated[list[Any], operator.add]


class Number(TypedDict, total=False):
    n: Any
    said: Any


DONE: list[Any] = []


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    DONE.clear()
    yield


def only(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("n", node, **options).add_edge(START, "n").compile()


def fetch(n: Any) -> Any:
    DONE.append(n)
    return f"<{n}>"


@task
async def fetching(n: Any) -> Any:
    return fetch(n)


def graph_of(function: Callable[[Any], Any], **options: Any) -> CompiledGraph:
    builder = StateGraph(Number).add_node("x", lambda s: {"said": function(s["n"])})
    return builder.add_edge(START, "x").compile(**options)


FETCHES = graph_of(fetch, name="fetches")


async def step(ctx: Context, n: Any, **key: Any) -> Any:
    return await ctx.step("fetch", fetch, n, **key)


async def call_task(ctx: Context, n: Any, **key: Any) -> Any:
    return await fetching(n, **key)


async def call_graph(ctx: Context, n: Any, **key: Any) -> Any:
    return (await FETCHES.ainvoke({"n": n}, **key))["said"]


KINDS = pytest.mark.parametrize("call", [step, call_task, call_graph], ids=lambda c: c.__name__)


async def in_order(order: Sequence[int], of: int) -> None:
    """Let number `of` go on after those before it in `order`."""
    for _ in range(3 * order.index(of)):
        await asyncio.sleep(0)


async def asked_once(graph: CompiledGraph) -> Any:
    assert (await graph.ainvoke({}, thread_id="t"))["__interrupt__"]
    return (await graph.ainvoke(Command(resume=1), thread_id="t"))["got"]


@KINDS
@pytest.mark.parametrize("again", list(itertools.permutations((1, 2, 3))), ids=str)
async def test_calls_that_arrive_in_another_order_get_their_own_records(
    call: Any, again: Sequence[int]
) -> None:
    orders = iter([(1, 2, 3), again])

    async def node(state: State, ctx: Context) -> State:
        order = next(orders)

        async def one(n: int) -> Any:
            await in_order(order, n)
            return await call(ctx, n)

        got = await asyncio.gather(*map(one, (1, 2, 3)))
        interrupt("go on?")
        return {"got": got}

    assert await asked_once(only(node)) == ["<1>", "<2>", "<3>"]
    assert sorted(DONE) == [1, 2, 3], "nothing is done twice"


@KINDS
async def test_calls_that_are_made_in_another_order_get_their_own_records(call: Any) -> None:
    orders = iter([(1, 2, 3), (3, 1, 2)])

    async def node(state: State, ctx: Context) -> State:
        order = next(orders)
        found = await asyncio.gather(*(call(ctx, n) for n in order))
        interrupt("go on?")
        return {"got": dict(zip(order, found, strict=True))}

    assert await asked_once(only(node)) == {1: "<1>", 2: "<2>", 3: "<3>"}
    assert sorted(DONE) == [1, 2, 3]


@KINDS
async def test_a_call_that_is_left_out_leaves_the_others_theirs(call: Any) -> None:
    calls: list[int] = []

    async def node(state: State, ctx: Context) -> State:
        calls.append(1)
        if len(calls) == 1:
            await call(ctx, 1)
        two, three = await call(ctx, 2), await call(ctx, 3)
        interrupt("go on?")
        return {"got": [two, three]}

    assert await asked_once(only(node)) == ["<2>", "<3>"]
    assert DONE == [1, 2, 3]


@KINDS
async def test_a_changed_argument_is_refused_before_anything_is_done_twice(call: Any) -> None:
    times = itertools.count()

    async def node(state: State, ctx: Context) -> State:
        got = await call(ctx, next(times))
        interrupt("go on?")
        return {"got": got}

    policy = RetryPolicy(retry_on=Exception, initial_interval=0, jitter=False)
    graph = only(node, retry_policy=policy)
    await graph.ainvoke({}, thread_id="t")
    with pytest.raises(IdentityError, match="key="):
        await graph.ainvoke(Command(resume=1), thread_id="t")
    assert DONE == [0] and next(times) == 2, "neither done again nor retried"


@KINDS
@pytest.mark.parametrize("swallowed", [True, False])
async def test_a_key_is_for_arguments_that_are_new_each_time(call: Any, swallowed: bool) -> None:
    times = itertools.count()

    async def node(state: State, ctx: Context) -> State:
        got = [await call(ctx, next(times), key="one"), await call(ctx, next(times), key="two")]
        interrupt("go on?")
        return {"got": got}

    assert await asked_once(only(node)) == ["<0>", "<1>"]
    assert DONE == [0, 1]


@KINDS
async def test_a_refusal_that_is_caught_fails_the_node_all_the_same(call: Any) -> None:
    times = itertools.count()

    async def node(state: State, ctx: Context) -> State:
        got = await asyncio.gather(call(ctx, next(times)), return_exceptions=True)
        interrupt("go on?")
        return {"got": str(got)}

    graph = only(node)
    await graph.ainvoke({}, thread_id="t")
    with pytest.raises(IdentityError):
        await graph.ainvoke(Command(resume=1), thread_id="t")


@KINDS
async def test_a_key_that_is_used_twice_is_refused(call: Any) -> None:
    async def node(state: State, ctx: Context) -> None:
        await call(ctx, 1, key="k")
        await call(ctx, 2, key="k")

    with pytest.raises(IdentityError, match="key='k' twice"):
        await only(node).ainvoke({})
    assert DONE == [1]


async def test_a_key_of_a_run_of_its_own_is_refused() -> None:
    with pytest.raises(TypeError, match="a run of its own"):
        await FETCHES.ainvoke({"n": 1}, key="k")


async def test_a_key_is_told_apart_by_the_name_of_its_step_whatever_that_begins_with() -> None:
    names = ["a", "|a", "\\|a", "\\\\|a", "\\a", "|", "\\"]

    async def node(state: State, ctx: Context) -> State:
        order = names if len(calls) < len(names) else names[::-1]
        got = {}
        for name in order:
            got[name] = await ctx.step(name, said, name, key="k")
        interrupt("go on?")
        return {"got": [got[name] for name in names]}

    calls: list[str] = []

    def said(name: str) -> str:
        calls.append(name)
        return name

    assert await asked_once(only(node)) == names
    assert calls == names


async def test_a_key_is_free_again_when_its_call_failed() -> None:
    tries: list[int] = []

    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        return len(tries)

    async def node(state: State, ctx: Context) -> State:
        while True:
            try:
                return {"got": await ctx.step("flaky", flaky, key="k")}
            except ConnectionError:
                continue

    assert (await only(node).ainvoke({}))["got"] == 3


@pytest.mark.parametrize("key", ["", 5, b"k"])
async def test_a_key_is_a_text(key: Any) -> None:
    async def node(state: State, ctx: Context) -> None:
        await ctx.step("s", fetch, 1, key=key)

    with pytest.raises(IdentityError, match="give a text"):
        await only(node).ainvoke({})


async def test_a_function_keeps_a_parameter_key_of_its_own() -> None:
    def own(n: int, key: str) -> str:
        return f"{n}{key}"

    def any_keyword(**kwargs: Any) -> Any:
        return kwargs

    times = itertools.count()

    async def node(state: State, ctx: Context) -> State:
        interrupt("first?") if next(times) else None
        first = await ctx.step("own", own, 1, key="a")
        bound = await ctx.step("own", partial(own, 2, key="b"), key="named")
        several = await task(own).with_key("k")(3, key="c")
        interrupt("go on?")
        return {"got": [first, bound, several, await task(own)(4, key="d")]}

    graph = only(node)
    await graph.ainvoke({}, thread_id="t")
    await graph.ainvoke(Command(resume=1), thread_id="t")
    final = await graph.ainvoke(Command(resume=1), thread_id="t")
    assert final["got"] == ["1a", "2b", "3c", "4d"]

    async def unclear(state: State, ctx: Context) -> None:
        await ctx.step("s", any_keyword, key="k")

    with pytest.raises(IdentityError, match=r"functools\.partial"):
        await only(unclear).ainvoke({})


async def test_equal_calls_at_once_may_change_places() -> None:
    rolls = itertools.count()

    async def node(state: State, ctx: Context) -> State:
        got = await asyncio.gather(*(ctx.step("roll", rolls.__next__) for _ in range(3)))
        interrupt("go on?")
        return {"got": sorted(got)}

    assert await asked_once(only(node)) == [0, 1, 2]


class Client:
    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = asyncio.Lock()

    def read(self) -> str:
        return self.name


def read(client: Client) -> str:
    return client.name


@pytest.mark.parametrize(
    "pair",
    [
        (lambda: ((lambda: "a", ()), (lambda: "b", ()))),
        (lambda: tuple((_closure(word), ()) for word in "ab")),
        (lambda: ((Client("a").read, ()), (Client("b").read, ()))),
        (lambda: ((read, (Client("a"),)), (read, (Client("b"),)))),
        (lambda: ((_one, ()), (_two, ()))),
    ],
    ids=["lambdas", "closures", "methods", "objects", "functions"],
)
async def test_calls_at_once_that_look_alike_are_refused_at_the_first_execution(
    pair: Any,
) -> None:
    async def node(state: State, ctx: Context) -> None:
        await asyncio.gather(*(ctx.step("same", f, *args) for f, args in pair()))

    with pytest.raises(IdentityError, match=r"at once.*key="):
        await only(node).ainvoke({})

    async def keyed(state: State, ctx: Context) -> State:
        calls = enumerate(pair())
        steps = (ctx.step("same", f, *args, key=str(n)) for n, (f, args) in calls)
        return {"got": await asyncio.gather(*steps)}

    first, second = (await only(keyed).ainvoke({}))["got"]
    assert first != second


@pytest.mark.parametrize("first", [1, 2])
async def test_lookalikes_of_two_tasks_are_refused_also_when_they_do_not_overlap(
    first: int,
) -> None:
    async def node(state: State, ctx: Context) -> None:
        async def one(number: int) -> None:
            await asyncio.sleep(0.0 if number == first else 0.02)
            await ctx.step("fetch", lambda: number)

        await asyncio.gather(one(1), one(2))

    with pytest.raises(IdentityError, match=r"at once.*key="):
        await only(node).ainvoke({})


async def test_lookalikes_of_one_task_are_told_apart_by_their_order() -> None:
    async def node(state: State, ctx: Context) -> State:
        async def several() -> list[str]:
            return [await ctx.step("fetch", _closure(word)) for word in "abc"]

        async def rest() -> None:
            await asyncio.sleep(0.01)

        got, _ = await asyncio.gather(several(), rest())
        interrupt("go on?")
        return {"got": got}

    assert await asked_once(only(node)) == ["a", "b", "c"]


def _one() -> int:
    return 1


def _two() -> int:
    return 2


def _closure(word: str) -> Callable[[], str]:
    def say() -> str:
        return word

    return say


async def test_defaults_of_lambdas_and_what_partials_bind_are_arguments() -> None:
    orders = iter([(1, 2), (2, 1)])

    async def node(state: State, ctx: Context) -> State:
        order = next(orders)
        one = await asyncio.gather(*(ctx.step("l", lambda n=n: fetch(n)) for n in order))
        two = await asyncio.gather(*(ctx.step("p", partial(fetch, n)) for n in order))
        interrupt("go on?")
        return {"got": [dict(zip(order, found, strict=True)) for found in (one, two)]}

    assert await asked_once(only(node)) == [{1: "<1>", 2: "<2>"}] * 2
    assert sorted(DONE) == [1, 1, 2, 2]


@dataclass(frozen=True)
class Shop:
    name: str

    def price(self) -> str:
        return f"<{self.name}>"

    @classmethod
    def label(cls) -> str:
        return f"<{cls.__name__}>"


class OtherShop(Shop): ...


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    "functions",
    [
        [Shop("a").price, Shop("b").price],
        [Shop.label, OtherShop.label],
        ["a".upper, "b".upper],
        [date(2020, 1, 1).isoformat, date(2021, 1, 1).isoformat],
        [PurePath("a").as_posix, PurePath("b").as_posix],
    ],
    ids=["frozen", "class", "text", "date", "path"],
)
async def test_what_a_method_is_of_is_an_argument_if_it_never_changes(
    functions: list[Any], at_once: bool
) -> None:
    orders = iter([(0, 1), (1, 0), (1,)])

    async def node(state: State, ctx: Context) -> State:
        order = next(orders)

        async def one(which: int) -> Any:
            return await ctx.step("s", functions[which])

        if at_once:
            got = await asyncio.gather(*map(one, order))
        else:
            got = [await one(which) for which in order]
        assert got == [functions[which]() for which in order]
        interrupt("go on?")
        return {"got": got}

    graph = only(node)
    await graph.ainvoke({"got": []}, thread_id="t")
    await graph.ainvoke(None, thread_id="t")
    done = await graph.ainvoke(Command(resume=1), thread_id="t")
    assert done["got"] == [functions[1]()]


async def test_another_function_under_the_name_and_arguments_of_a_record_is_refused() -> None:
    calls = itertools.count()

    async def node(state: State, ctx: Context) -> None:
        await ctx.step("s", fetch if next(calls) == 0 else read, 1)
        interrupt("go on?")

    graph = only(node)
    await graph.ainvoke({}, thread_id="t")
    with pytest.raises(IdentityError, match="of another function"):
        await graph.ainvoke(Command(resume=1), thread_id="t")


async def test_what_cannot_be_stored_counts_by_its_type_and_by_order() -> None:
    async def node(state: State, ctx: Context) -> State:
        got = [await ctx.step("read", read, Client(name)) for name in "ab"]
        interrupt("go on?")
        return {"got": got}

    assert await asked_once(only(node)) == ["a", "b"]


def test_a_sync_node_has_the_same_rules() -> None:
    calls = itertools.count()

    def node(state: State, ctx: SyncContext) -> State:
        order = (1, 2) if next(calls) == 0 else (2, 1)
        begun = {n: fetching(n) for n in order}
        got = {n: (ctx.step("fetch", fetch, n), one.result()) for n, one in begun.items()}
        interrupt("go on?")
        return {"got": got}

    graph = only(node)
    graph.invoke({}, thread_id="t")
    final = graph.invoke(Command(resume=1), thread_id="t")
    assert final["got"] == {1: ("<1>", "<1>"), 2: ("<2>", "<2>")}
    assert sorted(DONE) == [1, 1, 2, 2]


async def test_an_entrypoint_has_the_same_rules() -> None:
    calls = itertools.count()

    @entrypoint()
    async def flow(n: Any) -> Any:
        order = (1, 2) if next(calls) == 0 else (2, 1)
        got = await asyncio.gather(*map(fetching, order))
        interrupt("go on?")
        return dict(zip(order, got, strict=True))

    await flow.ainvoke({}, thread_id="t")
    assert await flow.ainvoke(Command(resume=1), thread_id="t") == {1: "<1>", 2: "<2>"}
    assert sorted(DONE) == [1, 2]


async def test_tasks_and_graphs_that_ask_at_once_get_their_own_answers() -> None:
    @task
    async def asks(word: str) -> Any:
        return interrupt(word)

    inner = graph_of(interrupt)
    orders = itertools.cycle([(1, 2), (2, 1)])

    async def node(state: State, ctx: Context) -> State:
        order = next(orders)

        async def one(n: int) -> Any:
            await in_order(order, n)
            called = await inner.ainvoke({"n": f"g{n}"})
            return [await asks(f"t{n}"), called["said"]]

        return {"got": await asyncio.gather(one(1), one(2))}

    graph, said = only(node), []
    out = await graph.ainvoke({}, thread_id="t")
    while asked := out.get("__interrupt__"):
        said.append(asked[-1].value)
        answer = {asked[-1].id: f"!{asked[-1].value}"}
        out = await graph.ainvoke(Command(resume=answer), thread_id="t")
    assert out["got"] == [["!t1", "!g1"], ["!t2", "!g2"]]
    assert sorted(said) == ["g1", "g2", "t1", "t2"], "each is asked once"


async def test_a_task_that_asks_what_a_model_wrote_is_answered_by_its_order() -> None:
    @task
    async def asks(word: str) -> Any:
        return interrupt(word)

    words = itertools.count()

    @entrypoint()
    async def flow(n: Any) -> Any:
        return [await asks(f"word {next(words)}"), next(words)]

    (asked,) = (await flow.ainvoke({}, thread_id="t"))["__interrupt__"]
    assert asked.value == "word 0"
    assert await flow.ainvoke(Command(resume="y"), thread_id="t") == ["y", 2]


async def test_graphs_that_keep_their_state_keep_it_when_they_change_places() -> None:
    class Kept(TypedDict, total=False):
        n: int
        seen: Annotated[list[Any], operator.add]

    def remembers(state: Kept) -> Kept:
        answer = interrupt(f"{state['n']}?") if state["n"] > 9 else "first"
        return {"seen": [(state["n"] % 10, answer)]}

    builder = StateGraph(Kept).add_node("x", remembers).add_edge(START, "x")
    kept = builder.compile(checkpointer=True)
    orders = itertools.count()

    async def node(state: State) -> State:
        more = 10 * (len(state.get("log", [])) > 0)
        order = (1, 2) if next(orders) < 2 else (2, 1)

        async def one(n: int) -> Any:
            await in_order(order, n)
            return (await kept.ainvoke({"n": n + more}))["seen"]

        return {"log": ["turn"], "got": await asyncio.gather(one(1), one(2))}

    graph = only(node)
    await graph.ainvoke({}, thread_id="t")
    out = await graph.ainvoke({}, thread_id="t")
    while asked := out.get("__interrupt__"):
        answers = {one.id: f"!{one.value}" for one in asked}
        out = await graph.ainvoke(Command(resume=answers), thread_id="t")
    assert out["got"] == [[(1, "first"), (1, "!11?")], [(2, "first"), (2, "!12?")]]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("kind", [MortalJournal, LossyJournal])
async def test_a_process_that_dies_anywhere_leaves_each_call_its_record(
    kind: type[MortalJournal], durability: str
) -> None:
    times = itertools.count()

    def build() -> CompiledGraph:
        async def node(state: State, ctx: Context) -> State:
            order = list(itertools.permutations((1, 2, 3)))[next(times) % 6]

            async def one(n: int) -> Any:
                await in_order(order, n)
                first = await ctx.step("fetch", fetch, n)
                called = (await FETCHES.ainvoke({"n": n}))["said"]
                await ctx.sleep(n * 60)
                return [first, called, await fetching(n), interrupt(n)]

            return {"got": await asyncio.gather(*map(one, (1, 2, 3)))}

        return only(node)

    right = [[f"<{n}>", f"<{n}>", f"<{n}>", f"!{n}"] for n in (1, 2, 3)]
    whole = kind()
    assert (await live(build, whole, {}, durability))["got"] == right
    for dies_at in range(1, whole.calls + 1, 3):
        for after in (False, True):
            found = await live(build, kind(dies_at, after=after), {}, durability)
            assert found["got"] == right, (dies_at, after)


async def test_a_call_beside_a_recorded_one_runs_though_it_has_no_record() -> None:
    """A crash after the first of two that ran at once; the second arrives first then."""
    journal = MortalJournal()
    attempts = itertools.count()

    def build() -> CompiledGraph:
        async def node(state: State, ctx: Context) -> State:
            attempt = next(attempts)

            async def one(n: int) -> Any:
                if attempt and n == 1:
                    await asyncio.sleep(0.01)
                return await ctx.step("fetch", slow, n)

            async def slow(n: int) -> Any:
                if not attempt and n == 2:
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    journal._dies_at = journal.calls + 1
                return fetch(n)

            return {"got": await asyncio.gather(one(1), one(2))}

        return only(node)

    assert (await live(build, journal, {}))["got"] == ["<1>", "<2>"]
    assert DONE in ([1, 2, 2], [1, 2])


@dataclass
class Point:
    x: int
    y: int


@dataclass
class Other:
    x: int
    y: int


class Plain:
    def __init__(self, x: int) -> None:
        self.x = x


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({1: "a", (2,): "b"}, {(2,): "b", 1: "a"}, True),
        ({3, 1, 2}, {2, 3, 1}, True),
        (2**70, 2**70, True),
        (2**70, 2**71, False),
        (1, "1", False),
        (True, 1, False),
        (None, float("nan"), False),
        (float("inf"), float("-inf"), False),
        (b"a", b"b", False),
        (Point(1, 2), Point(1, 2), True),
        (Point(1, 2), Point(1, 3), False),
        (Point(1, 2), Other(1, 2), False),
        (Plain(1), Plain(1), True),
        (Plain(1), Plain(2), False),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), False),
        ("\ud800", "\ud801", False),
        (fetch, read, False),
        ([1, [2]], [1, [3]], False),
    ],
)
def test_what_arguments_are_told_apart(one: Any, other: Any, same: bool) -> None:
    assert (digest(one).digest == digest(other).digest) is same
    assert digest(one).exact and digest(other).exact


class Level(Enum):
    LOW = 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), [1]),
        ({"a": [(1,)]}, {"a": [[1]]}),
        (UUID(int=1), str(UUID(int=1))),
        (Level.LOW, 1),
        ([Level.LOW], [1]),
    ],
    ids=repr,
)
async def test_arguments_of_two_types_with_one_json_are_told_apart(one: Any, other: Any) -> None:
    assert arguments_of(None, [one], {}).digest != arguments_of(None, [other], {}).digest
    assert arguments_of(None, [one], {}).digest == arguments_of(None, [one], {}).digest
    assert arguments_of(None, [one], {}).older == arguments_of(None, [other], {}).digest
    assert typed_digest(one, given=[]).digest != typed_digest(other, given=[]).digest
    orders = iter([(one, other), (other, one)])

    async def node(state: State, ctx: Context) -> State:
        got = {
            repr(n): await ctx.step("kind", lambda given: type(given).__name__, n)
            for n in next(orders)
        }
        interrupt("go on?")
        return {"got": [got[repr(one)], got[repr(other)]]}

    kinds = [type(one).__name__, type(other).__name__]
    assert await asked_once(only(node)) == kinds


def test_record_of_an_earlier_version_is_found_by_its_arguments() -> None:
    given = arguments_of(None, [(1,)], {})
    record: dict[str, Any] = {"key": "k", "name": "f", "mark": "m", "number": 1, "value": b"1"}
    for typed in (False, True):
        kept = Record(identity=given.older, typed=typed, **record)
        calls = Calls("n", [kept], old=False)
        if typed:  # of the same version, and so of a list
            with pytest.raises(IdentityError):
                calls.begin("f", given, mark="m", own=True)
        else:
            assert calls.begin("f", given, mark="m", own=True).kept is kept


def test_what_is_known_by_its_type_only_says_so() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for coarse in (Client("a"), asyncio.Lock(), {"a": [object()]}, circle):
        assert not digest(coarse).exact
        assert not arguments_of(None, [coarse, (1,)], {}).exact
    assert digest([Client("a"), 1]).digest == digest([Client("b"), 1]).digest
    assert digest([Client("a"), 1]).digest != digest([Client("a"), 2]).digest
    bound = arguments_of(partial(fetch, 1), (), {})
    assert bound.digest != arguments_of(partial(fetch, 2), (), {}).digest


@pytest.mark.processes
def test_a_lambda_has_the_same_mark_in_every_process() -> None:
    say = (
        "from runs.engine.superstep.call_identity import mark_of; "
        "print(mark_of(lambda n: [x for x in n if x in {'a', 'b', 'c', 'd'}]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", say],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in "12"
    }
    assert len(said) == 1
    assert mark_of(lambda: 1) != mark_of(lambda: 2)


async def test_the_first_of_awaitables_wins_and_the_others_keep_their_records() -> None:
    """A race with as_completed: whoever comes first the second time."""
    calls = itertools.count()

    async def node(state: State, ctx: Context) -> State:
        order = (1, 2) if next(calls) == 0 else (2, 1)

        async def one(n: int) -> Any:
            await in_order(order, n)
            return await ctx.step("fetch", fetch, n)

        doing: list[Awaitable[Any]] = [one(1), one(2)]
        got = [await done for done in asyncio.as_completed(doing)]
        interrupt("go on?")
        return {"got": sorted(got)}

    assert await asked_once(only(node)) == ["<1>", "<2>"]


async def test_sleeps_at_once_end_each_at_its_own_time() -> None:
    clock = Hands()
    begun = clock.time
    woken: dict[int, float] = {}
    orders = itertools.cycle([(1, 2), (2, 1)])

    async def node(state: State, ctx: Context) -> State:
        async def one(n: int) -> None:
            await ctx.sleep(n * 60)
            woken.setdefault(n, (clock.time - begun).total_seconds())
            await ctx.step("woke", fetch, n)

        await asyncio.gather(*map(one, next(orders)))
        return {"got": woken}

    final = await only(node).ainvoke({}, thread_id="t", clock=clock)
    assert final["got"] == {1: 60, 2: 120}, "each ends at its own time"
    assert DONE == [1, 2]


async def test_a_call_whose_argument_and_place_both_changed_is_refused() -> None:
    done: list[Any] = []
    orders = iter([[("a", 1), ("b", 0)], [("b", 0), ("a", 2)]])

    def charge(*given: Any) -> None:
        done.append(given)

    async def node(state: State, ctx: Context) -> State:
        for given in next(orders):
            await ctx.step("charge", charge, *given)
        return {"got": interrupt("?")}

    graph = StateGraph(State).add_node("n", node).add_edge(START, "n").compile()
    await graph.ainvoke({}, thread_id="t")
    with pytest.raises(IdentityError, match="key="):
        await graph.ainvoke(Command(resume="y"), thread_id="t")
    assert done == [("a", 1), ("b", 0)], "nothing is charged twice"
