"""The SQLite file is deleted, replaced or damaged while the server serves: nothing more is
accepted, and health says what is wrong and what to do."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_main_job import begin
from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

PLAIN = {"workflow": "steps", "payload": {"steps": 1}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if os.environ["DATABASE_URL"]:
        pytest.skip("this is about SQLite")
    server = Server(tmp_path / "installation" / "data", {"DATABASE_URL": ""})
    server.log_path = tmp_path / "server.log"
    try:
        server.provide_tables()
        server.start()
        yield server
    finally:
        server.close()


def file_of(server: Server) -> Path:
    return server.data_dir / "fastgraph.sqlite3"


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def deleted(path: Path) -> None:
    path.unlink()


def all_deleted(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)


def replaced(path: Path) -> None:
    copy = path.with_name("copy")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    copy.rename(path)


def replaced_by_a_link(path: Path) -> None:
    """A new connection would keep its log beside what the link leads to, and not where the others
    have theirs."""
    elsewhere = path.with_name("elsewhere.sqlite3")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def log_deleted(path: Path) -> None:
    beside(path, "-wal").unlink()


def index_deleted(path: Path) -> None:
    beside(path, "-shm").unlink()


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def cut_short(path: Path) -> None:
    os.truncate(path, 4096)


def log_cut_short(path: Path) -> None:
    os.truncate(beside(path, "-wal"), 4096)


def log_emptied(path: Path) -> None:
    os.truncate(beside(path, "-wal"), 0)


def folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def folder_replaced(path: Path) -> None:
    folder_moved(path)
    path.parent.mkdir()


def refused(client: Client, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = client.http.request(method, path, **more)
    assert answer.status_code == 503, (path, answer.status_code, answer.text)
    problem: dict[str, Any] = answer.json()
    return problem


def assert_no_run_is_taken(client: Client, why: str) -> None:
    for _ in range(3):
        problem = refused(client, "POST", "/api/runs/", json=PLAIN)
        assert problem["code"] == "database_unavailable"
        assert why in problem["detail"]
        assert "stop the server" in problem["detail"]


@pytest.mark.parametrize(
    "harm",
    [
        deleted,
        all_deleted,
        emptied,
        cut_short,
        replaced,
        replaced_by_a_link,
        log_deleted,
        index_deleted,
        folder_moved,
        folder_replaced,
    ],
    ids=lambda harm: harm.__name__,
)
def test_nothing_is_accepted_without_the_file(server: Server, harm: Callable[[Path], None]) -> None:
    with Client(server.url) as client:
        run_id = begin(client)
        harm(file_of(server))

        assert_no_run_is_taken(client, "fastgraph.sqlite3")
        refused(client, "POST", "/api/runs/", json=PLAIN, headers={"Idempotency-Key": "k"})
        refused(client, "POST", f"/api/runs/{run_id}/cancel", json={})
        health = refused(client, "GET", "/api/health")
        assert health["status"] == "down"
        assert "fastgraph.sqlite3" in health["checks"]["database"]["detail"]
        refused(client, "GET", f"/api/runs/{run_id}")
        refused(client, "GET", "/api/runs/")
        stream = refused(client, "GET", f"/api/runs/{run_id}/stream")
        assert "stop the server" in stream["detail"]
        page = client.http.get("/admin/", headers={"Accept": "text/html"})
        assert page.status_code == 503
        assert "fastgraph.sqlite3" in page.text
        wait_until("the worker stops", lambda: "it stops: " in server.log())


@pytest.mark.parametrize("harm", [log_cut_short, log_emptied], ids=lambda harm: harm.__name__)
def test_nothing_is_accepted_with_a_part_of_the_log(
    server: Server, harm: Callable[[Path], None]
) -> None:
    """Without workers: what is written in the very moment fills the gap, and nobody can see it."""
    server.stop()
    server.start("--no-workers")
    with Client(server.url) as client:
        run_id = client.create("steps", {"steps": 1})["id"]
        harm(file_of(server))

        assert_no_run_is_taken(client, "fastgraph.sqlite3-wal was cut short")
        assert refused(client, "GET", "/api/health")["status"] == "down"
        refused(client, "GET", f"/api/runs/{run_id}")


def test_it_goes_on_when_the_file_is_back(server: Server) -> None:
    path = file_of(server)
    with Client(server.url) as client:
        run_id = begin(client, steps=200)
        path.rename(path.with_name("away"))
        refused(client, "POST", "/api/runs/", json=PLAIN)
        assert not path.exists(), "none is made instead"
        path.with_name("away").rename(path)

        wait_until("it accepts again", lambda: client.http.get("/api/health").is_success)
        assert client.wait(run_id)["status"] == "completed"


@pytest.mark.parametrize("harm", [all_deleted, emptied], ids=lambda harm: harm.__name__)
def test_a_restart_says_what_it_found(server: Server, harm: Callable[[Path], None]) -> None:
    with Client(server.url) as client:
        client.wait(client.create("steps", {"steps": 1, "seconds": 0})["id"])
    server.stop()
    harm(file_of(server))

    server.start("--migrate")

    assert "though its folder was used before" in server.log()
    with Client(server.url) as client:
        assert client.get("/api/runs/")["results"] == []


def test_a_damaged_file_is_said_to_be_damaged(server: Server) -> None:
    with Client(server.url) as client:
        for _ in range(3):
            client.wait(client.create("steps", {"steps": 5, "seconds": 0})["id"])
    server.stop()
    path = file_of(server)
    with closing(sqlite3.connect(path)) as database:
        (page_size,) = database.execute("PRAGMA page_size").fetchone()
        roots = database.execute(
            "SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'runs_run' AND rootpage > 0"
        ).fetchall()
    server.start()
    with path.open("r+b") as file:
        for (root,) in roots:
            file.seek((root - 1) * page_size)
            file.write(b"\xde\xad\xbe\xef" * (page_size // 4))

    with Client(server.url) as client:
        problem = refused(client, "GET", "/api/runs/?q=x")
        assert problem["code"] == "database_unavailable"
        assert "is damaged" in problem["detail"]
        assert ".recover" in problem["detail"]
        health = refused(client, "GET", "/api/health")
        assert "is damaged" in health["checks"]["database"]["detail"]
        page = client.http.get("/admin/runs/run/", headers={"Accept": "text/html"})
        assert page.status_code == 503
        assert "is damaged" in page.text
        refused(client, "POST", "/api/runs/", json=PLAIN)


def test_what_the_server_makes_is_for_its_owner_alone(server: Server) -> None:
    with Client(server.url) as client:
        run = client.create("text_report", {"input": "Some text."})
        client.wait(run["id"])
        open_to_others = [
            path
            for path in [server.data_dir, *server.data_dir.rglob("*")]
            if stat.S_IMODE(path.stat().st_mode) & 0o077
        ]
        assert beside(file_of(server), "-wal").exists()
    assert open_to_others == []


@pytest.mark.parametrize("harm", ["log_deleted", "led_elsewhere"])
def test_a_file_behind_a_link_is_watched(tmp_path: Path, harm: str) -> None:
    if os.environ["DATABASE_URL"]:
        pytest.skip("this is about SQLite")
    (tmp_path / "disk").mkdir()
    link, file = tmp_path / "link.sqlite3", tmp_path / "disk" / "file.sqlite3"
    file.touch()
    link.symlink_to(file)
    env = {"DATABASE_URL": f"sqlite:///{link}"}
    with serving(tmp_path, env=env) as server, Client(server.url) as client:
        begin(client)
        if harm == "log_deleted":
            log_deleted(file)
        else:
            other = tmp_path / "other.sqlite3"
            other.write_bytes(file.read_bytes())
            link.unlink()
            link.symlink_to(other)
        assert_no_run_is_taken(client, "file.sqlite3")
