"""The tiers are kept apart: a test of the first starts no process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastgraph_site.environment import BASE_DIR

TESTS = """
import os, subprocess, sys
import pytest

COMMAND = [sys.executable, "-c", ""]

def test_starts():
    subprocess.run(COMMAND)

def test_forks():
    if os.fork() == 0:
        os._exit(0)

@pytest.fixture
def program():
    subprocess.run(COMMAND)

def test_whose_fixture_starts(program):
    pass

@pytest.fixture(scope="session")
def shared():
    subprocess.run(COMMAND)

def test_whose_session_has_started(shared):
    pass

@pytest.mark.processes
def test_that_says_so(program):
    subprocess.run(COMMAND)

@pytest.mark.django_db
def test_of_rows():
    pass

def test_of_more_rows(db):
    pass

@pytest.fixture
def db():
    pass
"""


def run(folder: Path, *arguments: str) -> str:
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    processes\n    django_db\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-q", "-p", "tests.support.tiers", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(BASE_DIR), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.processes
def test_the_start_of_a_process_in_the_first_tier_is_an_error(tmp_path: Path) -> None:
    printed = run(tmp_path, "-k", "not rows")
    for name in ("starts", "forks"):
        assert f"FAILED test_it.py::test_{name} - " in printed
    assert "ERROR test_it.py::test_whose_fixture_starts" in printed
    assert printed.count("ProcessStarted: ") >= 3
    for name in ("whose_session_has_started", "that_says_so"):
        assert f"PASSED test_it.py::test_{name}" in printed


@pytest.mark.processes
def test_only_what_touches_the_database_runs_on_another_one(tmp_path: Path) -> None:
    printed = run(tmp_path, "--only-database")
    assert "PASSED test_it.py::test_of_rows" in printed
    assert "PASSED test_it.py::test_of_more_rows" in printed
    assert "2 passed" in printed
