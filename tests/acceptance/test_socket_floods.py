"""Frames of every kind count against what a socket may send: who sends too many is closed with a
code, and the others are served meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.acceptance.raw_http import Raw
from tests.acceptance.test_floods import assert_well, upgrade
from tests.support.processes import Server, serving

pytestmark = pytest.mark.any_database

FRAMES = 200_000
MASK = b"\0\0\0\0"
FLOODS = {
    "pings": b"\x89\x80" + MASK,
    "pings with data": b"\x89\xfd" + MASK + b"x" * 125,
    "pongs": b"\x8a\x80" + MASK,
    "empty messages": b"\x81\x80" + MASK,
    "empty binary messages": b"\x82\x80" + MASK,
    "pings inside a message": b"\x89\x80" + MASK,
    "empty fragments": b"\x00\x80" + MASK,
    "empty fragments between pings": b"\x00\x80" + MASK + b"\x89\x80" + MASK,
    "messages of two fragments": b"\x01\x80" + MASK + b"\x80\x80" + MASK,
}
BEGUN = {"pings inside a message", "empty fragments", "empty fragments between pings"}
REFUSALS = [code.to_bytes(2) for code in (4429, 1009)]


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("flooded")
    with serving(folder, "--server", request.param) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_fault(server: Server) -> Iterator[None]:
    before = len(server.log())
    yield
    logged = server.log()[before:]
    assert "Traceback" not in logged, logged
    assert "ERROR" not in logged, logged


def processor_seconds(server: Server) -> float:
    """What the web process has used until now."""
    (web,) = [
        pid
        for pid, command in server.processes().items()
        if "fastgraph_site.server.process" in command
    ]
    fields = Path(f"/proc/{web}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_socket_and_costs_the_others_nothing(server: Server, name: str) -> None:
    raw = upgrade(Raw(server.port))
    assert b" 101 " in raw.head()
    flood = FLOODS[name] * (FRAMES * 6 // len(FLOODS[name]))
    before = processor_seconds(server)
    began = time.monotonic()
    raw.send(b"\x01\x80" + MASK if name in BEGUN else b"", flood)
    assert_well(server)
    answered = time.monotonic() - began
    seen = raw.rest()
    assert any(b"\x88" in seen and code in seen for code in REFUSALS), seen[-200:]
    used = processor_seconds(server) - before
    assert used < 1, f"it cost {used} s, health took {answered} s"
    raw.close()


def test_what_an_ordinary_client_sends_is_within_the_limit(server: Server) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/api/ws/?feed=off") as socket:
        socket.recv()
        for _ in range(200):
            assert socket.ping().wait(20)
        socket.send(['{"type"', ":", '"ping"', "}"])  # in fragments
        assert socket.recv() == '{"event":"pong"}'
