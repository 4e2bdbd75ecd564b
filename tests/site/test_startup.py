"""A mistake in the settings or in a workflow is one sentence and code 2: nothing is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastgraph_site.checks import settings_are_known
from fastgraph_site.environment import BASE_DIR


def _check(tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    own = {"PYTHONPATH": str(tmp_path), "FASTGRAPH_DATA_DIR": str(tmp_path / "data"), **env}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE_DIR, env=inherited | own, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "abc", "PORT should be a whole number"),
        ("FASTGRAPH_APPS", "no_such_app", "FASTGRAPH_APPS names 'no_such_app'"),
        ("FASTGRAPH_DATA_DIR", f"{__file__}/data", "FASTGRAPH_DATA_DIR"),
        ("DATABASE_URL", "postgres://u@h/db?pool=true", "DATABASE_URL asks for a pool"),
    ],
    ids=["kind", "app", "folder", "pool"],
)
def test_a_setting_that_cannot_be_is_one_sentence(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    done = _check(tmp_path, **{name: value})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1\ny = (\n", ["SyntaxError: '(' was never closed", "line 2", "y = ("]),
        (
            "from runs.engine import StateGraph\nStateGraph(3)\n",
            ["3 is not a state", "line 2", "StateGraph(3)"],
        ),
    ],
    ids=["syntax", "raises"],
)
def test_a_workflow_module_that_fails_is_named_with_its_line(
    tmp_path: Path, source: str, says: list[str]
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").touch()
    (tmp_path / "broken" / "workflows.py").write_text(source)
    done = _check(tmp_path, FASTGRAPH_APPS="broken")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for part in ["broken.workflows cannot be loaded", *says]:
        assert part in done.stderr


def test_a_setting_that_nobody_reads_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_are_known() == []
    monkeypatch.setenv("FASTGRAPH_WORKRS", "2")
    (warning,) = settings_are_known()
    assert "FASTGRAPH_WORKRS" in warning.msg
    assert warning.hint == "Is FASTGRAPH_WORKERS meant?"
