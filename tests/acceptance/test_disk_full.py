"""The disk is full while steps commit (SQLite, on a real file system of a few megabytes): every run
stays what it was, new ones are refused, nothing is corrupt, and all goes on once there is room."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.test_main_job import assert_as_if_nothing_happened, begin
from tests.support.client import Client
from tests.support.processes import Server, wait_until

MEGABYTES = 16


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root of a Linux machine may mount a small file system")
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def cramped(small: Path) -> Iterator[Server]:
    server = Server(small / "data", {"DATABASE_URL": ""})
    server.log_path = small.parent / "server.log"
    try:
        server.provide_tables()
        server.start()
        yield server
    finally:
        server.close()


def fill(folder: Path) -> Path:
    """A file that takes all the room that is left."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    assert shutil.disk_usage(folder).free == 0
    return path


def test_nothing_is_lost_when_the_disk_is_full(cramped: Server, small: Path) -> None:
    if os.environ["DATABASE_URL"]:
        pytest.skip("this is about SQLite")
    with Client(cramped.url) as client:
        run_id = begin(client)
        filler = fill(small)
        # The write-ahead log may have room in the middle; at its end there is none.
        wait_until("the journal cannot be written", lambda: "disk is full" in cramped.log())
        at = client.run(run_id)
        assert at["status"] == "running" and at["error"] is None
        refused = client.http.post(
            "/api/runs/", json={"workflow": "steps", "payload": {"steps": 1}}
        )
        assert refused.status_code == 503, refused.text
        assert "full" in refused.json()["detail"]
        assert client.run(run_id)["step"] <= at["step"] + 1
        for path in ("/admin/", "/admin/runs/run/"):  # it makes its user at the first request
            page = client.http.get(path, headers={"Accept": "text/html"})
            assert page.status_code == 503, page.text
            assert "disk is full" in page.text
            assert page.headers["Retry-After"]
        filler.unlink()
        assert_as_if_nothing_happened(client, run_id)
    with closing(sqlite3.connect(cramped.data_dir / "fastgraph.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
