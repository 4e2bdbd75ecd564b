"""A question, a long sleep or a Command to the parent counts, whatever the node's code makes of
the exception that carries it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import operator
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    CompiledGraph,
    Context,
    RetryPolicy,
    Send,
    StateGraph,
    SyncContext,
    entrypoint,
    interrupt,
    task,
)
from tests.engine.mortal import Hands


class State(TypedDict, total=False):
    got: Any
    log: Annotated[list[Any], operator.add]


def only(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("n", node, **options).add_edge(START, "n").compile()


async def ask(question: Any = "?") -> Any:
    return interrupt(question)


async def work() -> str:
    return "w"


async def play(graph: Any, answers: dict[Any, Any] | None = None) -> tuple[Any, list[list[Any]]]:
    """How it ended, and what was asked in each wait. Each question is answered with its text, or
    with what `answers` has for it."""
    shown: list[list[Any]] = []
    out = await graph.ainvoke({}, thread_id="t")
    while (asked := out.get("__interrupt__") if isinstance(out, dict) else None) and len(shown) < 6:
        shown.append([one.value for one in asked])
        said = {one.id: (answers or {}).get(one.value, f"!{one.value}") for one in asked}
        out = await graph.ainvoke(Command(resume=said), thread_id="t")
    if isinstance(out, dict) and not out["log"]:
        del out["log"]
    return out, shown


SUB = only(lambda s: {"got": interrupt("sub")})


async def in_a_group() -> Any:
    async with asyncio.TaskGroup() as group:
        asked, worked = group.create_task(ask()), group.create_task(work())
    return [asked.result(), worked.result()]


async def in_a_group_in_a_group() -> Any:
    async with asyncio.TaskGroup() as group:
        inner = group.create_task(in_a_group())
    return inner.result()


async def in_a_gather() -> Any:
    return [str(x) for x in await asyncio.gather(ask(), work(), return_exceptions=True)]


async def in_wait() -> Any:
    running = asyncio.ensure_future(ask())
    await asyncio.wait([running])
    return ["nobody" if running.exception() else running.result(), "w"]


async def in_a_shield() -> Any:
    return [await asyncio.shield(ask()), "w"]


async def in_a_timeout() -> Any:
    async with asyncio.timeout(90):
        return [await ask(), "w"]


async def in_wait_for() -> Any:
    return [await asyncio.wait_for(ask(), 10), "w"]


async def under_an_except() -> Any:
    try:
        return [await ask(), "w"]
    except BaseException:
        return ["nobody", "w"]


async def under_another_error() -> Any:
    try:
        return [await ask(), "w"]
    except BaseException as error:
        raise ValueError("the tool failed") from error


async def under_an_error_in_its_place() -> Any:
    try:
        return [await ask(), "w"]
    except BaseException:
        raise ValueError("the tool failed")  # noqa: B904


async def asked_again_and_again() -> Any:
    for _ in range(3):
        try:
            return [await ask(), "w"]
        except BaseException:
            continue
    return ["nobody", "w"]


async def in_a_task_of_the_background() -> Any:
    running = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    return ["nobody" if running.exception() else running.result(), "w"]


@pytest.mark.parametrize(
    "way",
    [
        in_a_group,
        in_a_group_in_a_group,
        in_a_gather,
        in_wait,
        in_a_shield,
        in_a_timeout,
        in_wait_for,
        under_an_except,
        under_another_error,
        under_an_error_in_its_place,
        asked_again_and_again,
        in_a_task_of_the_background,
    ],
    ids=lambda way: way.__name__,
)
async def test_a_swallowed_question_is_asked_once_and_answered(
    way: Callable[[], Awaitable[Any]],
) -> None:
    async def node(state: State) -> State:
        return {"got": await way()}

    assert await play(only(node)) == ({"got": ["!?", "w"]}, [["?"]])


async def in_a_step(ctx: Context) -> Any:
    return await ctx.step("ask", ask)


async def swallowed_in_a_step(ctx: Context) -> Any:
    async def asks() -> Any:
        try:
            return await ask()
        except BaseException:
            return "nobody"

    return await ctx.step("ask", asks)


async def swallowed_in_a_step_in_a_thread(ctx: Context) -> Any:
    def asks() -> Any:
        try:
            return interrupt("?")
        except BaseException:
            return "nobody"

    return await ctx.step("ask", asks)


async def in_a_graph(ctx: Context) -> Any:
    try:
        return (await SUB.ainvoke({}))["got"]
    except BaseException:
        return "nobody"


async def in_a_stream_of_a_graph(ctx: Context) -> Any:
    seen: Any = "nobody"
    try:
        async for shown in SUB.astream({}):
            seen = shown["n"]["got"]
    except BaseException:
        seen = "nobody"
    return seen


@task
async def asking(question: str) -> Any:
    try:
        return interrupt(question)
    except BaseException:
        return "nobody"


async def in_a_task_function(ctx: Context) -> Any:
    try:
        return await asking("?")
    except BaseException:
        return "nobody"


@pytest.mark.parametrize(
    "way",
    [
        in_a_step,
        swallowed_in_a_step,
        swallowed_in_a_step_in_a_thread,
        in_a_graph,
        in_a_stream_of_a_graph,
        in_a_task_function,
    ],
    ids=lambda way: way.__name__,
)
async def test_a_question_swallowed_around_a_part_of_the_node_is_asked(way: Any) -> None:
    async def node(state: State, ctx: Context) -> State:
        return {"got": await way(ctx)}

    out, shown = await play(only(node))
    assert (out["got"], len(shown)) == (f"!{shown[0][0]}", 1)


def joined(call: Callable[[], Any]) -> None:
    thread = threading.Thread(target=contextvars.copy_context().run, args=(call,))
    thread.start()
    thread.join()


def test_a_question_in_a_thread_with_a_copied_context_is_asked() -> None:
    def node(state: State) -> State:
        found: list[Any] = []

        def asks() -> None:
            try:
                found.append(interrupt("?"))
            except BaseException:
                found.append("nobody")

        joined(asks)
        return {"got": found}

    graph = only(node)
    (asked,) = graph.invoke({}, thread_id="t")["__interrupt__"]
    assert asked.value == "?"
    assert graph.invoke(Command(resume=1), thread_id="t")["got"] == [1]


def test_questions_in_a_pool_of_threads_are_told_apart() -> None:
    calls: list[int] = []

    def node(state: State) -> State:
        calls.append(1)
        words = ["a", "b"] if len(calls) == 1 else ["b", "a"]
        with ThreadPoolExecutor(1) as pool:
            run = [contextvars.copy_context().run for _ in words]
            begun = {w: pool.submit(r, interrupt, w) for w, r in zip(words, run, strict=True)}
        errors = [one.exception() for one in begun.values()]
        assert all(errors) or not any(errors)
        return {"got": {w: one.exception() or one.result() for w, one in begun.items()}}

    graph = only(node)
    asked = graph.invoke({}, thread_id="t")["__interrupt__"]
    assert [one.value for one in asked] == ["a", "b"]
    said = {one.id: one.value.upper() for one in asked}
    assert graph.invoke(Command(resume=said), thread_id="t")["got"] == {"a": "A", "b": "B"}


def test_except_base_exception_in_a_sync_node_and_its_step() -> None:
    def asks() -> Any:
        try:
            return interrupt("in the step")
        except BaseException:
            return "nobody"

    def node(state: State, ctx: SyncContext) -> State:
        try:
            first = interrupt("first")
        except BaseException:
            first = "nobody"
        return {"got": [first, ctx.step("asks", asks)]}

    graph = only(node)
    assert [i.value for i in graph.invoke({}, thread_id="t")["__interrupt__"]] == ["first"]
    two = graph.invoke(Command(resume=1), thread_id="t")["__interrupt__"]
    assert [one.value for one in two] == ["in the step"]
    assert graph.invoke(Command(resume=2), thread_id="t")["got"] == [1, 2]


async def test_several_questions_of_a_group_are_shown_at_once_each_with_its_id() -> None:
    async def node(state: State) -> State:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(word)) for word in "abc"]
        return {"got": [one.result() for one in asked]}

    graph = only(node)
    out = await graph.ainvoke({}, thread_id="t")
    ids = {one.value: one.id for one in out["__interrupt__"]}
    assert list(ids) == ["a", "b", "c"] and len(set(ids.values())) == 3
    some = await graph.ainvoke(Command(resume={ids["b"]: "B"}), thread_id="t")
    assert {one.value: one.id for one in some["__interrupt__"]} == {"a": ids["a"], "c": ids["c"]}
    rest = {ids["a"]: "A", ids["c"]: "C"}
    assert (await graph.ainvoke(Command(resume=rest), thread_id="t"))["got"] == ["A", "B", "C"]


async def test_a_real_error_beside_a_question_wins_and_the_question_stays() -> None:
    broken = True

    async def fails() -> None:
        if broken:
            raise ConnectionError("down")

    async def node(state: State) -> State:
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(ask())
            group.create_task(fails())
        return {"got": asked.result()}

    graph = only(node)
    with pytest.raises(ExceptionGroup) as caught:
        await graph.ainvoke({}, thread_id="t")
    assert [type(error) for error in caught.value.exceptions] == [ConnectionError]
    assert any("had asked" in note for note in caught.value.__notes__)
    assert [one.value for one in (await graph.aget_state("t")).interrupts] == ["?"]
    broken = False
    assert (await graph.ainvoke(Command(resume="y"), thread_id="t"))["got"] == "y"


async def test_an_error_of_its_own_after_a_swallowed_question_wins_and_says_so() -> None:
    async def node(state: State) -> State:
        await asyncio.gather(ask(), return_exceptions=True)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        await only(node).ainvoke({}, thread_id="t")
    assert any("had asked" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("chained", [True, False])
async def test_a_retry_policy_does_not_ask_again(chained: bool) -> None:
    tries: list[int] = []

    async def node(state: State) -> State:
        tries.append(1)
        try:
            return {"got": await ask()}
        except BaseException as error:
            failure = ConnectionError("again")
            raise failure from (error if chained else None)

    policy = RetryPolicy(retry_on=Exception, initial_interval=0, jitter=False)
    out, shown = await play(only(node, retry_policy=policy))
    assert (out, shown, len(tries)) == ({"got": "!?"}, [["?"]], 2)


async def test_a_question_of_a_failed_attempt_is_asked_by_the_next() -> None:
    tries: list[int] = []

    async def node(state: State) -> State:
        tries.append(1)
        got = await asyncio.gather(ask(), return_exceptions=True)
        if len(tries) == 1:
            raise ConnectionError("not of the question")
        return {"got": got}

    policy = RetryPolicy(initial_interval=0, jitter=False)
    out, shown = await play(only(node, retry_policy=policy))
    assert (out, shown) == ({"got": ["!?"]}, [["?"]])


async def test_nothing_is_done_on_the_ground_of_an_answer_that_is_not_there() -> None:
    done: list[Any] = []

    async def node(state: State, ctx: Context) -> State:
        allowed: Any = (await asyncio.gather(ask("may I?"), return_exceptions=True))[0]
        await ctx.step("charge", done.append, str(allowed))
        sure = interrupt(f"told {allowed}, sure?")
        return {"got": [allowed, sure]}

    out, shown = await play(only(node))
    assert (out["got"][0], done) == ("!may I?", ["!may I?"])
    assert shown == [["may I?"], ["told !may I?, sure?"]]


@pytest.mark.parametrize("way", ["group", "gather", "except"])
async def test_a_swallowed_sleep_is_slept(way: str) -> None:
    clock = Hands()
    begun = clock.time

    async def node(state: State, ctx: Context) -> State:
        if way == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.sleep(60))
        elif way == "gather":
            await asyncio.gather(ctx.sleep(60), return_exceptions=True)
        else:
            with contextlib.suppress(BaseException):
                await ctx.sleep(60)
        return {"got": (clock.time - begun).total_seconds()}

    assert (await only(node).ainvoke({}, clock=clock))["got"] == 60


def up(*words: str) -> CompiledGraph:
    update = {"log": list(words)}
    return only(lambda s: Command(graph=Command.PARENT, update=update))


@pytest.mark.parametrize("way", ["plain", "group", "gather", "except", "error", "task", "step"])
async def test_a_swallowed_command_to_the_parent_is_heeded(way: str) -> None:
    sends = up("up")

    @task
    async def calls() -> Any:
        return await sends.ainvoke({})

    async def node(state: State, ctx: Context) -> Any:
        if way == "plain":
            await sends.ainvoke({})
        elif way == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(sends.ainvoke({}))
        elif way == "gather":
            await asyncio.gather(sends.ainvoke({}), work(), return_exceptions=True)
        elif way == "task":
            await asyncio.gather(calls(), return_exceptions=True)
        elif way == "step":
            await asyncio.gather(ctx.step("s", sends.ainvoke, {}), return_exceptions=True)
        else:
            try:
                await sends.ainvoke({})
            except BaseException:
                if way == "error":
                    raise ValueError  # noqa: B904
        return {"log": ["went on"]}

    assert (await only(node).ainvoke({}))["log"] == ["up"]


async def test_commands_of_two_graphs_at_once_are_both_heeded() -> None:
    async def node(state: State) -> None:
        both = up("one").ainvoke({}), up("two").ainvoke({"got": 2})
        await asyncio.gather(*both, return_exceptions=True)

    assert sorted((await only(node).ainvoke({}))["log"]) == ["one", "two"]


async def test_a_question_beside_a_command_to_the_parent_is_asked_first() -> None:
    async def node(state: State) -> None:
        both = up("up").ainvoke({}), SUB.ainvoke({})
        await asyncio.gather(*both, return_exceptions=True)

    out, shown = await play(only(node))
    assert (out["log"], shown) == (["up"], [["sub"]])


@pytest.mark.parametrize("sync", [True, False])
async def test_a_question_swallowed_in_a_router_is_asked(sync: bool) -> None:
    def route(state: State) -> str:
        try:
            return str(interrupt("where to?"))
        except BaseException:
            return "left"

    async def aroute(state: State) -> str:
        return route(state)

    builder = StateGraph(State).add_node("n", lambda s: None).add_edge(START, "n")
    for name in ("left", "right"):
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    builder.add_conditional_edges("n", route if sync else aroute, ["left", "right"])
    out, shown = await play(builder.compile(), {"where to?": "right"})
    assert (out["log"], shown) == (["right"], [["where to?"]])


async def test_questions_swallowed_in_sends_are_asked_each() -> None:
    async def node(arg: Any) -> State:
        return {"log": [*await asyncio.gather(ask(arg), return_exceptions=True)]}

    builder = StateGraph(State).add_node("n", node)
    builder.add_conditional_edges(START, lambda s: [Send("n", i) for i in (3, 1)], ["n"])
    out, shown = await play(builder.compile())
    assert (out["log"], shown) == (["!3", "!1"], [[3, 1]])


async def test_questions_of_an_entrypoint_are_asked_whatever_catches_them() -> None:
    @entrypoint()
    async def flow(n: Any) -> Any:
        async with asyncio.TaskGroup() as group:
            own = group.create_task(ask("own"))
            inner = group.create_task(_awaited(asking("inner")))
        more = await asyncio.gather(asking("more"), return_exceptions=True)
        return [own.result(), inner.result(), *more]

    out, shown = await play(flow)
    assert out == ["!own", "!inner", "!more"]
    assert sorted(shown[0]) == ["inner", "own"] and shown[1:] == [["more"]]


async def _awaited(begun: Any) -> Any:
    return await begun


def test_a_question_swallowed_in_an_atomic_node_is_asked() -> None:
    def node(state: State) -> State:
        try:
            return {"got": interrupt("?")}
        except BaseException:
            return {"got": "nobody"}

    graph = only(node, atomic=True)
    assert [i.value for i in graph.invoke({}, thread_id="t")["__interrupt__"]] == ["?"]
    assert graph.invoke(Command(resume=None), thread_id="t")["got"] is None


async def test_a_question_after_the_node_has_returned_fails_the_run() -> None:
    asked = asyncio.Event()
    late: list[Any] = []

    async def asks() -> None:
        await asked.wait()
        try:
            interrupt("too late")
        except BaseException as error:
            late.append(type(error).__name__)

    async def node(state: State) -> State:
        late.append(asyncio.ensure_future(asks()))
        return {"log": ["n"]}

    async def after(state: State) -> State:
        asked.set()
        await late[0]
        return {"log": ["after"]}

    builder = StateGraph(State).add_node("n", node).add_edge(START, "n")
    graph = builder.add_node("after", after).add_edge("n", "after").compile()
    with pytest.raises(RuntimeError, match="'n' asks a question after the node had returned"):
        await graph.ainvoke({}, thread_id="t")
    assert late[1:] == ["CallOver"]
