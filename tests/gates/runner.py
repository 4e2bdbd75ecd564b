"""Runs gates one after the other, goes on after a failure, and ends with a table."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests import needs

MARKS = {"ok": "ok", "failed": "FAILED", "skipped": "skipped"}


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One check. `command` is made when its turn comes and may raise `needs.Missing`; its exit
    code decides. `live` shows the output as it comes; else it is shown when the gate fails."""

    name: str
    group: str
    command: Callable[[], Sequence[str]]
    cwd: str = "."
    env: Callable[[], Mapping[str, str]] = dict
    live: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a gate ended. `note` is the reason of a skip, or the closing line of a live gate."""

    name: str
    state: str
    seconds: float
    note: str = ""
    output: str = field(default="", repr=False)


def run(gates: Sequence[Gate], env: Mapping[str, str]) -> list[Outcome]:
    """Every gate's outcome, in order. Prints a line for each as it ends."""
    outcomes = []
    for gate in gates:
        if gate.live:
            print(f"\n--- {gate.name} ---", flush=True)
        outcome = _run_one(gate, env)
        outcomes.append(outcome)
        print(_row(outcome), flush=True)
    return outcomes


def report(outcomes: Sequence[Outcome]) -> int:
    """Prints what failed and the table of all; the exit code for the whole."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    for outcome in failed:
        if outcome.output:
            print(f"\n--- {outcome.name} ---\n{outcome.output.rstrip()}")
    print("\n" + "\n".join(map(_row, outcomes)))
    count = {state: sum(o.state == state for o in outcomes) for state in MARKS}
    total = sum(outcome.seconds for outcome in outcomes)
    print(
        f"\n{count['ok']} gates ok, {count['failed']} failed, {count['skipped']} skipped"
        f" in {total:.0f} s"
    )
    return 1 if failed else 0


def _run_one(gate: Gate, env: Mapping[str, str]) -> Outcome:
    begin = time.monotonic()
    try:
        command, extra = gate.command(), gate.env()
    except needs.Missing as missing:
        state = "failed" if needs.on_ci() else "skipped"
        seconds = time.monotonic() - begin
        return Outcome(name=gate.name, state=state, seconds=seconds, note=str(missing).strip())
    code, output = _execute(gate, command, {**env, **extra})
    return Outcome(
        name=gate.name,
        state="failed" if code else "ok",
        seconds=time.monotonic() - begin,
        note=_last_line(output) if gate.live else "",
        output="" if gate.live else output,
    )


def _execute(gate: Gate, command: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
    lines = []
    with subprocess.Popen(
        command,
        cwd=gate.cwd,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if gate.live:
                sys.stdout.write(line)
                sys.stdout.flush()
    return process.returncode, "".join(lines)


def _last_line(output: str) -> str:
    return next((line.strip("= ") for line in reversed(output.splitlines()) if line.strip()), "")


def _row(outcome: Outcome) -> str:
    note = " ".join(outcome.note.split())
    row = f"{MARKS[outcome.state]:<8} {outcome.seconds:6.1f} s  {outcome.name:<24} {note}"
    return row.rstrip()
