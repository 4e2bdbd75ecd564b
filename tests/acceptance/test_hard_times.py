"""Frozen workers, workers that race, and databases that go away: nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from tests.acceptance.test_main_job import assert_as_if_nothing_happened, begin, named, story
from tests.support.client import Client
from tests.support.processes import Server, wait_until
from tests.support.promises import promise

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="finds processes by their names in /proc"
)


def busy_worker(server: Server, client: Client) -> int:
    (worker,) = (w for w in client.get("/api/workers/")["results"] if w["in_flight"])
    assert worker["pid"] in named(server, "fg:worker")
    return int(worker["pid"])


def test_a_frozen_worker_changes_nothing(pair: Server) -> None:
    """Stopped for longer than its lease: another one takes the run; when it goes on, it is too
    late for everything that it still had in hand. If it held the lock of SQLite it does not go on:
    the sweep has ended it."""
    with Client(pair.url) as client:
        run_id = begin(client)
        frozen = busy_worker(pair, client)
        os.kill(frozen, signal.SIGSTOP)
        try:
            wait_until("another attempt begins", lambda: client.run(run_id)["attempt"] > 1)
        finally:
            with suppress(ProcessLookupError):
                os.kill(frozen, signal.SIGCONT)
        assert_as_if_nothing_happened(client, run_id)
        events = client.events(run_id)
        ended = f"Worker {frozen} is frozen"
        wait_until("it has left", lambda: "Attempt 1" in pair.log() or ended in pair.log())
        with promise("a late writer changes nothing"):
            assert client.events(run_id) == events


@pytest.mark.parametrize("number", [200, pytest.param(1000, marks=pytest.mark.soak)])
def test_pair_race_for_many_runs(pair: Server, number: int) -> None:
    with Client(pair.url) as client:
        assert_each_is_executed_once(client, create_many(client, number))


def create_many(client: Client, number: int) -> list[str]:
    body = {"workflow": "steps", "payload": {"steps": 2, "seconds": 0}}
    answer = client.http.post("/api/runs/batch", json=[body] * number, timeout=60)
    assert answer.status_code == 201, answer.text
    return [run["id"] for run in answer.json()["results"]]


def assert_each_is_executed_once(client: Client, run_ids: list[str]) -> None:
    wait_until("all have ended", lambda: not any(client.get("/api/health")["runs"].values()), 90)
    seen: dict[str, dict[str, Any]] = {}
    page = client.get("/api/runs/?page_size=100")
    while True:
        seen |= {run["id"]: run for run in page["results"]}
        if page["next"] is None:
            break
        page = client.get(page["next"])
    with promise("each run is executed, and once"):
        assert set(run_ids) <= set(seen)
        states = Counter((seen[run_id]["status"], seen[run_id]["step"]) for run_id in run_ids)
        assert states == {("completed", 2): len(run_ids)}
        # created, started, checkpoint; two steps of three events; result and end
        assert min(seen[run_id]["seq"] for run_id in run_ids) == 11
        for run_id in run_ids:
            if seen[run_id]["seq"] != 11:  # a worker was late, and another attempt began
                assert story(client.events(run_id)) == story(client.events(run_ids[0]))


@pytest.mark.postgres
def test_postgres_connections_end_in_mid_run(own_server: Server) -> None:
    url = own_server.env["DATABASE_URL"]
    if not url:
        pytest.skip("this server is on SQLite")
    with Client(own_server.url) as client:
        run_id = begin(client)
        with psycopg.connect(url, autocommit=True) as connection:
            for _ in range(3):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                time.sleep(0.2)
        wait_until("the run has ended", lambda: ended(client, run_id))
        assert_as_if_nothing_happened(client, run_id)


def test_sqlite_is_locked_in_mid_run(own_server: Server) -> None:
    if own_server.env["DATABASE_URL"]:
        pytest.skip("this server is on Postgres")
    path = own_server.data_dir / "fastgraph.sqlite3"
    with Client(own_server.url) as client:
        run_id = begin(client)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as other:
            other.execute("BEGIN IMMEDIATE")
            at = client.run(run_id)["step"]
            wait_until(
                "the journal cannot be written",
                lambda: "the journal's writer waits" in own_server.log(),
            )
            with promise("nobody writes beside the lock"):
                assert client.run(run_id)["step"] <= at + 1  # what was under way
            other.execute("ROLLBACK")
        assert_as_if_nothing_happened(client, run_id)


def ended(client: Client, run_id: str) -> bool:
    """Whether the run has ended; the server may have no connection at the moment."""
    answer = client.http.get(f"/api/runs/{run_id}")
    return answer.is_success and answer.json()["status"] == "completed"
