"""Task functions with a cache, and the inputs of tasks: the same here and in LangGraph."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import langgraph.cache.memory
import langgraph.func
import langgraph.types
import pytest
from pydantic import BaseModel

from runs import engine
from tests.engine.differential.libs import OURS, THEIRS, Lib
from tests.engine.differential.tales.words import Given, State, chain

Decorator = Callable[..., Callable[[Callable[..., Any]], Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Functions:
    """What a workflow is written with as a function."""

    task: Decorator
    entrypoint: Decorator
    CachePolicy: Any
    InMemoryCache: Any


FUNCTIONS = {
    "fastgraph": Functions(
        task=engine.task,
        entrypoint=engine.entrypoint,
        CachePolicy=engine.CachePolicy,
        InMemoryCache=engine.InMemoryCache,
    ),
    "langgraph": Functions(
        task=langgraph.func.task,
        entrypoint=langgraph.func.entrypoint,
        CachePolicy=langgraph.types.CachePolicy,
        InMemoryCache=langgraph.cache.memory.InMemoryCache,
    ),
}
both = pytest.mark.parametrize("lib", FUNCTIONS.values(), ids=FUNCTIONS)


@both
async def test_a_task_with_a_cache_is_called_once_for_the_same_arguments(lib: Functions) -> None:
    calls: list[Any] = []

    @lib.task(cache_policy=lib.CachePolicy())
    async def double(n: int, *, k: int = 1) -> int:
        calls.append((n, k))
        return n * 2 * k

    @lib.task(cache_policy=lib.CachePolicy(ttl=3600))
    def half(n: int) -> float:
        calls.append(n)
        return n / 2

    @lib.entrypoint(cache=lib.InMemoryCache())
    async def flow(n: int) -> list[Any]:
        return [await double(n), await double(n), await double(n, k=2), await half(n)]

    assert await flow.ainvoke(1) == [2, 2, 4, 0.5]
    assert await flow.ainvoke(1) == [2, 2, 4, 0.5]
    assert calls == [(1, 1), (1, 2), 1]
    assert await flow.ainvoke(2) == [4, 4, 8, 1.0]


@both
async def test_the_key_function_of_a_task_takes_its_arguments(lib: Functions) -> None:
    calls: list[int] = []

    def parity(n: int, **more: Any) -> str:
        return f"{n % 2}{sorted(more)}"

    @lib.task(cache_policy=lib.CachePolicy(key_func=parity))
    async def triple(n: int, **more: Any) -> int:
        calls.append(n)
        return n * 3

    @lib.entrypoint(cache=lib.InMemoryCache())
    async def flow(numbers: list[int]) -> list[int]:
        return [await triple(numbers[0], k=1), *[await triple(n) for n in numbers]]

    assert await flow.ainvoke([1, 3, 2, 4]) == [3, 3, 3, 6, 6]
    assert calls == [1, 1, 2]


@both
async def test_a_task_that_fails_is_not_kept(lib: Functions) -> None:
    calls: list[int] = []

    @lib.task(cache_policy=lib.CachePolicy())
    async def flaky(n: int) -> int:
        calls.append(n)
        if len(calls) == 1:
            raise KeyError(n)
        return n

    @lib.entrypoint(cache=lib.InMemoryCache())
    async def flow(n: int) -> Any:
        return await flaky(n)

    with pytest.raises(KeyError):
        await flow.ainvoke(1)
    assert [await flow.ainvoke(1), await flow.ainvoke(1)] == [1, 1]
    assert calls == [1, 1]


@both
async def test_as_many_tasks_at_once_as_the_config_says(lib: Functions) -> None:
    now: list[int] = []
    most = 0

    @lib.task()
    async def work(n: int) -> int:
        nonlocal most
        now.append(n)
        most = max(most, len(now))
        await asyncio.sleep(0.005)
        now.remove(n)
        return n

    @lib.entrypoint()
    async def flow(count: int) -> list[int]:
        return list(await asyncio.gather(*map(work, range(count))))

    assert await flow.ainvoke(9, {"max_concurrency": 2}) == list(range(9))
    # In LangGraph the function itself counts, too.
    assert most == (2 if lib is FUNCTIONS["fastgraph"] else 1)


async def test_a_result_is_kept_for_its_time() -> None:
    calls: list[int] = []

    @engine.task(cache_policy=engine.CachePolicy(ttl=0))
    async def once(n: int) -> int:
        calls.append(n)
        return n

    @engine.entrypoint()
    async def flow(n: int) -> Any:
        return await once(n)

    assert [await flow.ainvoke(1), await flow.ainvoke(1)] == [1, 1]
    assert calls == [1, 1]


async def test_a_key_that_cannot_be_stored_is_explained() -> None:
    @engine.task(cache_policy=engine.CachePolicy())
    async def takes(thing: object) -> None: ...

    @engine.entrypoint()
    async def flow(n: int) -> Any:
        return await takes(object())

    with pytest.raises(engine.NotStorableError, match="Cache key of task 'takes'"):
        await flow.ainvoke(1)


@both
async def test_the_tasks_of_a_function_show_their_arguments(lib: Functions) -> None:
    @lib.task()
    async def add(a: int, *, b: int) -> int:
        return a + b

    @lib.entrypoint()
    async def flow(n: int) -> int:
        return int(await add(await add(n, b=2), b=n))

    shown = [s async for s in flow.astream(1, stream_mode="tasks") if "input" in s]
    assert [(one["name"], one["input"]) for one in shown[1:]] == [
        ("add", ((1,), {"b": 2})),
        ("add", ((3,), {"b": 1})),
    ]


@dataclasses.dataclass
class Data:
    n: int


class Model(BaseModel):
    n: int


def private(lib: Lib) -> Any:
    def b(state: Given) -> Any:
        return {"log": [state["x"]]}

    return chain(lib, "a").add_node("b", b).add_edge("a", "b")


def sends(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("w", lambda i: {"log": [str(i)]})
    return builder.add_conditional_edges(
        "a", lambda s: [lib.Send("w", 1), lib.Send("w", {"i": 2})], ["w"]
    )


def changed_in_place(lib: Lib) -> Any:
    def b(state: State) -> Any:
        state["x"] = "changed"
        return {"y": 1}

    return chain(lib, "a").add_node("b", b).add_edge("a", "b")


def typed(schema: Any) -> Any:
    return lambda lib: (
        lib.StateGraph(schema).add_node("a", lambda s: {"n": s.n + 1}).add_edge(lib.START, "a")
    )


BUILT = {
    "chain": (lambda lib: chain(lib, "a", "b"), {"x": 1, "log": ["in"]}),
    "private": (private, {"x": 1, "total": 2}),
    "sends": (sends, {"x": 1}),
    "dataclass": (typed(Data), {"n": 1}),
    "pydantic": (typed(Model), {"n": 1}),
}


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("mode", ["tasks", "debug"])
async def test_what_is_shown_of_tasks(name: str, mode: str) -> None:
    build, given = BUILT[name]

    async def shown(lib: Lib) -> list[Any]:
        graph = build(lib).compile()
        found = []
        async for one in graph.astream(given, stream_mode=mode):
            task = one["payload"] if mode == "debug" else one
            if mode == "tasks" or one["type"].startswith("task"):
                found.append({key: task[key] for key in task if key not in ("id", "triggers")})
        return found

    ours = await shown(OURS)
    assert any("input" in one for one in ours)
    assert ours == await shown(THEIRS)


async def test_an_input_is_shown_as_it_was() -> None:
    """LangGraph shows it with what the node did to it."""
    graph = changed_in_place(OURS).compile()
    shown = [s async for s in graph.astream({"x": 1}, stream_mode="tasks") if "input" in s]
    assert shown[1]["input"]["x"] == 1
