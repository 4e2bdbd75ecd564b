"""Runs gates, goes on after a failure, and ends with one table.

Gates of one stage run at the same time, in lanes; the gates of one lane one after the other.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path

from tests.gates import again, record
from tests.support import needs

MARKS = {"ok": "ok", "failed": "FAILED", "skipped": "skipped"}
HEAD = f"{'':<8} {'gate':<26} {'tests':>6} {'seconds':>8} {'flaky':>6}"

_printing = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One check. `command` is made when its turn comes and may raise `needs.Missing`; its exit
    code decides. `live` shows the output as it comes; else it is shown when the gate fails.

    `recorded`: the command is pytest, whose tests are counted. `again`: those that fail are run
    again by the rules of `tests.gates.again`.
    """

    name: str
    group: str
    command: Callable[[], Sequence[str]]
    stage: str = ""
    lane: str = ""
    cwd: str = "."
    env: Callable[[], Mapping[str, str]] = dict
    live: bool = False
    recorded: bool = False
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a gate ended. `note` is the reason of a skip or a failure, or the closing line of a live
    gate; `record` what its tests did, if it is pytest."""

    name: str
    state: str
    seconds: float
    note: str = ""
    output: str = field(default="", repr=False)
    record: record.Record | None = field(default=None, repr=False)
    flaky: Sequence[str] = ()


def run(gates: Sequence[Gate], env: Mapping[str, str]) -> list[Outcome]:
    """Every gate's outcome, in order. Prints a line for each as it ends."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="fastgraph-records-") as folder:
        for _, stage in groupby(gates, key=lambda gate: gate.stage):
            together = list(stage)
            ended = _run_stage(together, env, Path(folder))
            for gate, outcome in zip(together, ended, strict=True):
                if gate.again and outcome.state == "failed":
                    flaky = sum(len(earlier.flaky) for earlier in outcomes)
                    outcome = _run_again(gate, outcome, env, Path(folder), flaky)
                outcomes.append(outcome)
    return outcomes


def report(outcomes: Sequence[Outcome], seconds: float) -> int:
    """Prints what failed and the table of all; the exit code for the whole. `seconds` is what all
    of it took."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    for outcome in failed:
        if outcome.output:
            print(f"\n--- {outcome.name} ---\n{outcome.output.rstrip()}")
    print("\n" + "\n".join([HEAD, *map(_row, outcomes)]))
    for outcome in outcomes:
        for test in outcome.flaky:
            print(f"flaky: {outcome.name}: {test}, see {again.kept(test)}")
    count = {state: sum(o.state == state for o in outcomes) for state in MARKS}
    print(
        f"\n{count['ok']} gates ok, {count['failed']} failed, {count['skipped']} skipped"
        f" in {seconds:.0f} s"
    )
    return 1 if failed else 0


def _run_stage(gates: Sequence[Gate], env: Mapping[str, str], folder: Path) -> list[Outcome]:
    lanes: dict[str, list[Gate]] = {}
    for gate in gates:
        lanes.setdefault(gate.lane, []).append(gate)

    def run_lane(lane: Iterable[Gate]) -> list[Outcome]:
        return [_run_one(gate, env, folder, several=len(lanes) > 1) for gate in lane]

    with ThreadPoolExecutor(len(lanes)) as pool:
        ended = {outcome.name: outcome for outcome in chain(*pool.map(run_lane, lanes.values()))}
    return [ended[gate.name] for gate in gates]


def _run_one(gate: Gate, env: Mapping[str, str], folder: Path, *, several: bool) -> Outcome:
    begin = time.monotonic()
    _print(f"\n--- {gate.name} ---" if gate.live else "")
    try:
        command, extra = gate.command(), gate.env()
    except needs.Missing as missing:
        state, note, output, found = "skipped", str(missing).strip(), "", None
        if needs.on_ci():
            state = "failed"
    else:
        path = folder / f"{gate.name}.json"
        command = [*command, *_recording(path)] if gate.recorded else command
        shown = (f"{gate.name} | " if several else "") if gate.live else None
        code, output = _execute(command, gate.cwd, {**env, **extra}, shown)
        state = "failed" if code else "ok"
        note = _last_line(output) if gate.live else ""
        found = record.read(path)
        output = "" if gate.live else output
    outcome = Outcome(
        name=gate.name,
        state=state,
        seconds=time.monotonic() - begin,
        note=note,
        output=output,
        record=found,
    )
    _print(_row(outcome))
    return outcome


def _run_again(
    gate: Gate, outcome: Outcome, env: Mapping[str, str], folder: Path, flaky: int
) -> Outcome:
    """The outcome after the tests that failed were run again, each alone."""
    if outcome.record is None:
        return outcome
    begin = time.monotonic()
    whole = {**env, **gate.env()}

    def alone(test: str) -> record.Record | None:
        path = folder / "alone.json"
        path.unlink(missing_ok=True)
        _print(f"\n--- {gate.name}: {test}, again and alone ---")
        command = [sys.executable, "-m", "pytest", test, *_recording(path)]
        _execute(command, gate.cwd, whole, "")
        return record.read(path)

    verdict = again.judge(outcome.record, alone, others=flaky)
    return replace(
        outcome,
        state="failed" if verdict.reason else "ok",
        note=verdict.reason or outcome.note,
        seconds=outcome.seconds + time.monotonic() - begin,
        flaky=verdict.flaky,
    )


def _recording(path: Path) -> list[str]:
    return ["-p", "tests.gates.record", "--record", str(path)]


def _execute(
    command: Sequence[str], cwd: str, env: Mapping[str, str], shown: str | None
) -> tuple[int, str]:
    """The exit code and the output, which is shown as it comes behind the prefix `shown`."""
    lines = []
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if shown is not None:
                _print(shown + line.rstrip("\n"))
    return process.returncode, "".join(lines)


def _print(line: str) -> None:
    if line:
        with _printing:
            print(line, flush=True)


def _last_line(output: str) -> str:
    return next((line.strip("= ") for line in reversed(output.splitlines()) if line.strip()), "")


def _row(outcome: Outcome) -> str:
    note = " ".join(outcome.note.split())
    tests = "" if outcome.record is None else f"{outcome.record.tests:,}"
    flaky = str(len(outcome.flaky) or "")
    head = f"{MARKS[outcome.state]:<8} {outcome.name:<26}"
    return f"{head} {tests:>6} {outcome.seconds:8.1f} {flaky:>6}  {note}".rstrip()
