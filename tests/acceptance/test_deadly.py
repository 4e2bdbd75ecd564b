"""A run that kills its worker again and again fails, and its neighbours do not notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with one worker and workflows that kill it."""
    with serving(tmp_path, env={"FASTGRAPH_APPS": "tests.acceptance.deadly"}) as server:
        yield server


def test_its_neighbours_complete(server: Server, tmp_path: Path) -> None:
    """Two runs that were hit along with it are suspects, too, and one of those takes its time: what
    was never hit goes on meanwhile, and so does what is created."""
    with Client(server.url) as client:
        late = tmp_path / "late"
        patient = client.create("patient", {"path": str(late)})["id"]
        other = client.create("patient", {"path": str(tmp_path)})["id"]
        deadly = client.create("deadly")["id"]
        wait_until("it has killed twice", lambda: client.run(deadly)["attempt"] >= 2, 60)
        wait_until("the one before it is executed apart", lambda: attempt(client, patient) >= 3, 60)
        new = client.create("steps", {"steps": 3, "seconds": 0})["id"]
        assert client.wait(new)["status"] == "completed"
        assert client.run(patient)["status"] == "running"
        assert client.run(deadly)["status"] == "pending"
        causes = client.get(f"/api/runs/{deadly}/why")["causes"]
        assert [cause["code"] for cause in causes] == ["worker_lost", "apart"]
        late.touch()
        assert client.wait(patient)["status"] == "completed"
        failed = client.wait(deadly)
        assert (failed["status"], failed["error"]["type"]) == ("failed", "CrashedTooOften")
        assert "3 times in a row the worker" in failed["error"]["message"]
        assert client.wait(other)["status"] == "completed"


def attempt(client: Client, run_id: str) -> int:
    return int(client.run(run_id)["attempt"])
