"""What the README tells its readers to type does what it says, on a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from fastgraph_site.environment import BASE_DIR
from tests.support.client import Client
from tests.support.processes import Server
from tests.support.readme import block

SIDES = "The same run from four sides"
OWN = "Your own workflow in five minutes"


def _shell(script: str, server: Server, cwd: Path) -> str:
    """What `script` prints, with this server's address and Python in the place of the README's."""
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    script = script.replace(".venv/bin/python", sys.executable).replace("cd /tmp ", f"cd {cwd} ")
    # The WebSocket client is interactive: it leaves at the end of its input, so keep that open.
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=cwd,
            env=server.env,
            stdin=reading,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_lines_show_one_run_from_start_to_download(
    server: Server, client: Client, tmp_path: Path
) -> None:
    printed = _shell(block(SIDES, "sh"), server, tmp_path)
    assert '"event":"completed"' in printed.replace(" ", "")
    (newest,) = client.get("/api/runs/?page_size=1")["results"]
    assert newest["name"] == "Test Run"
    assert newest["run_id"] in printed
    (downloaded,) = tmp_path.iterdir()
    assert downloaded.read_bytes() == client.artifacts(newest["run_id"])[downloaded.name]


def test_a_workflow_of_ones_own_runs_after_a_restart(own_server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "apps"
    folder.mkdir()
    make_app = block(OWN, "sh").splitlines()[0]
    _shell(make_app, own_server, folder)
    (folder / "greetings" / "workflows.py").write_text(block(OWN, "python"))

    own_server.stop()
    own_server.env |= {"FASTGRAPH_APPS": "greetings", "PYTHONPATH": str(folder)}
    own_server.start()
    follow = block(OWN, "sh", 1).replace("manage.py", f"{BASE_DIR}/manage.py")
    assert "completed" in _shell(follow, own_server, folder)
    with Client(own_server.url) as client:
        schema = client.get("/api/workflows/greetings")["input_schema"]
        assert (list(schema["properties"]), schema["required"]) == (["input"], ["input"])
        (run,) = client.get("/api/runs/?workflow=greetings")["results"]
        assert (
            client.artifacts(run["run_id"])["letter.md"]
            == b"Hello, world.\nHave a good day, world."
        )
        assert json.loads(client.artifacts(run["run_id"])["result.json"])
