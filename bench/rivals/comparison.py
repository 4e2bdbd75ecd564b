"""The table: ours, theirs, the ratio, and whether it is what was aimed at."""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bench import runs
from bench.http import Connection
from bench.rivals.environments import NotInstallable
from bench.rivals.running import DidNotStart, Running, running
from bench.server import DATABASES

#: One work of one rival; what takes longer is told as such.
_LIMIT_SECONDS = 90.0
_CLIENTS = 32

#: Name in the table → module, environment, and the only database that it has, if so.
RIVALS = {
    "DBOS": ("dbos", "dbos", None),
    "DBOS with FastAPI": ("dbos_fastapi", "dbos", None),
    "LangGraph": ("langgraph", "langgraph", None),
    "LangGraph in memory": ("langgraph", "langgraph", "memory"),
    "bare django-q2": ("bare_q2", "bare_q2", None),
}

Figure = float | str  # a figure, or why there is none


async def w1(rival: Running) -> float:
    """Milliseconds: the median of 30, one after another."""
    took = []
    async with Connection(rival.port) as connection:
        for number in range(33):
            began = time.perf_counter()
            await connection.ask("POST", "/chain")
            if number >= 3:
                took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


async def w2(rival: Running) -> float:
    """Runs a second, from 32 clients: the better of waiting for each and of waiting at the end."""
    return max(await _from_clients(rival, "/chain"), await _from_clients(rival, "/start"))


async def _from_clients(rival: Running, path: str, each: int = 10) -> float:
    async def client() -> None:
        async with Connection(rival.port) as connection:
            for _ in range(each):
                await connection.ask("POST", path)

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    async with Connection(rival.port) as connection:
        await connection.ask("POST", "/join")
    return each * _CLIENTS / (time.perf_counter() - began)


async def w3(rival: Running) -> float:
    """Steps a second of one run of 1,000."""
    async with Connection(rival.port) as connection:
        await connection.ask("POST", "/long", {"steps": 10})
        began = time.perf_counter()
        await connection.ask("POST", "/long", {"steps": 1000})
        return 1000 / (time.perf_counter() - began)


async def w4(rival: Running) -> float:
    """Seconds until 500 runs of three naps are done."""
    async with Connection(rival.port) as connection:
        await connection.ask("POST", "/chain")
        began = time.perf_counter()
        await connection.ask("POST", "/sleepers", {"runs": 500, "steps": 3, "seconds": 0.2})
        return time.perf_counter() - began


async def w6(rival: Running) -> float:
    """Megabytes that 50 appends of 1 KB to 1 MB store."""
    before = rival.stored_bytes()
    async with Connection(rival.port) as connection:
        await connection.ask("POST", "/append", {"lines": 1000, "steps": 50})
    return (rival.stored_bytes() - before) / 1e6


WORKS: dict[str, Callable[[Running], Awaitable[float]]] = {
    "w1": w1,
    "w2": w2,
    "w3": w3,
    "w4": w4,
    "w6": w6,
}


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A row: which of our figures (by the beginning of its name in `bench.runs`) it is, and what it
    should be: `least` or `most` times the best figure of those whose names begin with `than`, or
    `most` as it is."""

    work: str
    what: str
    ours: str
    unit: str
    database: str = "sqlite postgres"
    than: str = ""
    least: float | None = None
    most: float | None = None

    def verdict(self, ours: float, theirs: Mapping[str, Figure]) -> tuple[str, str]:
        """The goal in words, and what was found."""
        bound = self.least if self.least is not None else self.most
        if bound is None:
            return "-", "-"
        told = f"{'≥' if self.least is not None else '≤'} {bound:g}"
        told += f"x {self.than}" if self.than else f" {self.unit}"
        if not self.than:
            return told, "yes" if ours <= bound else "no"
        figures = [
            figure
            for name, figure in theirs.items()
            if name.startswith(self.than) and isinstance(figure, float)
        ]
        if not figures:
            return told, "-"
        ratio = ours / (max(figures) if self.least is not None else min(figures))
        met = ratio >= bound if self.least is not None else ratio <= bound
        return told, f"{ratio:.2f}x: {'yes' if met else 'no'}"


_EACH, _BATCH = r"W2 .*clients: completed", r"W2 .*batch: completed"
GOALS = (
    Goal(work="w1", what="W1 p50", ours="W1 ", unit="ms", than="DBOS", most=0.25),
    Goal(work="w2", what="W2 one request a run", ours=_EACH, unit="runs/s", than="DBOS", least=20,
         database="sqlite"),
    Goal(work="w2", what="W2 one request a run", ours=_EACH, unit="runs/s", than="DBOS", least=10,
         database="postgres"),
    Goal(work="w2", what="W2 in one batch", ours=_BATCH, unit="runs/s", than="DBOS", least=50),
    Goal(work="w3", what="W3 1,000 steps", ours="W3 ", unit="steps/s", than="DBOS", least=10,
         database="sqlite"),
    Goal(work="w3", what="W3 1,000 steps", ours="W3 ", unit="steps/s", than="LangGraph in memory",
         least=2, database="sqlite"),
    Goal(work="w3", what="W3 1,000 steps", ours="W3 ", unit="steps/s", than="DBOS", least=5,
         database="postgres"),
    Goal(work="w4", what="W4 500 runs of 3 naps", ours="W4 ", unit="s", most=1.5,
         database="sqlite"),
    Goal(work="w4", what="W4 500 runs of 3 naps", ours="W4 ", unit="s", database="postgres"),
    Goal(work="w6", what="W6 50 appends to 1 MB", ours="W6 ", unit="MB", most=3),
)  # fmt: skip


def figure_of(rival: str, database: str, work: str) -> Figure:
    """One figure, or why there is none."""
    module, environment, only = RIVALS[rival]
    try:
        with running(module, environment, only or database) as found:
            return asyncio.run(_bounded(WORKS[work], found))
    except (NotInstallable, DidNotStart) as error:
        return f"skipped: {error}"
    except TimeoutError:
        return f"> {_LIMIT_SECONDS:.0f} s"
    except RuntimeError as error:  # it answered with an error
        return "-" if "NotImplemented" in str(error) else f"failed: {str(error)[-200:]}"


async def _bounded(work: Callable[[Running], Awaitable[float]], rival: Running) -> float:
    async with asyncio.timeout(_LIMIT_SECONDS):
        return await work(rival)


def _rivals_of(database: str, work: str) -> list[str]:
    """In memory only once, and nothing is stored there."""
    return [
        name
        for name, (_, _, only) in RIVALS.items()
        if only is None or (database == "sqlite" and work != "w6")
    ]


def compare(database: str, work: str) -> list[Sequence[str]]:
    """The rows of one work on one database; one that says so when ours failed."""
    try:
        rows = runs.measure(database, [work])
    except (RuntimeError, AssertionError) as error:
        return [(work, database, f"failed: {str(error)[-200:]}", *["-"] * (len(RIVALS) + 2))]
    theirs = {}
    for rival in _rivals_of(database, work):
        print(f"{work} {database}: {rival} ...", file=sys.stderr)
        theirs[rival] = figure_of(rival, database, work)
    found: list[Sequence[str]] = []
    for goal in GOALS:
        if goal.work == work and database in goal.database:
            ours = _first_number(rows, goal.ours)
            told = [_told(theirs.get(rival)) for rival in RIVALS]
            verdict = goal.verdict(ours, theirs)
            found.append((goal.what, database, f"{ours:.1f} {goal.unit}", *told, *verdict))
    return found


def _first_number(rows: dict[str, str], name: str) -> float:
    text = next(text for what, text in rows.items() if re.match(name, what))
    number = re.search(r"[\d.]+", text)
    assert number, text
    return float(number[0])


def _told(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return figure if isinstance(figure, str) else f"{figure:.1f}"


def main(arguments: list[str]) -> int:
    """Measure, and print each row as soon as it is known."""
    databases = [name for name in DATABASES if name in arguments] or list(DATABASES)
    works = [name for name in WORKS if name in arguments] or list(WORKS)
    head = ("work", "database", "ours", *RIVALS, "goal", "found")
    _print([head, ["---"] * len(head)])
    for work in works:
        for database in databases:
            _print(compare(database, work))
    return 0


def _print(rows: Sequence[Sequence[str]]) -> None:
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
