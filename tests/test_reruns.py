"""A test of real processes that fails is run again by the rules, and a broken promise never is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fastgraph_site.environment import BASE_DIR
from tests.gates import again
from tests.gates.again import judge
from tests.gates.record import Failure, Record
from tests.gates.runner import Gate, Outcome, report, run
from tests.support.promises import PromiseBroken, breaks_promise, promise

#: The first line of each: fails until the file `NAME` has as many lines as it should.
TESTS = """
import pathlib
import pytest
from tests.support.promises import promise

def fail(name, times):
    calls = pathlib.Path(name)
    with calls.open("a") as file:
        file.write("call\\n")
    assert len(calls.read_text().splitlines()) > times, f"the reason of {name}"

def test_well():
    pass
"""


@pytest.fixture(autouse=True)
def _kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "KEPT", tmp_path / "flaky")


def failed(*tests: str, broken: bool = False) -> Record:
    return Record(failures=[Failure(test=t, broken=broken, output=f"of {t}") for t in tests])


class Alone:
    """Plays the runs of single tests: how often each still fails."""

    def __init__(self, **left: int) -> None:
        self.left = left
        self.runs: list[str] = []

    def __call__(self, test: str) -> Record:
        self.runs.append(test)
        self.left[test] -= 1
        return failed(test) if self.left[test] >= 0 else Record(passed=1)


def test_a_flaky_test_is_listed_and_its_output_kept() -> None:
    alone = Alone(a=0, b=1)
    verdict = judge(failed("a", "b"), alone)
    assert (verdict.reason, list(verdict.flaky)) == (None, ["a", "b"])
    assert alone.runs == ["a", "b", "b"]
    assert again.kept("a").read_text() == "of a"
    assert again.kept("b").read_text().count("of b") == 2


def test_three_failures_in_a_row_fail_the_gate() -> None:
    alone = Alone(a=0, b=2)
    verdict = judge(failed("a", "b"), alone)
    assert verdict.reason == "b failed 3 times in a row"
    assert list(verdict.flaky) == ["a"]
    assert alone.runs == ["a", "b", "b"]


def test_a_broken_promise_is_never_run_again() -> None:
    record = failed("a")
    record.failures += failed("b", broken=True).failures
    alone = Alone()
    assert judge(record, alone).reason == "a promise is broken: b"
    assert alone.runs == []


def test_a_promise_that_breaks_when_the_test_is_run_again_fails_the_gate() -> None:
    verdict = judge(failed("a"), lambda test: failed(test, broken=True))
    assert verdict.reason == "a promise is broken: a"


@pytest.mark.parametrize(("others", "tests"), [(0, "abcd"), (1, "abc"), (3, "a")])
def test_more_than_three_flaky_tests_fail_the_run(others: int, tests: str) -> None:
    verdict = judge(failed(*tests), Alone(), others=others)
    assert verdict.reason == "4 tests failed, 3 may be flaky"


def test_a_test_that_failed_twice_in_a_run_counts_once() -> None:
    """In its call and in its teardown."""
    assert judge(failed("a", "a"), Alone(a=0)).flaky == ["a"]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (Record(errors=1), Record(passed=1)),
        (Record(passed=9), Record(passed=1)),
        (failed("a"), None),
        (failed("a"), Record(errors=1)),
        (failed("a"), Record(skipped=1)),
        (failed("a"), Record()),
    ],
)
def test_what_is_no_failure_of_a_test_fails_the_gate(first: Record, later: Record | None) -> None:
    assert judge(first, lambda test: later).reason is not None


def test_an_assertion_in_a_promise_breaks_it() -> None:
    with (
        pytest.raises(PromiseBroken, match="all are there: 1 is"),
        promise("all are there"),
    ):
        raise AssertionError("1 is")
    with pytest.raises(OSError), promise("nothing is lost"):
        raise OSError("the machine is slow")


@pytest.mark.parametrize(
    "wrap",
    [lambda e: e, lambda e: ExceptionGroup("", [OSError(), e])],
    ids=["alone", "in a group"],
)
def test_a_broken_promise_is_seen_inside_other_errors(
    wrap: Callable[[Exception], Exception],
) -> None:
    error = OSError()
    error.__context__ = wrap(PromiseBroken("lost"))
    assert breaks_promise(error)
    assert not breaks_promise(AssertionError("no promise"))


def gate(folder: Path, tests: str) -> Gate:
    """pytest in a folder of its own, as the gate of the second tier runs it."""
    (folder / "test_it.py").write_text(TESTS + tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return Gate(
        name="processes",
        group="processes",
        command=lambda: [sys.executable, "-m", "pytest", "-q", *WITH_XDIST],
        cwd=str(folder),
        live=True,
        recorded=True,
        again=True,
    )


WITH_XDIST = ("-p", "xdist", "-n", "2")


def environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": str(BASE_DIR), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def calls(folder: Path, name: str) -> int:
    path = folder / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def run_gate(folder: Path, tests: str) -> Outcome:
    (outcome,) = run([gate(folder, tests)], environment())
    return outcome


@pytest.mark.processes
def test_the_table_lists_what_was_flaky(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_gate(tmp_path, "\ndef test_shaky():\n    fail('shaky', 1)\n")
    assert (outcome.state, list(outcome.flaky)) == ("ok", ["test_it.py::test_shaky"])
    assert calls(tmp_path, "shaky") == 2
    assert "the reason of shaky" in again.kept("test_it.py::test_shaky").read_text()
    assert report([outcome], 1.0) == 0
    table = capsys.readouterr().out.rpartition(" gate ")[2]
    assert f"see {again.kept('test_it.py::test_shaky')}" in table


@pytest.mark.processes
def test_a_promise_that_breaks_in_a_worker_of_xdist_is_not_run_again(tmp_path: Path) -> None:
    broken = "\ndef test_loses():\n    with promise('nothing is lost'):\n        fail('loses', 1)\n"
    outcome = run_gate(tmp_path, broken)
    assert outcome.state == "failed"
    assert outcome.note == "a promise is broken: test_it.py::test_loses"
    assert calls(tmp_path, "loses") == 1


@pytest.mark.processes
def test_a_test_that_always_fails_is_run_three_times(tmp_path: Path) -> None:
    outcome = run_gate(tmp_path, "\ndef test_bad():\n    fail('bad', 99)\n")
    assert (outcome.state, calls(tmp_path, "bad")) == ("failed", 3)
