"""What holds of tests/acceptance/test_floods.py with `serve --server daphne`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.raw_http import HOST, Raw, connections
from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

pytestmark = pytest.mark.any_database

MIB = 2**20
CONNECTIONS = 30
LIMITS = {
    "FASTGRAPH_HEADER_SECONDS": "2",
    "FASTGRAPH_MAX_BODY_BYTES": str(MIB),
    "FASTGRAPH_MAX_BODIES_BYTES": str(MIB),
    "FASTGRAPH_MAX_CONNECTIONS": str(CONNECTIONS),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits."""
    folder: Path = tmp_path_factory.mktemp("flooded")
    with serving(folder, "--server", "daphne", env=LIMITS) as server:
        yield server


@pytest.fixture
def raw(server: Server) -> Iterator[Raw]:
    one = Raw(server.port)
    yield one
    one.close()


@pytest.fixture(autouse=True)
def _well(server: Server) -> Iterator[None]:
    before = len(server.log())
    yield
    other = Raw(server.port).get("/api/health", "Connection: close")
    assert other.answer().status == 200
    other.close()
    assert "Traceback" not in server.log()[before:]


@pytest.mark.parametrize("line", ["GET / HTTP/1.1\r\nA: ", "GET /"])
def test_a_head_without_end_is_refused_as_it_comes(raw: Raw, line: str) -> None:
    raw.send(line, "a" * 60 * MIB)
    assert raw.rest()[:12] in (b"", b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "sent", ["", "GET / HT", f"POST / HTTP/1.1\r\n{HOST}Content-Length: 9\r\n\r\n"]
)
def test_a_request_that_stops_ends_its_connection(raw: Raw, sent: str) -> None:
    raw.send(sent)
    assert raw.rest() == b""


@pytest.mark.parametrize("length", ["Content-Length: 99999999", "Transfer-Encoding: chunked"])
def test_a_body_over_the_limit_is_not_stored(raw: Raw, length: str) -> None:
    piece = b"x" * 1000
    chunk = b"3e8\r\n%s\r\n" % piece if "chunked" in length else piece
    raw.send(f"POST /api/runs/ HTTP/1.1\r\n{HOST}{length}\r\n\r\n", chunk * 1100)
    answer = raw.answer()
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert raw.rest() == b""


@pytest.mark.parametrize(
    ("line", "statuses"),
    [
        ("Transfer-Encoding: gzip, chunked", (400, 501)),
        ("Content-Length: 5\r\nContent-Encoding: gzip", (415,)),
        ("Content-Length: 5\r\nIdempotency-Key: a\r\nIdempotency-Key: b", (400,)),
        ("Content-Length: 5\r\nCF-Connecting-IP: 10.0.0.1", (403,)),
    ],
    ids=["chunks", "coded", "two-keys", "proxy"],
)
def test_what_is_not_understood_is_refused(raw: Raw, line: str, statuses: tuple[int, ...]) -> None:
    body = "0\r\n\r\n" if "chunked" in line else "12345"
    raw.send(f"POST /api/runs/ HTTP/1.1\r\n{HOST}{line}\r\n\r\n{body}")
    assert int(raw.head().split()[1]) in statuses


@pytest.mark.parametrize("kind", ["silent", "streams", "sockets"])
def test_connections_are_counted(server: Server, kind: str) -> None:
    with Client(server.url) as client:
        run = client.create("steps", {"steps": 1, "seconds": 60})["id"]
    path = f"/api/runs/{run}/stream" if kind == "streams" else "/api/ws/"
    sockets = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    lines = [*sockets, f"Sec-WebSocket-Key: {'A' * 22}=="] if kind == "sockets" else []
    with connections(server.port, CONNECTIONS + 10) as many:
        for one in many if kind != "silent" else ():
            one.get(path, *lines)
        heads = [one.head() for one in many[-8:]]
    assert all(head.startswith(b"HTTP/1.1 503 ") for head in heads), heads
    wait_until("there is room", lambda: health(server.port) == 200)


def health(port: int) -> int:
    one = Raw(port).get("/api/health", "Connection: close")
    try:
        return one.answer().status
    finally:
        one.close()


def test_bodies_have_a_limit_of_memory_and_give_it_back(server: Server, raw: Raw) -> None:
    """Large ones have three quarters of it: one of 900 kB has no room, also if it is alone."""
    body = b"[" * 900_000
    for _ in range(3):
        answer = raw.post("/api/runs/", len(body), body).answer()
        assert (answer.status, answer.code) == (503, "too_many_bodies")
        assert answer.headers["retry-after"]
    with Client(server.url) as client:
        for _ in range(3):
            client.create("text_report", {"input": "x" * 700_000})


def test_many_values_are_refused(server: Server, raw: Raw) -> None:
    body = json.dumps([{}] * 250_001, separators=(",", ":")).encode()
    answer = raw.post("/api/runs/", len(body), body).answer()
    assert (answer.status, answer.code) == (413, "too_many_values")
