"""A node that blocks its worker's event loop holds up no other run for long, and is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

#: How long the loop is blocked: longer than all that is waited for meanwhile, also under load.
BLOCKED = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    env = {"FASTGRAPH_APPS": "tests.acceptance.standing", "FASTGRAPH_NODE_THREADS": "2"}
    with serving(tmp_path, env=env) as server:
        yield server


def started(client: Client, workflow: str, seconds: float) -> str:
    """A run whose node has begun."""
    run_id = str(client.create(workflow, {"seconds": seconds})["id"])
    wait_until(
        f"{workflow} has begun",
        lambda: any(event["event"] == "node_started" for event in client.events(run_id)),
    )
    return run_id


def why(client: Client, run_id: str) -> dict[str, str]:
    causes: list[dict[str, Any]] = client.get(f"/api/runs/{run_id}/why")["causes"]
    return {cause["code"]: cause["detail"] for cause in causes}


def test_runs_beside_a_blocked_event_loop_go_on_elsewhere(server: Server) -> None:
    with Client(server.url) as client:
        beside = started(client, "waits", 4.0)
        culprit = started(client, "block", BLOCKED)
        later = str(client.create("waits", {"seconds": 0.1})["id"])
        wait_until("health says so", lambda: client.get("/api/health/")["status"] == "degraded")
        detail = client.get("/api/health/")["checks"]["workers"]["detail"]
        assert f"Node 'block' of run {culprit}" in detail
        assert "in block)" in detail
        assert "Node 'block'" in why(client, culprit)["loop_stands_still"]
        for run_id in (beside, later):
            run = client.wait(run_id)
            assert run["status"] == "completed"
        assert client.run(culprit)["status"] == "running"
        log = server.log()
        assert "has kept the event loop of worker" in log
        assert "time.sleep(state" in log  # the stack


def test_a_blocked_loop_that_goes_on_ends_its_run_and_is_forgotten(server: Server) -> None:
    with Client(server.url) as client:
        beside = started(client, "waits", 1.0)
        culprit = started(client, "block", 12.0)
        for run_id in (beside, culprit):
            run = client.wait(run_id)
            assert run["status"] == "completed"
        wait_until("health is ok", lambda: client.get("/api/health/")["status"] == "ok")
        again = client.wait(str(client.create("waits", {"seconds": 0.1})["id"]))
        assert again["status"] == "completed"


def test_threads_that_are_all_taken_are_named(server: Server) -> None:
    with Client(server.url) as client:
        sitting = [started(client, "sit", BLOCKED) for _ in range(2)]
        waiting = started(client, "sit", 0.1)
        wait_until("health says so", lambda: client.get("/api/health/")["status"] == "degraded")
        detail = client.get("/api/health/")["checks"]["workers"]["detail"]
        assert "All 2 threads" in detail
        assert "'sit' (2)" in detail
        found = why(client, waiting)
        assert list(found) == ["threads_full", "waits_for_thread"]
        assert "'sit' (2)" in found["threads_full"]
        for run_id in sitting:
            assert list(why(client, run_id)) == ["node_running"], "they have a thread"
