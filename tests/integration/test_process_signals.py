"""What nodes and the sentinel meet in processes that are not theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from runs.process import process_tree

_SYSTEM = """
import os, signal
from runs.process import node_processes
node_processes.install()
status = os.system("kill -INT $PPID; kill -QUIT $PPID; kill -INT $$; exit 3")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGQUIT) == signal.SIG_DFL
print(status)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError, ProcessLookupError, OSError])
def test_process_that_cannot_be_read_counts_as_none(error: type[OSError]) -> None:
    with mock.patch.object(Path, "read_text", side_effect=error):
        assert process_tree.find(os.getpid()) is None
        assert process_tree.children(os.getpid()) == []


@pytest.mark.processes
def test_os_system_of_a_worker_leaves_interrupts_to_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SYSTEM], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr
