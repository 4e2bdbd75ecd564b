"""Retry policies, and the errors they are about: senseless ones are refused, and a node's own error
is the one that comes out."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    CompiledGraph,
    Context,
    MemoryJournal,
    RetryPolicy,
    StateGraph,
    SyncContext,
    interrupt,
    serde,
    task,
)
from runs.engine.errors import InvalidGraphError
from runs.engine.graph.retry import delay
from runs.engine.graph.validation import seconds_of
from runs.engine.types import CachePolicy

SENSELESS: list[dict[str, Any]] = [
    {name: value}
    for name in ("initial_interval", "max_interval", "backoff_factor")
    for value in (-1, math.nan, math.inf, -math.inf, "1", None, True, [1])
] + [
    {"initial_interval": 1e300},
    {"max_interval": 10**400},
    {"backoff_factor": 0},
    {"max_attempts": 0},
    {"max_attempts": -1},
    {"max_attempts": None},
    {"max_attempts": 2.5},
    {"max_attempts": math.nan},
    {"max_attempts": math.inf},
    {"max_attempts": "3"},
    {"max_attempts": True},
    {"jitter": "yes"},
    {"jitter": None},
    {"retry_on": 5},
    {"retry_on": "ValueError"},
    {"retry_on": [ValueError, "KeyError"]},
    {"retry_on": int},
    {"retry_on": ValueError("one")},
    {"retry_on": lambda: True},
    {"retry_on": lambda error, attempt: True},
]


class State(TypedDict, total=False):
    x: Any


def only(node: Any, **options: Any) -> CompiledGraph:
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node").compile()


@pytest.mark.parametrize("options", SENSELESS, ids=[f"{n}" for n in range(len(SENSELESS))])
def test_a_senseless_policy_is_refused_when_it_is_made(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=rf"A RetryPolicy has {name}=.*; give "):
        RetryPolicy(**options)


def test_an_async_retry_on_is_refused() -> None:
    async def retry_on(error: Exception) -> bool:
        return False

    with pytest.raises(ValueError, match="sync function"):
        RetryPolicy(retry_on=retry_on)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy(jitter=False, backoff_factor=1e200, max_interval=0.01),
        RetryPolicy(jitter=False, max_attempts=10_000, max_interval=0.01),
        RetryPolicy(jitter=False, backoff_factor=10**300, max_attempts=10_000, max_interval=0.01),
    ],
    ids=["factor", "attempts", "both"],
)
@pytest.mark.parametrize("attempt", [1, 2, 1025, 9_999])
def test_the_wait_has_its_limit_however_many_there_were(policy: RetryPolicy, attempt: int) -> None:
    wait = delay(policy, attempt, ConnectionError())
    assert wait == (0.01 if attempt < policy.max_attempts else None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 0, "1", True, 1e300, 10**400])
def test_senseless_times_are_refused(value: Any) -> None:
    with pytest.raises(InvalidGraphError):
        seconds_of("It", value)
    with pytest.raises(InvalidGraphError):
        only(lambda s: None, timeout=value)
    with pytest.raises(InvalidGraphError):
        task(timeout=value)(lambda: None)
    if value != 0:
        with pytest.raises(InvalidGraphError):
            only(lambda s: None, cache_policy=CachePolicy(ttl=value))


@pytest.mark.parametrize("seconds", [math.nan, math.inf, "1", None, 1e300])
def test_a_senseless_sleep_is_refused_and_stops_no_other_timer(seconds: Any) -> None:
    async def node(state: State, ctx: Any) -> None:
        await ctx.sleep(seconds)

    with pytest.raises(ValueError, match="give seconds"):
        only(node, retry_policy=RetryPolicy(initial_interval=0)).invoke({})


# --- errors that are hard to tell ---------------------------------------------------------------


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Exits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


def half() -> Exception:
    return ValueError("half a character: \ud800, and NUL: \x00")


ERRORS: dict[str, Any] = {
    "empty": ValueError,
    "mute": Mute,
    "exits": Exits,
    "half": half,
    "long": lambda: ValueError("x" * 10_000_000),
    "group": lambda: ExceptionGroup("several", [Mute(), ExceptionGroup("more", [half()])]),
    "not storable": lambda: ValueError(object(), lambda: None),
}


@pytest.mark.parametrize("kind", ERRORS)
async def test_whatever_the_error_is_it_is_retried_and_comes_out(kind: str) -> None:
    calls: list[BaseException] = []

    def node(state: State) -> None:
        calls.append(ERRORS[kind]())
        raise calls[-1]

    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=Exception)
    journal = MemoryJournal()
    with pytest.raises(BaseException) as caught:
        await only(node, retry_policy=policy).ainvoke({}, thread_id="t", journal=journal)
    assert caught.value is calls[-1]
    assert len(calls) == 3
    (newest, *_) = await journal.history("t")
    told = [e["data"] for e in await journal.events(newest.run_id) if e["event"] == "retry"]
    assert [one["attempt"] for one in told] == [1, 2]
    assert told[0]["error"].startswith(type(calls[0]).__name__)
    assert len(serde.dumps(told)) < 10_000


@pytest.mark.parametrize("broken", [KeyError("of retry_on"), SystemExit(3)], ids=["error", "exit"])
async def test_a_retry_on_that_raises_does_not_hide_the_error(broken: BaseException) -> None:
    def retry_on(error: Exception) -> bool:
        raise broken

    def node(state: State) -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own") as caught:
        await only(node, retry_policy=RetryPolicy(retry_on=retry_on)).ainvoke({})
    assert f"raised {type(broken).__name__}" in caught.value.__notes__[0]


@dataclass(frozen=True)
class Frozen(Exception):
    code: int = 1


def _raise(*given: Any) -> Any:
    raise Frozen


async def _in_step(state: State, ctx: Context) -> None:
    await ctx.step("s", _raise)


def _in_sync_step(state: State, ctx: SyncContext) -> None:
    ctx.step("s", _raise)


@task
async def _late() -> None:
    await asyncio.sleep(0.02)
    raise Frozen


def _in_task(state: State) -> None:
    _late().result()


async def _in_graph(state: State) -> None:
    await only(_raise).ainvoke({"x": 0})


async def _after_a_question(state: State) -> None:
    with suppress(BaseException):
        interrupt("?")
    raise Frozen


@pytest.mark.parametrize(
    "node", [_raise, _in_step, _in_sync_step, _in_task, _in_graph, _after_a_question]
)
@pytest.mark.parametrize("retry_on", [Exception, lambda error: 1 / 0])
async def test_an_error_that_cannot_be_changed_comes_out(node: Any, retry_on: Any) -> None:
    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=retry_on)
    with pytest.raises(Frozen):
        await only(node, retry_policy=policy).ainvoke({"x": 0})


class Reduced(TypedDict, total=False):
    x: Annotated[int, _raise]


def test_an_error_of_a_reducer_that_cannot_be_changed_comes_out() -> None:
    graph = StateGraph(Reduced).add_node("n", lambda state: {"x": 1}).add_edge(START, "n").compile()
    with pytest.raises(Frozen) as caught:
        graph.invoke({})
    assert "In the reducer of key 'x'" in caught.value.__notes__[0]


def test_who_goes_on_after_a_failed_run_has_all_attempts_again() -> None:
    calls = []

    def fails(state: State) -> State:
        calls.append(1)
        if len(calls) <= 4:
            raise ConnectionError
        return {"x": len(calls)}

    policy = RetryPolicy(max_attempts=3, initial_interval=0, jitter=False)
    graph = StateGraph(State).add_node("node", fails, retry_policy=policy)
    compiled = graph.add_edge(START, "node").compile(MemoryJournal())
    with pytest.raises(ConnectionError):
        compiled.invoke({"x": 0}, thread_id="t")
    assert compiled.invoke(None, thread_id="t") == {"x": 5}
