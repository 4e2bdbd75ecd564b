"""Whether history makes anything dearer: what it costs to create, claim, sweep, and commit a step
beside 1,000,000 finished runs, and beside 1,000. `python -m bench growth [sqlite|postgres] [N]`.

Both databases are there at the same time and are measured in turns, so that what else the machine
does weighs on both.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.server import DATABASES, server
from fastgraph_site.environment import BASE_DIR

FEW, MANY = 1000, 1_000_000
ROUNDS = 15
GOAL = 1.3


class Probe:
    """A process that has filled a database of its own, and measures in it when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, command: str) -> dict[str, list[float]]:
        """What it answers: microseconds by what was done."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the probe has failed"
        found: dict[str, list[float]] = json.loads(line)
        return found


@contextmanager
def probe(database: str, finished: int) -> Iterator[Probe]:
    with server(database, FASTGRAPH_LINGER_SECONDS="0") as scratch:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.growth.probe", str(finished)],
            cwd=BASE_DIR,
            env={**scratch.env, "DJANGO_SETTINGS_MODULE": "fastgraph_site.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Probe(process)
        finally:
            process.communicate()


def compare(database: str, many: int) -> list[tuple[str, float, float]]:
    """What was done, and what it costs beside few and beside many: medians, in microseconds."""
    with ExitStack() as stack:
        probes = [stack.enter_context(probe(database, number)) for number in (FEW, many)]
        for one, number in zip(probes, (FEW, many), strict=True):
            began = time.monotonic()
            one.tell("fill")
            took = time.monotonic() - began
            print(f"{database}: {number:,} finished runs in {took:.0f} s", file=sys.stderr)
        found: list[dict[str, list[float]]] = [{}, {}]
        for turn in range(ROUNDS):
            for which in (0, 1) if turn % 2 else (1, 0):
                for name, costs in probes[which].tell("measure").items():
                    found[which].setdefault(name, []).extend(costs)
    few, much = found
    return [(name, statistics.median(few[name]), statistics.median(much[name])) for name in few]


def main(arguments: list[str]) -> int:
    """Measure, and print the table."""
    databases = [name for name in DATABASES if name in arguments] or list(DATABASES)
    many = next((int(word) for word in arguments if word.isdigit()), MANY)
    lines = []
    for database in databases:
        for name, few, much in compare(database, many):
            ratio = much / few
            verdict = "yes" if ratio <= GOAL else "no"
            figures = f"{few:,.0f} | {much:,.0f} | {ratio:.2f}x"
            lines.append(f"| {name} | {database} | {figures} | ≤ {GOAL}x: {verdict} |")
    print(f"| median, µs | database | beside {FEW:,} | beside {many:,} | ratio | goal |")
    print("| --- | --- | --- | --- | --- | --- |", *lines, sep="\n")
    return 0
