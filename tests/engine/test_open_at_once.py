"""Questions and sleeps of one node: one after another they go by their order, at once by what they
are about; an answer never reaches another question that was open beside it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    CompiledGraph,
    Context,
    IdentityError,
    MemoryJournal,
    StateGraph,
    SyncContext,
    interrupt,
)
from tests.engine.mortal import Hands


class State(TypedDict, total=False):
    got: Any


def only(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("n", node, **options).add_edge(START, "n").compile()


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def ask(question: Any, after: int = 0, **key: Any) -> Any:
    await turns(after)
    return interrupt(question, **key)


async def work(after: int) -> str:
    await turns(after)
    return "w"


async def play(graph: CompiledGraph, *, last: bool = False) -> tuple[Any, list[Any]]:
    """How it ended, and the questions that were answered, one at each time: the first that is
    shown, or the last."""
    said: list[Any] = []
    out = await graph.ainvoke({}, thread_id="t")
    while (asked := out.get("__interrupt__")) and len(said) < 9:
        one = asked[-1 if last else 0]
        said.append(one.value)
        out = await graph.ainvoke(Command(resume={one.id: f"!{one.value}"}), thread_id="t")
    return out.get("got"), said


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("slow", list(itertools.permutations((0, 4, 8))), ids=str)
async def test_questions_that_arrive_in_another_order_get_their_own_answers(
    slow: Sequence[int], last: bool
) -> None:
    times = itertools.cycle([(0, 4, 8), slow, (4, 4, 4)])

    async def node(state: State) -> State:
        waits = next(times)
        doing = [ask(word, after) for word, after in zip("abc", waits, strict=True)]
        return {"got": await asyncio.gather(*doing)}

    got, said = await play(only(node), last=last)
    assert got == ["!a", "!b", "!c"]
    assert sorted(said) == ["a", "b", "c"], "each is asked once"


async def test_questions_that_are_made_in_another_order_get_their_own_answers() -> None:
    orders = itertools.cycle(["abc", "cab", "bca"])

    async def node(state: State) -> State:
        order = next(orders)
        got = await asyncio.gather(*map(ask, order))
        return {"got": dict(zip(order, got, strict=True))}

    got, said = await play(only(node))
    assert (got, sorted(said)) == ({"a": "!a", "b": "!b", "c": "!c"}, ["a", "b", "c"])


async def test_an_answer_is_not_handed_to_another_question_when_its_own_is_left_out() -> None:
    words = iter(["ab", "b", "b"])

    async def node(state: State) -> State:
        return {"got": await asyncio.gather(*map(ask, next(words)))}

    graph = only(node)
    first, second = (await graph.ainvoke({}, thread_id="t"))["__interrupt__"]
    out = await graph.ainvoke(Command(resume={first.id: "A"}), thread_id="t")
    assert [one.id for one in out["__interrupt__"]] == [second.id]
    final = await graph.ainvoke(Command(resume="B"), thread_id="t")
    assert final["got"] == ["B"]


async def test_equal_questions_at_once_have_an_id_each() -> None:
    async def node(state: State) -> State:
        return {"got": sorted(await asyncio.gather(ask("ok?"), ask("ok?"), ask("ok?")))}

    graph = only(node)
    asked = (await graph.ainvoke({}, thread_id="t"))["__interrupt__"]
    assert len({one.id for one in asked}) == 3
    answers = {one.id: number for number, one in enumerate(asked)}
    assert (await graph.ainvoke(Command(resume=answers), thread_id="t"))["got"] == [0, 1, 2]


async def test_questions_one_after_another_are_answered_in_their_order_though_the_text_is_new() -> (
    None
):
    texts = itertools.count()

    async def node(state: State) -> State:
        return {"got": [interrupt(f"text {next(texts)}"), interrupt(f"text {next(texts)}")]}

    graph = only(node)
    await graph.ainvoke({}, thread_id="t")
    await graph.ainvoke(Command(resume=1), thread_id="t")
    assert (await graph.ainvoke(Command(resume=2), thread_id="t"))["got"] == [1, 2]


@pytest.mark.parametrize("way", ["wait_for", "gather", "task", "group", "nested"])
async def test_the_only_line_of_code_that_runs_is_answered_in_order_though_the_text_is_new(
    way: str,
) -> None:
    texts = itertools.count()

    async def one() -> Any:
        question = ask(f"text {next(texts)}", after=2)
        if way == "wait_for":
            return await asyncio.wait_for(question, 10)
        if way == "gather":
            return (await asyncio.gather(question))[0]
        if way == "task":
            return await asyncio.create_task(question)
        if way == "nested":
            return await asyncio.wait_for(asyncio.wait_for(question, 10), 10)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(question)
        return asked.result()

    async def node(state: State) -> State:
        return {"got": [await one(), await one()]}

    graph = only(node)
    await graph.ainvoke({}, thread_id="t")
    await graph.ainvoke(Command(resume=1), thread_id="t")
    assert (await graph.ainvoke(Command(resume=2), thread_id="t"))["got"] == [1, 2]


async def test_the_only_one_that_asks_is_found_when_others_run_beside_it_the_second_time() -> None:
    times = itertools.count()

    async def node(state: State) -> State:
        first = next(times) == 0
        return {"got": await asyncio.gather(ask("a", 5), work(0 if first else 9))}

    got, said = await play(only(node))
    assert (got, said) == (["!a", "w"], ["a"])


async def test_the_nodes_own_question_beside_one_of_its_tasks() -> None:
    orders = itertools.count()

    async def node(state: State) -> State:
        running = asyncio.create_task(ask("task", 3 * (next(orders) % 2)))
        await turns(2)
        own = interrupt("own")
        return {"got": [own, await running]}

    got, said = await play(only(node))
    assert (got, sorted(said)) == (["!own", "!task"], ["own", "task"])


async def test_a_key_is_for_questions_at_once_whose_text_is_new_each_time() -> None:
    texts, orders = itertools.count(), itertools.cycle(["ab", "ba"])

    async def node(state: State) -> State:
        doing = {word: ask(f"text {next(texts)}", key=word) for word in next(orders)}
        got = await asyncio.gather(*doing.values(), work(5))
        return {"got": dict(zip(doing, got, strict=False))}

    graph = only(node)
    asked = (await graph.ainvoke({}, thread_id="t"))["__interrupt__"]
    assert [one.value for one in asked] == ["text 0", "text 1"]
    some = await graph.ainvoke(Command(resume={asked[1].id: "B"}), thread_id="t")
    assert [one.id for one in some["__interrupt__"]] == [asked[0].id]
    final = await graph.ainvoke(Command(resume="A"), thread_id="t")
    assert final["got"] == {"a": "A", "b": "B"}


async def test_a_key_finds_its_question_when_another_is_left_out_before_it() -> None:
    calls = itertools.count()

    async def node(state: State) -> State:
        first = interrupt("first", key="first") if next(calls) < 2 else "left out"
        return {"got": [first, interrupt("second", key="second")]}

    assert await play(only(node)) == (["left out", "!second"], ["first", "second"])


async def test_a_key_that_is_used_twice_is_refused() -> None:
    async def node(state: State) -> State:
        return {"got": await asyncio.gather(ask("a", key="k"), ask("b", key="k"))}

    with pytest.raises(IdentityError, match="key='k' twice"):
        await only(node).ainvoke({})


async def test_a_call_that_waited_for_two_goes_on_with_the_first_answer() -> None:
    done: list[Any] = []

    def ship(word: str, answer: Any) -> Any:
        done.append(word)
        return answer

    async def node(state: State, ctx: Context) -> State:
        async def approve(word: str) -> Any:
            answer = interrupt(word)
            return await ctx.step("ship", ship, word, answer)

        return {"got": await asyncio.gather(approve("a"), approve("b"))}

    graph = only(node)
    first, second = (await graph.ainvoke({}, thread_id="t"))["__interrupt__"]
    out = await graph.ainvoke(Command(resume={second.id: "B"}), thread_id="t")
    assert ([one.id for one in out["__interrupt__"]], done) == ([first.id], ["b"])
    assert (await graph.ainvoke(Command(resume="A"), thread_id="t"))["got"] == ["A", "B"]
    assert done == ["b", "a"]


async def test_a_question_beside_a_sleep_goes_on_when_it_is_answered() -> None:
    done: list[Any] = []
    clock = Hands()

    def answered(answer: Any) -> Any:
        done.append(clock.time)
        return answer

    async def node(state: State, ctx: Context) -> State:
        async def asks() -> Any:
            return await ctx.step("answered", answered, interrupt("?"))

        return {"got": await asyncio.gather(asks(), ctx.sleep(3600))}

    graph, begun = only(node), clock.time
    await graph.ainvoke({}, thread_id="t", clock=clock)
    final = await graph.ainvoke(Command(resume="y"), thread_id="t", clock=clock)
    assert final["got"] == ["y", None]
    assert done == [begun], "not an hour later"
    assert (clock.time - begun).total_seconds() == 3600


@pytest.mark.parametrize("sync", [False, True])
async def test_a_sleep_keeps_its_first_end_when_its_seconds_are_others(sync: bool) -> None:
    clock = Hands()
    begun, calls = clock.time, itertools.count(1)

    async def node(state: State, ctx: Context) -> State:
        await ctx.sleep(60 * next(calls))
        await ctx.sleep(0.5)
        await ctx.sleep(60 * next(calls))
        return {"got": (clock.time - begun).total_seconds()}

    def node_in_thread(state: State, ctx: SyncContext) -> State:
        ctx.sleep(60 * next(calls))
        ctx.sleep(0.5)
        ctx.sleep(60 * next(calls))
        return {"got": (clock.time - begun).total_seconds()}

    graph = only(node_in_thread if sync else node)
    final = await graph.ainvoke({}, thread_id="t", clock=clock)
    assert final["got"] == 60 + 0.5 + 180 + 0.5, "two minutes in the first call, three after it"


async def test_sleeps_at_once_keep_their_own_ends_in_another_order() -> None:
    clock = Hands()
    begun, orders = clock.time, itertools.cycle([(60, 120), (120, 60)])

    async def node(state: State, ctx: Context) -> State:
        async def one(seconds: int) -> tuple[int, float]:
            await ctx.sleep(seconds)
            return seconds, (clock.time - begun).total_seconds()

        order = next(orders)
        return {"got": dict(await asyncio.gather(*map(one, order)))}

    final = await only(node).ainvoke({}, thread_id="t", clock=clock)
    assert final["got"] == {60: 120, 120: 120} and clock.time.minute == 2


async def test_a_key_is_for_sleeps_at_once_whose_seconds_are_new_each_time() -> None:
    clock, more = Hands(), itertools.count()
    begun = clock.time

    async def node(state: State, ctx: Context) -> State:
        extra = 600 * next(more)
        names = ("a", "b") if not extra else ("b", "a")
        await asyncio.gather(*(ctx.sleep(60 + extra, key=name) for name in names))
        return {"got": (clock.time - begun).total_seconds()}

    assert (await only(node).ainvoke({}, thread_id="t", clock=clock))["got"] == 60


async def test_a_fork_takes_answers_to_questions_at_once_by_their_ids() -> None:
    orders = itertools.cycle(["ab", "ba"])

    async def node(state: State) -> State:
        order = next(orders)
        return {"got": dict(zip(order, await asyncio.gather(*map(ask, order)), strict=True))}

    journal = MemoryJournal()
    graph = only(node)
    asked = (await graph.ainvoke({}, thread_id="t", journal=journal))["__interrupt__"]
    at = (await graph.aget_state("t", journal=journal)).config
    said = {one.id: one.value for one in asked}
    await graph.ainvoke(Command(resume=said), thread_id="t", journal=journal)
    other = {one.id: one.value.upper() for one in asked}
    forked = await graph.ainvoke(Command(resume=other), at, journal=journal)
    assert forked["got"] == {"a": "A", "b": "B"}


@pytest.mark.parametrize("way", ["gather", "group", "exceptions"])
async def test_an_answer_is_not_handed_to_a_question_that_takes_the_place_of_the_last(
    way: str,
) -> None:
    words = iter(["xy", "xz", "xz"])

    async def node(state: State) -> State:
        doing = [ask(word, after) for after, word in enumerate(next(words))]
        if way == "group":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one) for one in doing]
            return {"got": [one.result() for one in tasks]}
        got = await asyncio.gather(*doing, return_exceptions=way == "exceptions")
        return {"got": got}

    graph = only(node)
    first = (await graph.ainvoke({}, thread_id="t"))["__interrupt__"]
    answers = {one.id: "yes" for one in first}
    second = await graph.ainvoke(Command(resume=answers), thread_id="t")
    assert [one.value for one in second["__interrupt__"]] == ["z"]
    final = await graph.ainvoke(Command(resume="no"), thread_id="t")
    assert final["got"] == ["yes", "no"]


class Text(str):
    """It is stored as a plain text."""


async def test_a_question_is_found_by_its_stored_form_when_others_run_beside_it() -> None:
    times = itertools.count()

    async def node(state: State) -> State:
        beside = [asyncio.create_task(work(9))] if next(times) else []
        got = await asyncio.create_task(ask(Text("a")))
        return {"got": [got, *(await asyncio.gather(*beside))]}

    assert await play(only(node)) == (["!a", "w"], ["a"])


async def test_questions_at_once_with_new_texts_each_time_are_refused_in_the_end() -> None:
    texts = itertools.count()

    async def node(state: State) -> State:
        asked = asyncio.gather(*(ask(f"{name} {next(texts)}") for name in ("one", "two")))
        return {"got": await asked}

    with pytest.raises(IdentityError, match=r"another one each time.*key="):
        await play(only(node))


async def test_new_texts_beside_another_task_are_refused_in_the_end() -> None:
    texts = itertools.count()

    async def node(state: State) -> State:
        beats = asyncio.create_task(asyncio.sleep(60))
        try:
            return {"got": await asyncio.wait_for(ask(f"q {next(texts)}"), 60)}
        finally:
            beats.cancel()

    with pytest.raises(IdentityError, match=r"another one each time.*key="):
        await play(only(node))


async def test_sleeps_at_once_that_are_longer_each_time_end_in_a_refusal() -> None:
    longer = itertools.count(100)

    async def node(state: State, ctx: Context) -> None:
        await asyncio.gather(ctx.sleep(next(longer)), ctx.sleep(next(longer) + 100))

    with pytest.raises(IdentityError, match=r"another one each time.*key="):
        await only(node).ainvoke({}, clock=Hands())
