"""The suite does not depend on how it was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastgraph_site.environment import BASE_DIR

IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)

#: A test that starts a program, which prints what it ignores, and that a hangup does not end.
INSIDE = """
import os, signal, subprocess, sys
import pytest

@pytest.mark.processes
def test_inside():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    os.kill(os.getpid(), signal.SIGHUP)
    program = "import signal as s; print([n for n in (1, 2, 3) if s.getsignal(n) == s.SIG_IGN])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
"""


def _ignore() -> None:
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.processes
def test_what_the_parent_ignores_is_not_ignored_by_what_tests_start(tmp_path: Path) -> None:
    """As `sh -c 'trap "" INT QUIT HUP; make test </dev/null &'` starts it."""
    (tmp_path / "test_inside.py").write_text(INSIDE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", str(tmp_path)],
        cwd=BASE_DIR,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=_ignore,
        check=False,
    )
    assert done.returncode == 0, done.stdout
