"""A real `manage.py serve` that queues and runs the jobs of `jobs.py`, and what runs below it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import Server, wait_until


def alive() -> dict[int, tuple[int, str]]:
    """pid → parent and name of every living process of this machine."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        state, parent, *_ = stat[stat.rindex(")") + 1 :].split()
        if state != "Z":
            found[int(entry.name)] = (int(parent), name)
    return found


def gone(*pids: int) -> Callable[[], bool]:
    return lambda: not set(pids) & alive().keys()


class JobServer(Server):
    """Serves the application of `served_asgi.py` from a data folder of its own."""

    def __init__(self, folder: Path, **env: str) -> None:
        served = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.served_settings"}
        super().__init__(folder / "data", {**served, **env})
        self.folder = folder
        self.workers = int(env.get("FASTGRAPH_WORKERS", "1")) + 3
        self._jobs = 0

    def start(self, *arguments: str) -> None:
        """Makes the tables, and returns when all the processes are there, too."""
        self.provide_tables()
        super().start(*arguments)
        wait_until("every process is there", self.complete)

    def below(self) -> dict[int, str]:
        """pid → name of every living descendant of the main process."""
        table = alive()
        found: dict[int, str] = {}
        new = {self.pid}
        while new:
            new = {pid for pid, (parent, _) in table.items() if parent in new}
            found |= {pid: table[pid][1] for pid in new}
        return found

    def named(self, name: str) -> set[int]:
        return {pid for pid, found in self.below().items() if found == name}

    def only(self, name: str) -> int:
        (pid,) = self.named(name)
        return pid

    def complete(self) -> bool:
        """Whether every process is there, in its number."""
        workers = ["fg:worker"] * self.workers
        rest = ["fg:monitor", "fg:pusher", "fg:sentinel", "fg:web"]
        return sorted(self.below().values()) == [*rest, *workers]

    def get(self, **query: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(self.url, params=query, timeout=20).json()
        return answer

    def enqueue(self, job: str) -> Path:
        """Queue a job of `jobs.py`; the path is where it will write."""
        self._jobs += 1
        path = self.folder / f"job-{self._jobs}"
        self.get(job=job, path=str(path))
        return path

    def run(self, job: str) -> int:
        """Queue a job and wait until it runs: the pid of its worker."""
        path = self.enqueue(job)
        wait_until(f"{job} runs", path.exists)
        return int(path.read_text())

    def kill_main(self) -> None:
        assert self._process is not None
        os.kill(self.pid, 9)
        self._process.wait()

    def _is_well(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"serve ended with {code}:\n{self.log()[-4000:]}"
        try:
            return httpx.get(self.url, timeout=5).status_code == 200
        except httpx.TransportError:
            return False
