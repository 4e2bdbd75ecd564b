"""Processes that nodes start: they work, they end with their call or their worker, and they hold
nothing of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served import alive, gone
from tests.acceptance.test_main_job import named
from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

APPS = {"FASTGRAPH_APPS": "tests.acceptance.with_children"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker, which starts processes."""
    with serving(tmp_path_factory.mktemp("server"), env=APPS) as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where the nodes note the pids of processes; those that are left are ended."""
    path = tmp_path / "pids"
    yield path
    for pid in pids(path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def begin(client: Client, workflow: str, how: str, path: Path, count: int = 1) -> str:
    """Create a run; its id, when it has started `count` processes."""
    run_id = str(client.create(workflow, {"how": how, "path": str(path)})["id"])
    wait_until("its processes run", lambda: len(pids(path)) >= count)
    return run_id


def result(client: Client, run_id: str) -> Any:
    ended = client.wait(run_id)
    assert ended["status"] == "completed", ended["error"]
    return client.get(f"/api/runs/{run_id}/state")["values"]["result"]


def worker_of(client: Client, run_id: str) -> int:
    started = [e for e in client.events(run_id) if e["event"] in ("started", "recovered")]
    workers = {w["id"]: w["pid"] for w in client.get("/api/workers/")["results"]}
    return int(workers[started[-1]["data"]["worker"]])


def assert_runs_are_executed(client: Client) -> None:
    assert client.wait(client.create("steps", {"steps": 2, "seconds": 0})["id"])["step"] == 2


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_in_a_sync_node_works(client: Client, method: str) -> None:
    run = client.create("compute", {"how": method})
    assert result(client, run["id"]) == [1, 4, 9, 16, 25, "hello", 0, {"a": 1, "b": 2}]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_an_async_node_work(client: Client, method: str) -> None:
    run = client.create("compute_async", {"how": method})
    assert result(client, run["id"]) == [9, "hi\n", 0]


def test_graph_in_a_forked_process_runs_to_its_end(client: Client) -> None:
    pid, exitcode = result(client, client.create("invoke_in_child")["id"])
    assert pid not in alive() and exitcode == 0


SYNC = [
    ("subprocess", 2),
    ("one_after_the_other", 2),
    ("deaf", 1),
    ("system", 1),
    ("fork", 1),
    ("process_fork", 1),
    ("process_spawn", 1),
    ("process_forkserver", 1),
]


@pytest.mark.parametrize(("how", "count"), SYNC)
def test_cancelled_sync_node_takes_its_processes_along(
    client: Client, path: Path, how: str, count: int
) -> None:
    run_id = begin(client, "wait", how, path, count)
    worker = worker_of(client, run_id)
    client.http.post(f"/api/runs/{run_id}/cancel", json={})
    wait_until("its processes are gone", gone(*pids(path)), 15)
    assert client.wait(run_id)["status"] == "cancelled"
    assert_runs_are_executed(client)
    assert len(pids(path)) == count  # and it has started no other
    assert worker in alive()


def test_cancelled_async_node_takes_its_processes_along(client: Client, path: Path) -> None:
    run_id = begin(client, "wait_async", "", path)
    client.http.post(f"/api/runs/{run_id}/cancel", json={})
    wait_until("its process is gone", gone(*pids(path)))
    assert client.wait(run_id)["status"] == "cancelled"


@pytest.mark.parametrize("workflow", ["timed", "timed_async"])
def test_timed_out_node_takes_its_processes_along(
    client: Client, path: Path, workflow: str
) -> None:
    run_id = begin(client, workflow, "subprocess", path)
    assert client.wait(run_id)["error"]["type"] == "NodeTimeoutError"
    wait_until("its processes are gone", gone(*pids(path)))


@pytest.mark.parametrize("how", ["subprocess", "fork"])
def test_failed_node_takes_its_processes_along(client: Client, path: Path, how: str) -> None:
    run_id = begin(client, "fail", how, path)
    assert client.wait(run_id)["error"]["type"] == "ValueError"
    wait_until("its processes are gone", gone(*pids(path)))


def test_pool_that_other_calls_use_survives_a_failed_call(client: Client, path: Path) -> None:
    run_id = begin(client, "fail", "pool", path)
    assert client.wait(run_id)["status"] == "failed"
    assert_runs_are_executed(client)
    assert set(pids(path)) <= alive().keys()
    worker = worker_of(client, run_id)
    os.kill(worker, signal.SIGKILL)  # its pool breaks when the process is ended
    wait_until("its process is gone, too", gone(worker, *pids(path)))


@pytest.mark.parametrize("how", ["subprocess", "fork", "daemon", "pool"])
def test_processes_left_by_a_finished_node_end_with_a_killed_worker(
    server: Server, client: Client, path: Path, how: str
) -> None:
    run_id = begin(client, "leave", how, path)
    assert result(client, run_id) == "finished"
    assert set(pids(path)) <= alive().keys()
    os.kill(worker_of(client, run_id), signal.SIGKILL)
    wait_until("its processes are gone", gone(*pids(path)))
    assert_runs_are_executed(client)


@pytest.mark.parametrize("how", ["session", "new_session"])
def test_process_in_a_session_of_its_own_outlives_its_worker_and_holds_nothing(
    server: Server, client: Client, path: Path, how: str
) -> None:
    run_id = begin(client, "leave", how, path)
    assert result(client, run_id) == "finished"
    worker = worker_of(client, run_id)
    os.kill(worker, signal.SIGKILL)
    wait_until("its worker is gone", gone(worker))
    assert_runs_are_executed(client)
    for pid in pids(path):
        assert pid in alive()
        held = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [file for file in held if "/slots/" in file or "/notify/" in file], held
        sockets = {int(file[8:-1]) for file in held if file.startswith("socket:")}
        assert not sockets & database_sockets(), held


def database_sockets() -> set[int]:
    """The inodes of all connections to Postgres, on this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[9]) for row in rows if row[2].endswith(f":{5432:04X}")}


@pytest.mark.parametrize("name", ["fg:sentinel", "main"])
def test_processes_of_nodes_end_with_the_cluster(tmp_path: Path, path: Path, name: str) -> None:
    with serving(tmp_path, env=APPS) as server, Client(server.url) as client:
        begin(client, "wait", "deaf", path)
        begin(client, "leave", "daemon", path, 2)
        begin(client, "leave", "pool", path, 3)
        (pid,) = named(server, name) if name != "main" else [server.pid]
        os.kill(pid, signal.SIGKILL)
        wait_until("the processes are gone", gone(*pids(path)))
        if name != "main":
            assert_runs_are_executed(client)


def test_stopped_server_leaves_no_process(tmp_path: Path, path: Path) -> None:
    with serving(tmp_path, env=APPS) as server:
        with Client(server.url) as client:
            begin(client, "wait", "deaf", path)
            begin(client, "leave", "daemon", path, 2)
            begin(client, "leave", "pool", path, 3)
        assert server.stop() == 0
        assert gone(*pids(path))()


@pytest.mark.parametrize(
    ("workflow", "how"),
    [
        ("both", ""),
        ("both", "exit"),
        ("both", "raise"),
        ("both_async", ""),
        ("both_async", "awaits"),
        ("both_atomic", ""),
        ("both_atomic", "raise"),
    ],
)
def test_forked_copy_of_a_worker_that_returns_from_its_node_ends_there(
    server: Server, client: Client, path: Path, workflow: str, how: str
) -> None:
    other = client.create("steps", {"steps": 3, "seconds": 0.2})["id"]
    run_id = begin(client, workflow, how, path, 2)
    expected = "failed" if how in ("exit", "raise") else "completed"
    assert client.wait(run_id)["status"] == expected
    worker = worker_of(client, run_id)
    copies = set(pids(path)) - {worker}
    assert len(copies) == 1 and len(pids(path)) == 2
    wait_until("the copy has ended", gone(*copies))
    assert client.wait(other)["status"] == "completed"
    events = client.events(run_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    if how not in ("exit", "raise"):  # it may be ended with the failed call before
        assert f"Process {copies.pop()} was forked by a node" in server.log()
    assert_runs_are_executed(client)
    assert worker in alive()
    path.unlink()  # the worker is named in it, too
