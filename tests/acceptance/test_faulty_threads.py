"""A worker never claims without renewing: a thread of it that fails goes on, or its process ends
and the runs are completed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes import Server, serving

LEASE = 2.0
ALWAYS = 10**6


@contextmanager
def faulty(tmp_path: Path, fault: str) -> Iterator[Server]:
    env = {
        "FASTGRAPH_APPS": "tests.acceptance.faulty",
        "FASTGRAPH_WORKERS": "2",
        "FASTGRAPH_LEASE_SECONDS": str(LEASE),
        "FAULTY": fault,
    }
    with serving(tmp_path, env=env) as server:
        yield server


@pytest.mark.parametrize("error", ["InterfaceError", "RuntimeError"])
@pytest.mark.parametrize("thread", ["heartbeat", "changes"])
def test_thread_that_fails_goes_on(tmp_path: Path, thread: str, error: str) -> None:
    with faulty(tmp_path, f"{thread} {error} 2") as server, Client(server.url) as client:
        runs = [str(client.create("waits", {"seconds": 3 * LEASE})["id"]) for _ in range(3)]
        assert {client.wait(run_id)["status"] for run_id in runs} == {"completed"}
        logged = "does not answer" if error == "InterfaceError" else f"'{thread}' failed"
        assert logged in server.log()
        assert "does not answer" not in server.log() or "answers again" in server.log()


def test_worker_whose_heartbeat_always_fails_ends(tmp_path: Path) -> None:
    with (
        faulty(tmp_path, f"heartbeat RuntimeError {ALWAYS}") as server,
        Client(server.url) as client,
    ):
        runs = [str(client.create("waits", {"seconds": 3 * LEASE})["id"]) for _ in range(3)]
        assert {client.wait(run_id)["status"] for run_id in runs} == {"completed"}
        assert "the process ends" in server.log()
