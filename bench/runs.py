"""Durable runs over HTTP, as a user meets them: `python -m bench runs [sqlite|postgres] [w1 …]`.

W1 one 3-step run after another; W2 1,000 of them from 32 clients, and in one batch; W3 one run of
1,000 steps, and of 10,000; W4 500 runs of three sleeps at once; W6 what 50 small appends to a large
state store; W7 a restart after SIGKILL of everything; idle: start, CPU, memory.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from bench.http import Connection
from bench.server import DATABASES, Measured, server

CHAIN = {"workflow": "steps", "payload": {"steps": 3, "seconds": 0}}
CLIENTS, RUNS = 32, 1000

Row = tuple[str, str]


async def until_idle(port: int) -> None:
    """Wait until no run is pending or running."""
    async with Connection(port) as connection:
        while any((await connection.ask("GET", "/api/health"))["runs"].values()):
            await asyncio.sleep(0.02)


async def one_by_one(port: int, number: int) -> list[float]:
    took = []
    async with Connection(port) as connection:
        for _ in range(number):
            began = time.perf_counter()
            run = await connection.ask("POST", "/api/runs/?wait=30", CHAIN)
            assert run["status"] == "completed", run
            took.append(time.perf_counter() - began)
    return took


async def w1(measured: Measured) -> list[Row]:
    await one_by_one(measured.port, 10)
    took = await one_by_one(measured.port, 100)
    p95 = statistics.quantiles(took, n=20)[-1]
    middle = statistics.median(took)
    return [("W1 one 3-step run, p50 (p95)", f"{middle * 1e3:.1f} ms ({p95 * 1e3:.1f})")]


async def w2(measured: Measured) -> list[Row]:
    port = measured.port

    async def client() -> None:
        async with Connection(port) as connection:
            for _ in range(RUNS // CLIENTS):
                await connection.ask("POST", "/api/runs/", CHAIN)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    created = RUNS / (time.perf_counter() - began)
    await until_idle(port)
    single = RUNS / (time.perf_counter() - began)
    began = time.perf_counter()
    async with Connection(port) as connection:
        await connection.ask("POST", "/api/runs/batch", [CHAIN] * RUNS)
    batch_created = time.perf_counter() - began
    await until_idle(port)
    batch = RUNS / (time.perf_counter() - began)
    return [
        ("W2 1,000 runs, 32 clients: created", f"{created:.0f} runs/s"),
        ("W2 1,000 runs, 32 clients: completed", f"{single:.0f} runs/s"),
        ("W2 1,000 runs, one batch: created", f"{batch_created * 1e3:.0f} ms"),
        ("W2 1,000 runs, one batch: completed", f"{batch:.0f} runs/s"),
    ]


async def w3(measured: Measured) -> list[Row]:
    rows = []
    for steps in (1000, 10_000):
        long = {"workflow": "steps", "payload": {"steps": steps, "seconds": 0}}
        async with Connection(measured.port) as connection:
            run = await connection.ask("POST", "/api/runs/", long)
        await until_idle(measured.port)
        async with Connection(measured.port) as connection:
            ended = await connection.ask("GET", f"/api/runs/{run['id']}")
            assert ended["status"] == "completed", ended["error"]
            speed = steps / ended["duration_seconds"]
            rows.append((f"W3 one run of {steps:,} steps", f"{speed:.0f} steps/s"))
            if steps > 1000:
                first = await _thousand(connection, run["id"], 0)
                last = await _thousand(connection, run["id"], steps - 1000)
                told = f"{last / first:.2f}x the time"
                rows.append((f"W3 the last 1,000 of {steps:,} beside the first", told))
    return rows


async def _thousand(connection: Connection, run_id: str, step: int) -> float:
    """The seconds that the 999 steps after `step` took. Each step states three events."""
    moments = []
    for part in (0, 1):
        after = 3 * (step + 999 * part)
        page = await connection.ask("GET", f"/api/runs/{run_id}/events?after={after}&limit=9")
        ended = next(e for e in page["results"] if e["event"] == "node_update")
        moments.append(datetime.fromisoformat(ended["ts"]).timestamp())
    return moments[1] - moments[0]


async def w4(measured: Measured) -> list[Row]:
    sleepy = {"workflow": "steps", "payload": {"steps": 3, "seconds": 0.2}}
    await one_by_one(measured.port, 1)
    began = time.perf_counter()
    async with Connection(measured.port) as connection:
        await connection.ask("POST", "/api/runs/batch", [sleepy] * 500)
    await until_idle(measured.port)
    return [("W4 500 runs of 3 sleeps of 0.2 s", f"{time.perf_counter() - began:.2f} s")]


async def w6(measured: Measured) -> list[Row]:
    before = measured.stored_bytes()
    log = {"lines": [os.urandom(500).hex() for _ in range(1000)], "left": 50}
    async with Connection(measured.port) as connection:
        run = await connection.ask(
            "POST", "/api/runs/", {"workflow": "bench_append", "payload": log}
        )
        await until_idle(measured.port)
        ended = await connection.ask("GET", f"/api/runs/{run['id']}")
    assert (ended["status"], ended["step"]) == ("completed", 50), ended["error"]
    grown = measured.stored_bytes() - before
    return [("W6 50 appends of 1 KB to 1 MB, all stored", f"{grown / 1e6:.1f} MB")]


async def w7(measured: Measured) -> list[Row]:
    steps = 60
    body = {"workflow": "steps", "payload": {"steps": steps, "seconds": 0.05}}
    async with Connection(measured.port) as connection:
        made = (await connection.ask("POST", "/api/runs/batch", [body] * 20))["results"]
    await asyncio.sleep(1.0)
    measured.kill_everything()
    began = time.perf_counter()
    measured.start()
    ready = time.perf_counter() - began
    redone = 0
    async with Connection(measured.port) as connection:
        while True:
            runs = [await connection.ask("GET", f"/api/runs/{run['id']}") for run in made]
            if all(run["attempt"] == 2 for run in runs):
                break
        on = time.perf_counter() - began
        await until_idle(measured.port)
        for run in made:
            page = await connection.ask("GET", f"/api/runs/{run['id']}/events?limit=1000")
            updates = sum(event["event"] == "node_update" for event in page["results"])
            redone += updates - steps
    return [
        ("W7 SIGKILL of all, 20 runs: all go on after start (ready)", f"{on:.1f} s ({ready:.1f})"),
        ("W7 finished steps that were done again", str(redone)),
    ]


async def idle(measured: Measured) -> list[Row]:
    measured.stop()
    began = time.perf_counter()
    measured.start()
    ready = time.perf_counter() - began
    await asyncio.sleep(8)  # the worker's linger is over
    before = measured.cpu_seconds()
    await asyncio.sleep(5)
    used = (measured.cpu_seconds() - before) / 5
    return [
        ("Idle: ready after", f"{ready:.1f} s"),
        ("Idle: CPU of all processes", f"{used:.1%} of a core"),
        ("Idle: memory of all processes", f"{measured.memory_bytes() / 1e6:.0f} MB"),
    ]


WORKS: dict[str, Callable[[Measured], Awaitable[list[Row]]]] = {
    "w1": w1,
    "w2": w2,
    "w3": w3,
    "w4": w4,
    "w6": w6,
    "w7": w7,
    "idle": idle,
}


def measure(database: str, works: list[str]) -> dict[str, str]:
    """The figures of one database, by what they are."""
    found: dict[str, str] = {}
    for name in works:
        more = {"FASTGRAPH_CONCURRENCY": "500"} if name == "w4" else {}
        with server(database, **more) as measured:
            measured.start()
            found.update(asyncio.run(_one(WORKS[name], measured)))
    return found


async def _one(work: Callable[[Measured], Awaitable[list[Row]]], measured: Measured) -> Any:
    return await work(measured)


def main(arguments: list[str]) -> int:
    databases = [name for name in DATABASES if name in arguments] or list(DATABASES)
    works = [name for name in WORKS if name in arguments] or list(WORKS)
    columns = {database: measure(database, works) for database in databases}
    print("| work | " + " | ".join(databases) + " |\n| --- |" + " --- |" * len(databases))
    for what in columns[databases[0]]:
        print(f"| {what} | " + " | ".join(columns[name][what] for name in databases) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
