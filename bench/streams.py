"""How fast events travel: from `ctx.emit` in a worker, through the database, to WebSocket clients.

`python -m bench streams [burst|steady|crowd|idle|neighbours …]`. Every process is real, and the
clients are in one more. The clock that both ends read is the machine's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.streaming.stuck import UPGRADE, never_reading
from tests.support.client import Client
from tests.support.processes import Server

Row = dict[str, str]

BURST = 10_000
STEADY = 500
CROWD, CROWD_EVENTS = 1000, 1000
INTERVAL = 0.01  # seconds between two events
IDLE = 5000
LOG, STUCK = 20_000, 100


class Crowd:
    """`count` sockets at one address, in a process of their own."""

    def __init__(self, server: Server, path: str, count: int) -> None:
        arguments = ["-m", "bench.socket_clients", str(server.port), path, str(count)]
        command = [sys.executable, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.told()

    def told(self) -> dict[str, Any]:
        """The next that they tell."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the clients have failed"
        return dict(json.loads(line))

    def leave(self) -> None:
        self.process.kill()
        self.process.wait()


def follow(
    server: Server, client: Client, count: int, workflow: str, payload: dict[str, Any]
) -> dict[str, Any]:
    """What `count` clients tell of a run that they follow from its beginning on. It waits behind
    another one of its thread until all of them are there."""
    first = client.create("tokens", {"count": 2, "interval": 2 + count / 100})
    run = client.create(workflow, payload, thread=first["thread"])
    crowd = Crowd(server, f"/api/ws/{run['id']}", count)
    assert client.run(run["id"])["status"] == "pending", "the clients came too late"
    before = web_cpu(server)
    told = crowd.told()
    told["web_seconds"] = web_cpu(server) - before  # without connecting
    crowd.leave()
    assert told["frames"] == client.run(run["id"])["seq"] * count, told
    return told


def burst(server: Server, client: Client) -> Row:
    told = follow(server, client, 1, "tokens", {"count": BURST, "interval": 0})
    return {
        "what": f"burst of {BURST:,} events, 1 client",
        "result": f"{BURST / told['seconds']:,.0f} events/s",
        "detail": f"from the first emit on; p99 {told['p99_ms']:.0f} ms",
    }


def steady(server: Server, client: Client) -> Row:
    told = follow(server, client, 1, "tokens", {"count": STEADY, "interval": INTERVAL})
    return {
        "what": f"an event every 10 ms, {STEADY} times, 1 client",
        "result": f"p50 {told['p50_ms']:.1f} ms",
        "detail": f"p99 {told['p99_ms']:.1f} ms from emit to client",
    }


def crowd(server: Server, client: Client) -> Row:
    payload = {"count": CROWD_EVENTS, "interval": INTERVAL}
    told = follow(server, client, CROWD, "bench_ticks", payload)
    assert told["timed"] == CROWD * CROWD_EVENTS, told
    per_frame = {who: 1e6 * told[f"{who}_seconds"] / told["frames"] for who in ("web", "cpu")}
    return {
        "what": f"{CROWD:,} clients, {CROWD_EVENTS:,} events at {1 / INTERVAL:.0f}/s",
        "result": f"{told['timed'] / told['seconds']:,.0f} frames/s",
        "detail": f"all {told['timed']:,}, none lost; after they were due: p50 "
        f"{told['p50_ms']:.0f} ms, p99 {told['p99_ms']:.0f} ms, the last {told['max_ms']:.0f} ms; "
        f"{told['frames'] / told['reads']:.1f} frames a read, {per_frame['web']:.2f} µs of "
        f"processor of the web process a frame, {per_frame['cpu']:.2f} of the clients'",
    }


def idle(server: Server, client: Client) -> Row:
    """On the feed, which nobody disturbs."""
    before = web_memory(server)
    clients = [Crowd(server, "/api/ws/", IDLE // 2) for _ in range(2)]
    time.sleep(1)
    grown = web_memory(server) - before
    for each in clients:
        each.leave()
    return {
        "what": f"{IDLE:,} idle sockets",
        "result": f"{grown / IDLE / 1024:.1f} KiB a socket",
        "detail": f"{grown / 2**20:.0f} MiB in all",
    }


def neighbours(server: Server, client: Client) -> Row:
    """One who reads a finished run, alone, and just after a hundred came who never read."""
    run = client.create("tokens", {"count": LOG, "interval": 0})["id"]
    client.wait(run)
    path = f"/api/ws/{run}"
    client.frames(run)
    alone = _seconds(lambda: client.frames(run))
    stuck = [never_reading(server, path, UPGRADE) for _ in range(STUCK)]
    beside = _seconds(lambda: client.frames(run))
    for each in stuck:
        each.close()
    return {
        "what": f"{LOG:,} past events, beside {STUCK} that never read",
        "result": f"{beside / alone:.2f} times as long",
        "detail": f"as alone, {LOG / alone:,.0f} events/s with a client in Python",
    }


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


MEASUREMENTS: dict[str, Callable[[Server, Client], Row]] = {
    "burst": burst,
    "steady": steady,
    "crowd": crowd,
    "idle": idle,
    "neighbours": neighbours,
}


def web_pid(server: Server) -> int:
    (pid,) = [
        pid for pid, name in server.processes().items() if "fastgraph_site.server.process" in name
    ]
    return pid


def web_memory(server: Server) -> int:
    """Resident bytes of the web process."""
    pages = Path(f"/proc/{web_pid(server)}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def web_cpu(server: Server) -> float:
    """Seconds of processor that the web process has used."""
    fields = Path(f"/proc/{web_pid(server)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving() -> Iterator[Server]:
    """A server on SQLite without Redis, for these measurements only."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"DATABASE_URL": "", "REDIS_URL": "", "FASTGRAPH_LOG_LEVEL": "WARNING"}
        quiet["FASTGRAPH_APPS"] = "bench"
        server = Server(Path(folder) / "data", {**quiet, "FASTGRAPH_LEASE_SECONDS": "10"})
        assert server.manage("migrate", "--verbosity", "0").returncode == 0
        server.start()
        try:
            yield server
        finally:
            server.close()


def main(arguments: list[str]) -> int:
    rows: list[Row] = []
    for name in arguments or list(MEASUREMENTS):
        with serving() as server, Client(server.url) as client:
            rows.append(MEASUREMENTS[name](server, client))
    width = max(len(row["what"]) for row in rows)
    for row in rows:
        print(f"{row['what']:<{width}}  {row['result']:<26}  {row['detail']}")
    return 0
