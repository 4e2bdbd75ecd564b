"""The runner of the gates goes on after a failure, and never calls a skip or a failure fine."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.gates.__main__ import chosen, environment
from tests.gates.runner import Gate, Outcome, report, run
from tests.support import needs


def _gate(name: str, program: str, *, live: bool = False) -> Gate:
    return Gate(name=name, group="a", command=lambda: (sys.executable, "-c", program), live=live)


def _missing() -> Sequence[str]:
    raise needs.Missing("no such thing here")


def _states(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


@pytest.mark.processes
def test_it_goes_on_after_a_failure_and_shows_its_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gates = [_gate("bad", "print('the reason'); raise SystemExit(3)"), _gate("good", "pass")]
    outcomes = run(gates, os.environ)
    assert _states(outcomes) == ["failed", "ok"]
    assert report(outcomes, 1.0) == 1
    assert "the reason" in capsys.readouterr().out


@pytest.mark.processes
def test_all_well_is_zero() -> None:
    assert report(run([_gate("good", "pass")], os.environ), 1.0) == 0


@pytest.mark.processes
def test_a_live_gate_keeps_its_closing_line() -> None:
    (outcome,) = run([_gate("pytest", "print('x'); print('== 3 passed ==')", live=True)], {})
    assert outcome.note == "3 passed"


@pytest.mark.parametrize(("ci", "state"), [("", "skipped"), ("true", "failed")])
def test_what_is_missing_is_skipped_here_and_fails_on_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, state: str
) -> None:
    monkeypatch.setenv("CI", ci)
    (outcome,) = run([Gate(name="needy", group="a", command=_missing)], os.environ)
    assert (outcome.state, outcome.note) == (state, "no such thing here")


def test_the_gates_on_sqlite_are_on_sqlite_whatever_the_developer_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somebody@192.0.2.1/precious")
    assert environment("/data")["DATABASE_URL"] == ""
    assert environment("/data")["FASTGRAPH_DATA_DIR"] == "/data"


@pytest.mark.processes
def test_lanes_of_a_stage_run_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the file of the other."""
    meet = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.touch()
while not other.exists():
    time.sleep(0.01)
"""
    names = [str(tmp_path / name) for name in ("a", "b")]
    gates = [
        Gate(
            name=mine,
            group="a",
            stage="one",
            lane=mine,
            command=partial(list, [sys.executable, "-c", meet, mine, other]),
        )
        for mine, other in (names, names[::-1])
    ]
    assert _states(run(gates, os.environ)) == ["ok", "ok"]


@pytest.mark.processes  # git says what the tree is
def test_groups_and_names_pick_gates() -> None:
    assert {gate.group for gate in chosen(["lint"])} == {"lint"}
    assert [gate.name for gate in chosen(["mypy"])] == ["mypy"]
    assert {gate.group for gate in chosen(["pytest"])} == {"deterministic", "processes", "pytest"}
    assert chosen(["nothing"]) == []
    assert {gate.group for gate in chosen([])} >= {"lint", "frontend", "deterministic"}
