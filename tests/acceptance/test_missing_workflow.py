"""A server that lacks a workflow leaves its runs to one that has it, and is not kept awake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.databases import own_database
from tests.support.processes import Server, wait_until

APP = "tests.acceptance.deadly"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers on one database: the first lacks the app, the second has it."""
    with own_database() as own:
        url = own or f"sqlite:///{tmp_path / 'shared.sqlite3'}"
        both = [
            Server(
                tmp_path / name,
                {"DATABASE_URL": url, "FASTGRAPH_APPS": app, "FASTGRAPH_LINGER_SECONDS": "0.2"},
            )
            for name, app in (("without", ""), ("with", APP))
        ]
        try:
            both[1].provide_tables()
            yield both[0], both[1]
        finally:
            for server in both:
                server.close()


def test_runs_of_a_removed_app_wait_until_it_is_there_again(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    without, with_it = servers
    with_it.start()
    go_on = tmp_path / "go on"
    with Client(with_it.url) as client:
        running = client.create("patient", {"path": str(go_on)})["id"]
        wait_until("it runs", lambda: client.run(running)["status"] == "running")
        paused = client.create("patient", {"path": str(go_on)})["id"]
    with_it.stop()

    without.start()
    with Client(without.url) as client:
        for run_id in (running, paused):
            wait_until("it waits", lambda: client.run(run_id)["status"] == "pending")  # noqa: B023
        wait_until("why says so", lambda: "workflow_missing" in codes(client, running))
        wait_until("no worker is awake", lambda: asleep(client))
        before = client.create("steps", {"steps": 1, "seconds": 0})["id"]
        assert client.wait(before)["status"] == "completed"
        assert client.run(running)["status"] == "pending"
        assert "Runs of workflow 'patient' wait" in without.log()

        # And beside it, one that has it.
        go_on.touch()
        with_it.start()
        for run_id in (running, paused):
            assert client.wait(run_id)["status"] == "completed"
    with Client(with_it.url) as client:
        many = [client.create("patient", {"path": str(go_on)})["id"] for _ in range(5)]
        for run_id in many:
            assert client.wait(run_id)["status"] == "completed"


def codes(client: Client, run_id: str) -> list[str]:
    return [cause["code"] for cause in client.get(f"/api/runs/{run_id}/why")["causes"]]


def asleep(client: Client) -> bool:
    workers = client.get("/api/workers/")["results"]
    return bool(workers) and not any(worker["awake"] for worker in workers)
