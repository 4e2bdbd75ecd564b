"""`scripts/setup` does nothing twice, and says in a sentence what a machine lacks.

Python is played by a shell script that records how it was called, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fastgraph_site.environment import BASE_DIR

pytestmark = pytest.mark.any_database

TOOLS = ("cat", "cksum", "cp", "dirname", "mkdir", "sh", "tr")
PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    *sys.version_info*) exit {fits} ;;
    *ensurepip*) exit {has_venv} ;;
    "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with the script and two requirements files, and a PATH of its own."""
    for folder in ("scripts", "tests", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(BASE_DIR / "scripts" / "setup", tmp_path / "scripts")
    (tmp_path / "requirements.txt").write_text("django\n")
    (tmp_path / "tests" / "requirements.txt").write_text("pytest\n")
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def _python(project: Path, *, fits: bool = True, has_venv: bool = True) -> None:
    script = project / "bin" / "python3"
    script.write_text(PYTHON.format(fits=int(not fits), has_venv=int(not has_venv)))
    script.chmod(0o755)


def _setup(project: Path, wanted: str = "requirements.txt") -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(project / "bin"), "CALLS": str(project / "calls")}
    return subprocess.run(
        [project / "scripts" / "setup", wanted], env=env, capture_output=True, text=True
    )


def _installed(project: Path) -> list[str]:
    calls = (project / "calls").read_text().splitlines()
    return [call.split(" -r ")[1] for call in calls if "pip install" in call]


def test_a_second_call_installs_nothing(project: Path) -> None:
    _python(project)
    assert _setup(project).returncode == 0
    assert _setup(project).returncode == 0
    assert _installed(project) == ["requirements.txt"]


def test_changed_requirements_are_installed_and_touched_ones_are_not(project: Path) -> None:
    _python(project)
    _setup(project)
    os.utime(project / "requirements.txt")
    _setup(project)
    assert _installed(project) == ["requirements.txt"]
    (project / "requirements.txt").write_text("django\nchannels\n")
    _setup(project)
    assert _installed(project) == ["requirements.txt"] * 2


def test_what_the_tests_need_includes_what_the_server_needs(project: Path) -> None:
    _python(project)
    _setup(project, "tests/requirements.txt")
    _setup(project)
    assert _installed(project) == ["tests/requirements.txt"]


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        (None, "Python 3.11 or newer is needed"),
        ({"fits": False}, "Python 3.11 or newer is needed"),
        ({"has_venv": False}, "apt-get install python3-venv"),
    ],
)
def test_what_is_lacking_is_said_in_a_sentence(
    project: Path, python: dict[str, bool] | None, sentence: str
) -> None:
    if python is not None:
        _python(project, **python)
    done = _setup(project)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not (project / ".venv").exists()
