"""DBOS, lean: async workflows in the process that serves, waited for on the live handle.
`python -m bench.rivals.dbos_app PORT URL`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dbos import DBOS

from bench.rivals.asking import STEPS, Rival, line, serve


@DBOS.step()
async def count(number: int) -> int:
    return number + 1


@DBOS.workflow()
async def counting(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = await count(number)
    return number


@DBOS.step()
async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)


@DBOS.workflow()
async def napping(steps: int, seconds: float) -> None:
    for _ in range(steps):
        await nap(seconds)


@DBOS.step()
async def add_line(lines: list[str]) -> list[str]:
    return [*lines, line()]


@DBOS.workflow()
async def appending(lines: int, steps: int) -> int:
    state = [line() for _ in range(lines)]
    for _ in range(steps):
        state = await add_line(state)
    return len(state)


class Dbos:
    def __init__(self) -> None:
        self._begun: list[Any] = []

    async def chain(self) -> None:
        handle = await DBOS.start_workflow_async(counting, STEPS)
        assert await handle.get_result() == STEPS

    async def start(self) -> None:
        self._begun.append(await DBOS.start_workflow_async(counting, STEPS))

    async def join(self) -> None:
        await asyncio.gather(*(handle.get_result() for handle in self._begun))

    async def long(self, steps: int) -> None:
        handle = await DBOS.start_workflow_async(counting, steps)
        assert await handle.get_result() == steps

    async def sleepers(self, runs: int, steps: int, seconds: float) -> None:
        begun = [DBOS.start_workflow_async(napping, steps, seconds) for _ in range(runs)]
        handles = await asyncio.gather(*begun)
        await asyncio.gather(*(handle.get_result() for handle in handles))

    async def append(self, lines: int, steps: int) -> None:
        handle = await DBOS.start_workflow_async(appending, lines, steps)
        assert await handle.get_result() == lines + steps


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Rival]:
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
    yield Dbos()
    DBOS.destroy()


if __name__ == "__main__":
    serve(lambda: opened(sys.argv[2]), int(sys.argv[1]))
