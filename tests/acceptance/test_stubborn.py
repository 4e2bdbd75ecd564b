"""A node that takes no notice of its cancellation costs its worker process, and no other run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_main_job import assert_as_if_nothing_happened, begin, named
from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="finds processes by their names in /proc"
)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Server]:
    """A server that waits a second for a node to stop."""
    env = {"FASTGRAPH_APPS": "tests.acceptance.stubborn", "FASTGRAPH_CANCEL_SECONDS": "1"}
    with serving(tmp_path, env=env) as server:
        yield server


def holder(client: Client) -> int | None:
    """The process that executes runs, if one does."""
    found = [w["pid"] for w in client.get("/api/workers/")["results"] if w["in_flight"]]
    return int(found[0]) if found else None


@pytest.mark.parametrize("how", ["swallows", "blocks", "sync"])
def test_its_worker_is_replaced_and_the_others_go_on(strict: Server, how: str) -> None:
    with Client(strict.url) as client:
        other = begin(client)
        run_id = client.create("stubborn", {"how": how})["id"]
        wait_until(
            "the node is at it",
            lambda: any(event["event"] == "node_started" for event in client.events(run_id)),
        )
        before = holder(client)
        assert before in named(strict, "fg:worker")
        answer = client.http.post(f"/api/runs/{run_id}/cancel", json={"reason": "enough"})
        assert answer.status_code in (200, 202)
        assert client.wait(run_id)["status"] == "cancelled"
        wait_until("its worker is gone", lambda: before not in named(strict, "fg:worker"))
        assert_as_if_nothing_happened(client, other)
        events = client.events(run_id)
        assert events[-1]["event"] == "cancelled"
        assert client.run(run_id)["seq"] == len(events)  # and nothing came after it
    assert "does not stop; its worker is replaced" in strict.log()
