"""Chains of django-q2 jobs, with a cluster beside the process that serves.
`python -m bench.rivals.bare_q2_app PORT URL`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.rivals.asking import STEPS, Rival, serve

_SETTINGS = "bench.rivals.bare_q2.settings"
_LOOK_SECONDS = 0.01


def step() -> int:
    return 1


class BareQ2:
    def __init__(self) -> None:
        self._groups: list[str] = []

    async def chain(self) -> None:
        group = await asyncio.to_thread(_begin)
        while not await asyncio.to_thread(_ended, [group]):
            await asyncio.sleep(_LOOK_SECONDS)

    async def start(self) -> None:
        self._groups.append(await asyncio.to_thread(_begin))

    async def join(self) -> None:
        while not await asyncio.to_thread(_ended, self._groups):
            await asyncio.sleep(_LOOK_SECONDS)

    async def long(self, steps: int) -> None:
        raise NotImplementedError("a chain carries all that is left of it with every job")

    async def sleepers(self, runs: int, steps: int, seconds: float) -> None:
        raise NotImplementedError("a job is a process's whole attention")

    async def append(self, lines: int, steps: int) -> None:
        raise NotImplementedError("a chain has no state")


def _begin() -> str:
    from django_q.tasks import async_chain

    return str(async_chain([("bench.rivals.bare_q2_app.step",)] * STEPS))


def _ended(groups: list[str]) -> bool:
    from django_q.models import Task

    return bool(Task.objects.filter(group__in=groups).count() == STEPS * len(groups))


@asynccontextmanager
async def opened() -> AsyncIterator[Rival]:
    django = [sys.executable, "-m", "django"]
    subprocess.run([*django, "migrate", "--verbosity", "0"], check=True)
    cluster = subprocess.Popen([*django, "qcluster"], stdout=subprocess.DEVNULL, stderr=2)
    await asyncio.sleep(2)  # it says nothing when it is ready
    try:
        yield BareQ2()
    finally:
        cluster.terminate()
        cluster.wait()


def main(port: int, url: str) -> None:
    os.environ.update({"BARE_Q2_URL": url, "DJANGO_SETTINGS_MODULE": _SETTINGS})
    import django

    django.setup()
    serve(opened, port)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
