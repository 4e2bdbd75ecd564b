"""Clients that never read, on a real server: the web process keeps its size, and nobody notices."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.streaming.stuck import UPGRADE, never_reading
from tests.support.client import Client
from tests.support.processes import Server, wait_until

pytestmark = pytest.mark.processes

EVENTS = 100_000
CLIENTS = 100
ALLOWED = 50 * 2**20  # bytes over its idle figure
MOMENT = "2026-01-01 00:00:00.000000"


@pytest.fixture
def _hub_ends() -> None:
    """No hub in this process."""


def web_memory(server: Server) -> int:
    """Bytes that the web process has for itself: without the pages of the database's file that
    SQLite maps, which the system takes back when it needs them."""
    (pid,) = [
        pid for pid, name in server.processes().items() if "fastgraph_site.server.process" in name
    ]
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


def lengthen(server: Server, run_id: str) -> None:
    """Give the finished run a log of EVENTS events of 1 KB before its last one."""
    data = '{"text":"' + "x" * 1000 + '"}'
    key = run_id.replace("-", "")
    with closing(sqlite3.connect(server.data_dir / "fastgraph.sqlite3", timeout=30)) as database:
        (last,) = database.execute("SELECT seq FROM runs_run WHERE id = ?", [key]).fetchone()
        columns = "run_id, seq, name, ts, node, namespace, data"
        database.execute(
            f"UPDATE runs_event SET seq = ? WHERE run_id = ? AND seq = {last}", [EVENTS, key]
        )
        database.executemany(
            f"INSERT INTO runs_event ({columns}) VALUES (?, ?, 'custom', '{MOMENT}', '', '', ?)",
            ((key, seq, data) for seq in range(last, EVENTS)),
        )
        database.execute("UPDATE runs_run SET seq = ? WHERE id = ?", [EVENTS, key])
        database.commit()


def grow(server: Server, run_id: str) -> Iterator[None]:
    """Commit EVENTS events of 1 KB to a run that waits, a thousand at a time; the last ends it."""
    data = '{"text":"' + "x" * 1000 + '"}'
    key = run_id.replace("-", "")
    columns = "run_id, seq, name, ts, node, namespace, data"
    insert = f"INSERT INTO runs_event ({columns}) VALUES (?, ?, ?, '{MOMENT}', '', '', ?)"
    with closing(sqlite3.connect(server.data_dir / "fastgraph.sqlite3", timeout=30)) as database:
        (last,) = database.execute("SELECT seq FROM runs_run WHERE id = ?", [key]).fetchone()
        for start in range(last + 1, EVENTS + 1, 1000):
            seqs = range(start, min(start + 1000, EVENTS + 1))
            names = ["completed" if seq == EVENTS else "custom" for seq in seqs]
            rows = [(key, seq, name, data) for seq, name in zip(seqs, names, strict=True)]
            database.executemany(insert, rows)
            database.execute("UPDATE runs_run SET seq = ? WHERE id = ?", [seqs[-1], key])
            if seqs[-1] == EVENTS:
                change = "status = 'completed', finished_at = '2026-01-01'"
                database.execute(f"UPDATE runs_run SET {change} WHERE id = ?", [key])
            database.commit()
            yield


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
@pytest.mark.skipif(
    os.environ.get("DATABASE_URL", "").startswith("postgres"), reason="writes SQLite's file"
)
@pytest.mark.parametrize(
    ("address", "headers"),
    [("/api/ws/{}", UPGRADE), ("/api/runs/{}/stream", "")],
    ids=["sockets", "event streams"],
)
def test_clients_that_never_read_cost_little(
    own_server: Server, address: str, headers: str
) -> None:
    with Client(own_server.url) as client:
        stay_small(own_server, client, address, headers)


def stay_small(server: Server, client: Client, address: str, headers: str) -> None:
    run_id = client.create("text_report", {"input": "hello"})["id"]
    client.wait(run_id)
    lengthen(server, run_id)
    client.frames(run_id, after=EVENTS - 5000)  # so that what reading needs at all is there
    before = web_memory(server)
    stuck = [never_reading(server, address.format(run_id), headers) for _ in range(CLIENTS)]
    try:
        frames = client.frames(run_id)  # another one reads all, while they are there
        assert [frame["seq"] for frame in frames] == list(range(1, EVENTS + 1))
        grown = web_memory(server) - before
        print(f"{CLIENTS} clients that never read: {grown / 2**20:.1f} MiB")
        assert grown < ALLOWED
    finally:
        for each in stuck:
            each.close()
    wait_until("they are let go", lambda: web_memory(server) - before < ALLOWED)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
@pytest.mark.skipif(
    os.environ.get("DATABASE_URL", "").startswith("postgres"), reason="writes SQLite's file"
)
@pytest.mark.parametrize(
    ("address", "headers"),
    [("/api/ws/{}", UPGRADE), ("/api/runs/{}/stream", "")],
    ids=["sockets", "event streams"],
)
def test_clients_that_never_read_a_live_run_cost_little(
    own_server: Server, address: str, headers: str
) -> None:
    with Client(own_server.url) as client:
        first = client.create("tokens", {"count": 2, "interval": 60})
        after_first = {"thread": first["thread"]}
        warm, run_id = (
            client.create("tokens", {"count": 1}, **after_first)["id"] for _ in range(2)
        )
        with ThreadPoolExecutor(1) as aside:
            read = aside.submit(client.frames, warm)
            for _ in grow(own_server, warm):  # what reading and writing need at all
                pass
            read.result()
            before = most = web_memory(own_server)
            stuck = [
                never_reading(own_server, address.format(run_id), headers) for _ in range(CLIENTS)
            ]
            read = aside.submit(client.frames, run_id)
            for _ in grow(own_server, run_id):
                most = max(most, web_memory(own_server))
            frames = read.result()
        most = max(most, web_memory(own_server))
        for each in stuck:
            each.close()
    assert [frame["seq"] for frame in frames] == list(range(1, EVENTS + 1))
    print(f"{CLIENTS} clients that never read a live run: {(most - before) / 2**20:.1f} MiB")
    assert most - before < ALLOWED
