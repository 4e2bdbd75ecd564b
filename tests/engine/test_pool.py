"""Threads for sync calls: bounded in what runs at once, and never in each other's way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import pytest

from runs.engine.concurrency.thread_pool import Pool, begin, run_beside

SECONDS = 20


class Gauge:
    """How many are inside at the same time, and how many were at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


async def call(pool: Pool, function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, function, *args)


async def nested(pool: Pool, gauge: Gauge, depth: int, wide: int) -> int:
    """Calls that each wait for `wide` calls of the same pool; how many there were."""
    loop = asyncio.get_running_loop()

    def one() -> int:
        with gauge:
            inner = [begin(nested(pool, gauge, depth - 1, wide), loop)] if depth else []
        found = 1 + sum(begun.result() for begun in inner)
        with gauge:
            return found

    return sum(await asyncio.gather(*[call(pool, one) for _ in range(wide)]))


@pytest.mark.parametrize("size", [1, 3])
async def test_calls_that_wait_for_calls_end(size: int) -> None:
    gauge = Gauge()
    with Pool(size) as pool:
        async with asyncio.timeout(SECONDS):
            assert await nested(pool, gauge, 3, 5) == 5 + 25 + 125 + 625
    assert 1 <= gauge.most <= size


async def test_calls_that_wait_do_not_take_a_thread_each() -> None:
    size, many = 2, 50
    with Pool(size) as pool:
        loop, goes_on = asyncio.get_running_loop(), asyncio.Event()

        async def wait() -> None:
            await goes_on.wait()

        def waits() -> None:
            begin(wait(), loop).result()

        doing = asyncio.gather(*[call(pool, waits) for _ in range(many)])
        async with asyncio.timeout(SECONDS):
            while pool._aside[0] < size:
                await asyncio.sleep(0)
            goes_on.set()
            await doing
        assert len(pool._threads) <= 2 * size


async def test_one_that_goes_on_comes_before_one_that_begins() -> None:
    order: list[str] = []
    with Pool(1) as pool:
        loop, may_end = asyncio.get_running_loop(), threading.Event()
        began = asyncio.Event()

        def holds() -> None:
            loop.call_soon_threadsafe(began.set)
            may_end.wait(SECONDS)

        async def inner() -> asyncio.Task[Any]:
            holding = asyncio.create_task(call(pool, holds))
            await began.wait()
            return holding

        def first() -> asyncio.Task[Any]:
            holding = begin(inner(), loop).result()
            order.append("goes on")
            return holding

        waiting = asyncio.ensure_future(call(pool, first))
        begins = asyncio.ensure_future(call(pool, order.append, "begins"))
        async with asyncio.timeout(SECONDS):
            while not pool._back:
                await asyncio.sleep(0)
            may_end.set()
            await (await waiting)
            await begins
    assert order == ["goes on", "begins"]


async def test_errors_and_a_cancelled_wait_come_out() -> None:
    async def fails() -> None:
        raise KeyError("inside")

    with Pool(1) as pool:
        loop = asyncio.get_running_loop()

        def one() -> str:
            endless = begin(asyncio.Event().wait(), loop)
            endless.cancel()
            with pytest.raises(CancelledError):
                endless.result(SECONDS)
            assert isinstance(begin(fails(), loop).exception(SECONDS), KeyError)
            with pytest.raises(TimeoutError):
                begin(asyncio.sleep(SECONDS), loop).result(0.01)
            return "went on"

        assert await asyncio.wait_for(call(pool, one), SECONDS) == "went on"


def test_shutting_down() -> None:
    pool, may_end = Pool(1), threading.Event()
    running = pool.submit(may_end.wait, SECONDS)
    queued = pool.submit(str)
    pool.shutdown(wait=False, cancel_futures=True)
    assert queued.cancelled()
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(str)
    may_end.set()
    assert running.result(SECONDS) is True
    pool.shutdown()
    assert not pool._threads


def test_what_was_submitted_before_a_shutdown_is_done() -> None:
    pool = Pool(2)
    done = [pool.submit(abs, -n) for n in range(20)]
    pool.shutdown()
    assert [one.result(0) for one in done] == list(range(20))
    assert not pool._threads


async def test_a_loop_beside_this_one() -> None:
    async def where() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    assert run_beside(where()) != threading.get_ident()
    with pytest.raises(SystemExit):
        run_beside(_exits())


async def _exits() -> None:
    raise SystemExit


async def test_calls_that_wait_for_a_place_are_known_by_their_context() -> None:
    who: ContextVar[str] = ContextVar("who")
    begun, may_end = threading.Barrier(3), threading.Event()
    goes_on, loop = asyncio.Event(), asyncio.get_running_loop()
    pool = Pool(2)

    def stays() -> None:
        begun.wait(SECONDS)
        may_end.wait(SECONDS)

    def waiting() -> list[str]:
        return sorted(context[who] for context in pool.waiting(0))

    calls: dict[str, Callable[[], object]] = {
        "aside": lambda: begin(goes_on.wait(), loop).result(),
        "one": stays,
        "two": stays,  # in the place that the first has let go of
        "next": str,
    }
    running = []
    try:
        for name, function in calls.items():
            who.set(name)
            in_context = partial(copy_context().run, function)
            running.append(asyncio.ensure_future(call(pool, in_context)))
        async with asyncio.timeout(SECONDS):
            await asyncio.to_thread(begun.wait, SECONDS)
            goes_on.set()
            while waiting() != ["aside", "next"]:
                await asyncio.sleep(0.01)
            assert pool.waiting(3600) == []
            may_end.set()
            await asyncio.gather(*running)
        assert waiting() == []
    finally:
        may_end.set()
        pool.shutdown(wait=False)
