"""One client cannot take a server down: what it sends too much of, too slowly or never is refused
or ended, and the others are served meanwhile. All limits are small here."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.acceptance.raw_http import HOST, Answer, Raw, connections
from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

pytestmark = pytest.mark.any_database

CONNECTIONS, WAITS, SECONDS = 30, 3, 2
MIB = 2**20
QUIET = {"count": 2, "interval": 60}
LIMITS = {
    "FASTGRAPH_MAX_CONNECTIONS": str(CONNECTIONS),
    "FASTGRAPH_MAX_WAITS": str(WAITS),
    "FASTGRAPH_MAX_BODIES_BYTES": str(16 * MIB),
    "FASTGRAPH_HEADER_SECONDS": str(SECONDS),
    "FASTGRAPH_BODY_SECONDS": str(SECONDS),
    "FASTGRAPH_BODY_BYTES_PER_SECOND": str(1000),
    "FASTGRAPH_KEEP_ALIVE_SECONDS": str(SECONDS),
    "FASTGRAPH_STALLED_SECONDS": str(SECONDS),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits."""
    folder: Path = tmp_path_factory.mktemp("flooded")
    with serving(folder, env=LIMITS) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_fault(server: Server) -> Iterator[None]:
    before = len(server.log())
    yield
    logged = server.log()[before:]
    assert "Traceback" not in logged, logged
    assert "ERROR" not in logged, logged


@pytest.fixture
def raw(server: Server) -> Iterator[Raw]:
    one = Raw(server.port)
    yield one
    one.close()


def assert_well(server: Server) -> None:
    """A new client is served."""
    other = Raw(server.port).get("/api/health", "Connection: close")
    assert other.answer().status == 200
    other.close()


def _is_past(moment: float) -> bool:
    return monotonic() > moment


def upgrade(raw: Raw, *lines: str, path: str = "/api/ws/", key: str = "A" * 22 + "==") -> Raw:
    """Ask for a WebSocket."""
    return raw.get(
        path,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *lines,
    )


# --- heads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        pytest.param(b"GET / HTTP/%s\r\nA: ", 431, "headers_too_large", id="one header"),
        pytest.param(b"GET / HTTP/%s\r\nA", 431, "headers_too_large", id="its name"),
        pytest.param(b"GET /", 414, "url_too_long", id="the URL"),
        pytest.param(b"GET /api/ws/?", 414, "url_too_long", id="the query"),
    ],
)
def test_a_head_without_end_is_refused_as_it_comes(
    server: Server, raw: Raw, version: str, line: bytes, status: int, code: str
) -> None:
    raw.send(line.replace(b"%s", version.encode()), b"a" * 300_000)
    answer = raw.answer()
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["connection"] == "close"
    raw.send(b"a" * 60 * MIB)  # nobody reads it for long
    assert raw.rest() == b""
    assert_well(server)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["a: " + "x" * 60_000], id="one long header"),
        pytest.param(["a: b"] * 490, id="many headers"),
        pytest.param(["a: \xe9"], id="not ASCII"),
    ],
)
def test_a_handshake_has_the_limits_of_other_requests(raw: Raw, lines: list[str]) -> None:
    assert b" 101 " in upgrade(raw, *lines).head()


def test_a_handshake_has_the_limit_of_other_urls(raw: Raw) -> None:
    assert b" 101 " in upgrade(raw, path="/api/ws/?" + "a" * 16_000).head()


@pytest.mark.parametrize("path", ["/api/runs/", "/api/health"])
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        ("Content-Length: 5\r\nContent-Encoding: gzip", 415),
    ],
    ids=["coded-chunks", "two-lines", "coded"],
)
def test_a_coded_body_is_refused(raw: Raw, path: str, line: str, status: int) -> None:
    method = "POST" if path == "/api/runs/" else "GET"
    body = "0\r\n\r\n" if "chunked" in line else "12345"
    raw.send(f"{method} {path} HTTP/1.1\r\n{HOST}{line}\r\n\r\n{body}")
    assert raw.answer(method).status == status


@pytest.mark.parametrize(
    ("lines", "key", "status", "code"),
    [
        pytest.param([], "short", 400, "bad_request", id="key"),
        pytest.param(["Sec-WebSocket-Version: 13"], "A" * 22 + "==", 400, "bad_request", id="two"),
        pytest.param(["Content-Length: 2"], "A" * 22 + "==", 400, "bad_request", id="a body"),
        pytest.param(["a: b"] * 500, "A" * 22 + "==", 431, "headers_too_large", id="headers"),
        pytest.param(["Origin: http://evil.test"], "A" * 22 + "==", 403, None, id="origin"),
    ],
)
def test_a_handshake_is_refused_with_problem_details(
    raw: Raw, lines: list[str], key: str, status: int, code: str | None
) -> None:
    upgrade(raw, *lines, key=key).send("{}" if "Content-Length: 2" in lines else "")
    answer = raw.answer()
    assert answer.status == status
    assert answer.code == code if code else answer.code


def test_refusals_of_head_have_no_body(server: Server) -> None:
    heads = {
        414: f"HEAD /{'a' * 17_000} HTTP/1.1\r\n{HOST}\r\n",
        431: f"HEAD / HTTP/1.1\r\n{HOST}a: {'x' * 70_000}\r\n\r\n",
        408: f"HEAD / HTTP/1.1\r\n{HOST}",
    }
    for status, head in heads.items():
        one = Raw(server.port).send(head)
        first, _, body = one.rest().partition(b"\r\n\r\n")
        assert first.startswith(f"HTTP/1.1 {status} ".encode()), first
        assert b"Content-Length: " in first and body == b""
        one.close()


H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")


def test_the_wish_for_another_protocol_is_ignored_and_the_body_is_read(raw: Raw) -> None:
    lines = "".join(f"{line}\r\n" for line in H2C)
    body = b'{"payload": {"input": "hello"}}'
    head = f"POST /api/runs/ HTTP/1.1\r\n{HOST}{lines}Content-Type: application/json\r\n"
    raw.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = raw.answer("POST")
    assert (answer.status, answer.json["payload"]) == (201, {"input": "hello"})
    raw.send(f"{head}Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % len(body))
    raw.send(body[:5])  # and the rest in other packets, with another request behind it
    raw.send(body[5:], b"\r\n0\r\n\r\n").get("/api/health", "Connection: close")
    answers = raw.rest()
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"201", b"200"]
    assert b'"payload":{"input":"hello"}' in answers


def test_blanks_behind_a_value_are_no_part_of_it(raw: Raw) -> None:
    body = b'{"payload": {"input": "hello"}}'
    ids = set()
    for blanks in ("", " ", " \t "):
        head = f"POST /api/runs/ HTTP/1.1\r\n{HOST}Content-Type: application/json{blanks}\r\n"
        head += f"Idempotency-Key: blanks{blanks}\r\nContent-Length: {len(body)}{blanks}\r\n\r\n"
        ids.add(raw.send(head, body).answer().json["run_id"])
    assert len(ids) == 1
    cross = raw.send(f"POST /api/runs/ HTTP/1.1\r\n{HOST}Sec-Fetch-Site: cross-site \r\n\r\n")
    assert cross.answer().status == 403


def test_a_request_that_asks_for_another_protocol_may_be_the_last(raw: Raw) -> None:
    lines = "Connection: close, Upgrade\r\nUpgrade: h2c\r\n"
    raw.send(f"POST /api/runs/ HTTP/1.1\r\n{HOST}{lines}Content-Length: 2\r\n\r\n{{}}")
    assert b"HTTP/1.1 422 " in raw.rest()


def test_requests_after_one_that_asks_for_another_protocol_are_answered(raw: Raw) -> None:
    lines = "".join(f"{line}\r\n" for line in H2C)
    first = f"GET /api/health HTTP/1.1\r\n{HOST}{lines}\r\n"
    raw.send(first + f"GET /api/health HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n")
    assert raw.rest().count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("a: b\r\n" * 501, id="many"),
        pytest.param("Cookie: " + "a=b; " * 14_000 + "\r\n", id="a cookie"),
        pytest.param("".join(f"h{i}: {'x' * 990}\r\n" for i in range(66)), id="together"),
        pytest.param(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + "x" * 300_000 + ": y\r\n",
            id="a handshake",
        ),
    ],
)
def test_a_whole_head_that_is_too_large_is_refused(raw: Raw, lines: str) -> None:
    raw.get("/api/health", lines.removesuffix("\r\n"))
    answer = raw.answer()
    assert (answer.status, answer.code) == (431, "headers_too_large")


def test_a_large_head_within_the_limit_is_served(raw: Raw) -> None:
    lines = [f"h{i}: {'x' * 900}" for i in range(60)]
    assert raw.get("/api/health", *lines).answer().status == 200
    assert raw.get(f"/api/{'a' * 10_000}").answer().status == 404


CHUNKED = f"POST /api/runs/ HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "more", ["2;a=" + "b" * 400_000, "2\r\n{}\r\n0\r\na: " + "b" * 400_000], ids=["chunk", "end"]
)
def test_what_surrounds_a_chunked_body_has_a_limit(server: Server, raw: Raw, more: str) -> None:
    answer = raw.send(CHUNKED, more).answer()
    assert answer.status in (400, 431)
    assert raw.rest() == b""
    assert_well(server)


def test_trailers_are_no_headers_of_this_request_or_the_next(raw: Raw, client: Client) -> None:
    order = b'{"workflow": "text_report", "payload": {"input": "hello"}}'
    body = b"%x\r\n%s\r\n0\r\nIdempotency-Key: a\r\nHost: evil.example\r\n\r\n" % (
        len(order),
        order,
    )
    ids = {raw.send(CHUNKED, body).answer().json["run_id"] for _ in range(2)}
    assert len(ids) == 2
    assert raw.get("/api/health").answer().status == 200


def test_requests_beyond_a_hundred_in_line_are_left_to_another_connection(raw: Raw) -> None:
    raw.send(f"GET /api/health HTTP/1.1\r\n{HOST}\r\n" * 400)
    answers = raw.rest()
    assert 100 <= answers.count(b"HTTP/1.1 200 OK") < 400
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 200 OK")
    assert answers.lower().count(b"connection: close") == 1


def test_rubbish_behind_a_request_does_not_take_its_answer_away(raw: Raw) -> None:
    raw.send(f"GET /api/health HTTP/1.1\r\n{HOST}\r\n", "\0\0\0\r\n\r\n")
    assert raw.answer().status == 200
    assert raw.rest() == b""


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["", "\r\n", "GET / HT"], ids=["nothing", "a line", "half"])
def test_a_request_that_does_not_come_ends_its_connection(raw: Raw, sent: str) -> None:
    raw.send(sent)
    assert raw.rest()[:12] in (b"", b"HTTP/1.1 408")


def test_a_head_that_comes_byte_by_byte_is_ended_as_well(raw: Raw) -> None:
    raw.send(f"GET /api/health HTTP/1.1\r\n{HOST}")
    wait_until("the connection ends", lambda: not raw.send("a").is_open())
    assert raw.rest().startswith(b"HTTP/1.1 408 ")


def test_half_a_request_after_an_answer_is_ended_as_well(raw: Raw) -> None:
    assert raw.get("/api/health").answer().status == 200
    raw.send("GET /api/hea")
    assert raw.rest().startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("path", ["/api/runs/", "/api/runs/batch", "/api/runs/?wait=5", "/admin/"])
def test_a_body_that_does_not_come_is_given_up(server: Server, raw: Raw, path: str) -> None:
    answer = raw.post(path, 1000, b"{").answer()
    assert (answer.status, answer.code) == (408, "request_timeout")
    assert raw.rest() == b""
    assert_well(server)


def test_a_slow_body_that_keeps_coming_is_taken(raw: Raw) -> None:
    body = json.dumps({"workflow": "text_report", "payload": {"input": "x" * 40_000}}).encode()
    began = monotonic()
    raw.post("/api/runs/", len(body), b"")
    sent = 0
    while monotonic() - began < 2 * SECONDS:
        wait_until("time goes by", partial(_is_past, began + sent / 8000))
        raw.send(body[sent : sent + 800])
        sent += 800
    raw.send(body[sent:])
    assert raw.answer().status == 201


def test_a_client_that_does_not_read_is_ended(server: Server, client: Client) -> None:
    run = client.create("text_report", {"input": "x"}, metadata={"x": "x" * (9 * MIB)})
    raw = Raw(server.port, receive_buffer=4096).get(f"/api/runs/{run['id']}")
    wait_until("the answer begins", lambda: not raw.is_open() or bool(raw.head()))
    wait_until("the connection is gone", lambda: raw.own_port not in _peers(server.port))
    raw.close()
    assert_well(server)


def _peers(port: int) -> set[int]:
    """The other ends of the server's connections."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = [(row[1].split(":")[1], row[2].split(":")[1], row[9]) for row in rows]
    return {int(far, 16) for near, far, inode in ends if int(near, 16) == port and inode != "0"}


def test_a_quiet_stream_and_a_quiet_socket_live_on(server: Server, client: Client) -> None:
    run = client.create("tokens", QUIET)
    stream = Raw(server.port).get(f"/api/runs/{run['id']}/stream")
    with connect(f"ws://127.0.0.1:{server.port}/api/ws/") as socket:
        assert b"200 OK" in stream.head()
        began = monotonic()
        wait_until("all deadlines are over", partial(_is_past, began + 3 * SECONDS))
        socket.send('{"type": "ping"}')
        while json.loads(socket.recv(10))["event"] != "pong":
            pass
    stream.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        while stream.socket.recv(65536):
            pass
    stream.close()


# --- numbers ------------------------------------------------------------------------------------


def test_connections_that_ask_for_nothing_make_room_for_those_that_do(server: Server) -> None:
    with connections(server.port, 3 * CONNECTIONS) as idle:
        assert_well(server)
        with Client(server.url) as client:
            client.create("text_report", {"input": "hello"})
        kept = sum(one.is_open() for one in idle)
    assert 0 < kept <= CONNECTIONS
    assert server.log().count("FASTGRAPH_MAX_CONNECTIONS") < 5


def test_over_the_limit_only_the_health_check_is_answered(server: Server, client: Client) -> None:
    run = client.create("tokens", QUIET)
    client.close_connections()
    with connections(server.port, CONNECTIONS) as streams:
        for stream in streams:
            stream.get(f"/api/runs/{run['id']}/stream")
            assert b"200 OK" in stream.head()
        refused = Raw(server.port).get("/api/runs/")
        answer = refused.answer()
        refused.close()
        assert (answer.status, answer.code) == (503, "too_many_connections")
        assert int(answer.headers["retry-after"]) > 0
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://127.0.0.1:{server.port}/api/ws/")
        assert caught.value.response.status_code == 503
        assert_well(server)
        assert all(stream.socket.fileno() > 0 for stream in streams)
    wait_until("the streams are gone", lambda: len(_peers(server.port)) < WAITS)
    assert _is_served(server)
    assert server.log().count("FASTGRAPH_MAX_CONNECTIONS") < 5


def _is_served(server: Server) -> bool:
    other = Raw(server.port).get("/api/workflows", "Connection: close")
    status = other.answer().status
    other.close()
    return status == 200


def test_waits_over_the_limit_are_refused_and_create_nothing(
    server: Server, client: Client
) -> None:
    run = client.create("tokens", QUIET)
    path = f"/api/runs/{run['id']}/wait"
    waiting: list[Raw] = []
    order = b'{"workflow": "text_report", "payload": {"input": "hello"}}'

    def refused(target: str) -> bool:
        posts = target.startswith("/api/runs/?")
        with connections(server.port, 1) as (raw,):
            answer = (raw.post(target, len(order), order) if posts else raw.get(target)).answer()
        if answer.status != 503:
            return False
        assert (answer.code, int(answer.headers["retry-after"]) > 0) == ("too_many_waits", True)
        return True

    def all_wait() -> bool:
        # One that asked while the question below took its place was refused.
        for one in [one for one in waiting if not one.is_open()]:
            one.close()
            waiting.remove(one)
        while len(waiting) < WAITS:
            waiting.append(Raw(server.port).get(f"{path}?timeout=60"))
        return refused(f"{path}?timeout=1")

    wait_until("all wait", all_wait)
    before = client.get("/api/runs/?page_size=1")["results"][0]["id"]
    assert refused("/api/runs/?wait=30")
    assert refused(f"/api/runs/{run['id']}/events?after=1000&wait=1")
    assert client.get("/api/runs/?page_size=1")["results"][0]["id"] == before
    assert client.get(f"{path}?timeout=0")["run_id"] == run["id"]
    while waiting:
        waiting.pop().close()
    wait_until("there is room again", lambda: not refused("/api/runs/?wait=1"))


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/runs/", "/api/runs/batch", "/api/runs/?wait=1"])
@pytest.mark.parametrize("item", ["{}", "[]", "1", '""', '{"a":1}', "[[[[]]]]"])
def test_ten_megabytes_of_small_values_are_refused_at_once(
    server: Server, raw: Raw, path: str, item: str
) -> None:
    body = f"[{','.join([item] * (9 * MIB // (len(item) + 1)))}]".encode()
    answer = raw.post(path, len(body), body).answer()
    assert (answer.status, answer.code) == (413, "too_many_values")
    assert _peak_mib(server) < 500


def _peak_mib(server: Server) -> int:
    (web,) = [
        pid
        for pid, command in server.processes().items()
        if "fastgraph_site.server.process" in command
    ]
    status = Path(f"/proc/{web}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def test_the_bodies_of_all_requests_have_a_limit_which_leaves_room_for_small_ones(
    server: Server, client: Client
) -> None:
    unfinished = b"[" * (4 * MIB - 1)

    def refused_beside(large: list[Raw]) -> Answer | None:
        # The kernel takes the bodies before the server reads them: ask until it has read all.
        while all(one.is_open() for one in large):
            with connections(server.port, 1) as (other,):
                answer = other.post("/api/runs/", MIB, b"[" * MIB).answer()
            if answer.status == 503:
                return answer
        return None  # they were sent so slowly that the first of them was over

    def is_limited() -> bool:
        with connections(server.port, 3) as large:
            for one in large:
                one.post("/api/runs/", 4 * MIB, unfinished)
            answer = refused_beside(large)
            if answer is None:
                return False
            assert (answer.code, "retry-after" in answer.headers) == ("too_many_bodies", True)
            client.create("text_report", {"input": "hello"})
            assert [one.answer().code for one in large] == ["request_timeout"] * 3
        return True

    wait_until("a body does not fit beside others", is_limited, 60)
    client.create("text_report", {"input": "x" * MIB})


def test_a_compressed_body_is_refused(raw: Raw) -> None:
    body = gzip.compress(b'{"workflow": "text_report"}')
    head = f"POST /api/runs/ HTTP/1.1\r\n{HOST}Content-Encoding: gzip\r\n"
    answer = raw.send(f"{head}Content-Length: {len(body)}\r\n\r\n", body).answer()
    assert (answer.status, answer.code) == (415, "encoding_not_supported")
    assert answer.headers["accept-encoding"] == "identity"


def test_too_many_query_parameters_are_refused_wherever_they_go(server: Server) -> None:
    run_id = "00000000-0000-7000-8000-000000000000"
    for path in (f"/api/runs/{run_id}/events?wait=1", "/api/runs/?", f"/api/runs/{run_id}/wait?"):
        raw = Raw(server.port).get(path + "&a=b" * 2000)
        assert raw.answer().status == 400, path
        raw.close()


def test_a_message_of_endless_fragments_ends_its_socket(server: Server) -> None:
    for fragment in (b"\x00\x80\0\0\0\0", b"\x00\xfe\x04\x00\0\0\0\0" + b"x" * 1024):
        raw = upgrade(Raw(server.port))
        assert b" 101 " in raw.head()
        raw.send(b"\x01\x80\0\0\0\0" + fragment * 5000)
        assert (1009).to_bytes(2) in raw.rest()
        raw.close()
