"""The commands against a real server: what a person types on a new installation."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from fastgraph_site.environment import BASE_DIR
from tests.support.processes import Server


def test_smoke_carries_a_run_all_the_way(server: Server) -> None:
    done = server.manage("smoke", "--url", server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# Text report" in done.stdout and "All of it works." in done.stdout


def test_a_run_is_followed_to_its_end_by_another_process(server: Server) -> None:
    payload = json.dumps({"steps": 3, "seconds": 0.05, "fail_at": 3})
    done = server.manage("run_workflow", "steps", "--payload", payload, "--follow")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""  # workers are there, and nobody says otherwise
    assert done.stdout.count("node_update") == 2
    events, _, error = done.stdout.partition("\n\n")
    assert " failed " in events.splitlines()[-1]
    assert error.startswith("Traceback") and "Step 3 fails" in error.splitlines()[-1]


def test_ctrl_c_leaves_the_run_alone(server: Server) -> None:
    payload = json.dumps({"steps": 20, "seconds": 0.1})
    following = subprocess.Popen(
        [sys.executable, "manage.py", "run_workflow", "steps", "--payload", payload, "--follow"],
        cwd=BASE_DIR, env=server.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert following.stdout is not None
    run_id = following.stdout.readline().strip()
    while "started" not in following.stdout.readline():
        assert following.poll() is None
    following.send_signal(signal.SIGINT)
    _, said = following.communicate(timeout=30)
    assert following.returncode == 130
    assert "the run goes on" in said and "Traceback" not in said
    done = server.manage("follow", run_id)
    assert done.returncode == 0 and "completed" in done.stdout.splitlines()[-1]
