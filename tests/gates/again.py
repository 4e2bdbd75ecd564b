"""The rules for a test of real processes that failed.

A broken promise fails the gate, and nothing is run again. Any other failure is run again alone, up
to twice. A test that passes then is *flaky*: it is listed, and what it printed is kept. Three
failures in a row fail the gate, and so do more than three flaky tests in a run of all gates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastgraph_site.environment import BASE_DIR
from tests.gates.record import Record

TIMES = 2  # how often a failed test is run again
MOST_FLAKY = 3  # in a run of all gates
KEPT = BASE_DIR / ".flaky"  # ignored by git; emptied when the gates start

#: Runs one test alone, and tells how it ended.
RunAlone = Callable[[str], Record | None]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the rules say of a run: `reason` is why the gate fails; None when it does not."""

    reason: str | None = None
    flaky: Sequence[str] = ()


def judge(record: Record, alone: RunAlone, *, others: int = 0) -> Verdict:
    """Applies the rules to a run that had failures. `others` is how many tests were flaky in the
    gates before."""
    if record.errors or not record.failures:
        return Verdict(reason="pytest failed outside its tests")
    if broken := [failure.test for failure in record.failures if failure.broken]:
        return Verdict(reason=f"a promise is broken: {', '.join(broken)}")
    failed = list(dict.fromkeys(failure.test for failure in record.failures))
    if others + len(failed) > MOST_FLAKY:  # however they would end
        return Verdict(reason=f"{others + len(failed)} tests failed, {MOST_FLAKY} may be flaky")
    for number, test in enumerate(failed):
        outputs = [f.output for f in record.failures if f.test == test]
        if reason := _run_again(test, outputs, alone):
            return Verdict(reason=reason, flaky=failed[:number])
    return Verdict(flaky=failed)


def _run_again(test: str, outputs: list[str], alone: RunAlone) -> str | None:
    """None when it passes; why the gate fails otherwise."""
    for _ in range(TIMES):
        record = alone(test)
        _keep(test, outputs)
        if record is None or record.errors:
            return f"{test} could not be run again"
        if not record.failures:
            return None if record.passed else f"{test} was skipped when it was run again"
        outputs += [failure.output for failure in record.failures]
        _keep(test, outputs)
        if any(failure.broken for failure in record.failures):
            return f"a promise is broken: {test}"
    return f"{test} failed {1 + TIMES} times in a row"


def kept(test: str) -> Path:
    """The file with what a flaky test printed when it failed."""
    return KEPT / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', test.removeprefix('tests/'))[-150:]}.log"


def _keep(test: str, outputs: Sequence[str]) -> None:
    KEPT.mkdir(exist_ok=True)
    kept(test).write_text("\n\n=== the next failure ===\n\n".join(outputs))
