"""The guard: the port through which a host watches the calls of user code on threads."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import START, Context, RetryPolicy, StateGraph, SyncContext, task
from runs.engine.concurrency import guarding
from runs.engine.execution.task.task_call import current


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class Left(RuntimeError):
    """What the guard of these tests raises."""


class Recording:
    """A guard that knows on which threads it was, and that a call may leave a mark with."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.left = threading.local()
        self.on_loop: list[str] = []
        self.locked = False

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        answer = function(*args, **kwargs)
        if getattr(self.left, "mark", False):
            self.left.mark = False
            memo = current.get()
            memo.fault = Left(f"of {memo.task.node.name}")
            raise memo.fault
        return answer

    def check(self, node: str) -> Exception | None:
        return Left(f"of {node}") if node in self.on_loop else None

    def locks_journal(self) -> bool:
        return self.locked

    def leave(self) -> None:
        self.left.mark = True


@pytest.fixture
def guard() -> Iterator[Recording]:
    recording = Recording()
    token = guarding.guard.set(recording)
    yield recording
    guarding.guard.reset(token)


async def run(node: Callable[..., Any], **options: Any) -> Any:
    graph = StateGraph(State).add_node("node", node, **options).add_edge(START, "node")
    return await graph.compile().ainvoke({})


async def test_guard_watches_nodes_steps_tasks_and_inner_graphs(guard: Recording) -> None:
    @task
    def by_task() -> None: ...

    inner = StateGraph(State).add_node("inner", lambda state: None).add_edge(START, "inner")
    compiled = inner.compile()

    async def node(state: State, ctx: Context) -> None:
        await ctx.step("step", lambda: None)
        await by_task()
        await compiled.ainvoke({})

    await run(node)
    assert len(guard.threads) == 3
    assert threading.current_thread().name not in guard.threads


async def test_fault_of_a_sync_node_is_raised(guard: Recording) -> None:
    with pytest.raises(Left, match="of node"):
        await run(lambda state: guard.leave())


async def test_fault_that_a_node_swallows_fails_it_all_the_same(guard: Recording) -> None:
    async def node(state: State, ctx: Context) -> None:
        with suppress(Left):
            await ctx.step("step", guard.leave)

    with pytest.raises(Left, match="of node"):
        await run(node)


async def test_fault_of_one_attempt_is_not_that_of_the_next(guard: Recording) -> None:
    attempts: list[int] = []

    def node(state: State) -> State:
        attempts.append(1)
        if len(attempts) == 1:
            guard.leave()
        return {"log": ["done"]}

    policy = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=Left)
    assert await run(node, retry_policy=policy) == {"log": ["done"]}
    assert len(attempts) == 2


async def test_fault_on_the_event_loops_thread_fails_the_node(guard: Recording) -> None:
    guard.on_loop.append("node")

    async def node(state: State) -> None: ...

    with pytest.raises(Left, match="of node"):
        await run(node)


async def test_wait_for_a_journal_that_the_thread_locks_is_refused(guard: Recording) -> None:
    def node(state: State, ctx: SyncContext) -> None:
        guard.locked = True
        ctx.emit("x" * 100_000)
        ctx.step("step", lambda: None)

    with pytest.raises(RuntimeError, match="end the transaction first"):
        await run(node)
