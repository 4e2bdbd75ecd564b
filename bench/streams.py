"""How fast events travel: from `ctx.emit` in a worker, through the database, to WebSocket clients.

`python -m bench streams [burst|steady|crowd|idle …]`. Every process is real, and the clients are in
one more. The clock that both ends read is the machine's.
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

from tests.client import Client
from tests.processes import Server

Row = dict[str, str]

BURST = 10_000
STEADY = 500
CROWD, CROWD_EVENTS = 1000, 300
IDLE = 5000


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


def follow(server: Server, client: Client, count: int, payload: dict[str, Any]) -> dict[str, Any]:
    """What `count` clients tell of a run of `tokens` that they follow from its beginning on. The
    run waits behind another one of its thread until all of them are there."""
    first = client.create("tokens", {"count": 2, "interval": 2 + count / 100})
    run = client.create("tokens", payload, thread=first["thread"])
    crowd = Crowd(server, f"/api/ws/{run['id']}", count)
    assert client.run(run["id"])["status"] == "pending", "the clients came too late"
    told = crowd.told()
    crowd.leave()
    assert told["gaps"] == 0, told
    assert told["frames"] == client.run(run["id"])["seq"] * count, told
    return told


def burst(server: Server, client: Client) -> Row:
    told = follow(server, client, 1, {"count": BURST, "interval": 0})
    return {
        "what": f"burst of {BURST:,} events, 1 client",
        "result": f"{BURST / told['seconds']:,.0f} events/s",
        "detail": f"from the first emit on; p99 {told['p99_ms']:.0f} ms",
    }


def steady(server: Server, client: Client) -> Row:
    told = follow(server, client, 1, {"count": STEADY, "interval": 0.01})
    return {
        "what": f"an event every 10 ms, {STEADY} times, 1 client",
        "result": f"p50 {told['p50_ms']:.1f} ms",
        "detail": f"p99 {told['p99_ms']:.1f} ms from emit to client",
    }


def crowd(server: Server, client: Client) -> Row:
    before = web_cpu(server)
    told = follow(server, client, CROWD, {"count": CROWD_EVENTS, "interval": 0.01})
    used = web_cpu(server) - before
    return {
        "what": f"{CROWD:,} clients, {CROWD_EVENTS} events at 100/s",
        "result": f"{told['frames'] / told['seconds']:,.0f} frames/s",
        "detail": f"p50 {told['p50_ms']:.0f} ms, p99 {told['p99_ms']:.0f} ms; none lost; "
        f"{1e6 * used / told['frames']:.1f} µs of the web process a frame, connecting included",
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


MEASUREMENTS: dict[str, Callable[[Server, Client], Row]] = {
    "burst": burst,
    "steady": steady,
    "crowd": crowd,
    "idle": idle,
}


def web_pid(server: Server) -> int:
    (pid,) = [pid for pid, name in server.processes().items() if "fastgraph_site.web" in name]
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
