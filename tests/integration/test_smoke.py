"""What `manage.py smoke` says when something is wrong. That it passes is tests/acceptance's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.support.processes import free_port

HEALTHY = (200, {"status": "ok"})
CREATED = (201, {"run_id": "r1", "workflow": "text_report", "status": "pending"})
DONE = (200, {"results": [{"event": "completed", "seq": 1, "data": None}]})
NOTHING: tuple[int, Any] = (200, {"results": []})


def listed(sha256: str) -> tuple[int, Any]:
    names = ("report.md", "result.json")
    rows = [
        {"name": name, "sha256": sha256, "size": 2, "url": f"/api/artifacts/{name}"}
        for name in names
    ]
    return 200, {"results": rows}


Answers = dict[str, tuple[int, Any]]
Serve = Callable[[Answers], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that gives canned answers by the beginning of the path."""
    running: list[ThreadingHTTPServer] = []

    def start(answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = next(
                    answer for path, answer in answers.items() if self.path.startswith(path)
                )
                sent = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.path = "POST"
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def refusal(url: str, *arguments: str) -> str:
    with pytest.raises(CommandError) as refused:
        call_command("smoke", "--url", url, *arguments, stdout=StringIO())
    return str(refused.value)


def test_nothing_listens() -> None:
    said = refusal(f"http://127.0.0.1:{free_port()}")
    assert "Nothing answers at" in said and "manage.py serve" in said


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "file:///etc/passwd", ""])
def test_no_address(url: str) -> None:
    assert "is not an address" in refusal(url)


def test_another_kind_of_server(serve: Serve) -> None:
    assert "is it a FastGraph server?" in refusal(serve({"/": (200, b"<html>")}))


def test_an_unhealthy_server(serve: Serve) -> None:
    down = (503, {"status": "down", "checks": {"database": "gone"}})
    assert "is not healthy" in refusal(serve({"/api/health": down}))


def test_a_refused_run(serve: Serve) -> None:
    answers = {"/api/health": HEALTHY, "POST": (422, {"detail": "No such workflow."})}
    assert "answered 422: No such workflow." in refusal(serve(answers))


@pytest.mark.parametrize(
    ("workers", "says"),
    [([], "no worker is running"), ([{"alive": True}], "did not finish within 0.2 s")],
)
def test_a_run_that_does_not_end(serve: Serve, workers: list[Any], says: str) -> None:
    url = serve(
        {
            "/api/health": HEALTHY,
            "POST": CREATED,
            "/api/runs/r1/events": NOTHING,
            "/api/workers/": (200, {"results": workers}),
        }
    )
    assert says in refusal(url, "--timeout", "0.2")


def test_a_run_that_fails(serve: Serve) -> None:
    failed = (200, {"results": [{"event": "failed", "seq": 1, "data": {"type": "ValueError"}}]})
    url = serve({"/api/health": HEALTHY, "POST": CREATED, "/api/runs/r1/events": failed})
    assert "The run failed" in refusal(url)


@pytest.mark.parametrize(
    ("sha256", "says"), [("0" * 64, "is not what was stored"), (None, "were expected")]
)
def test_artifacts_that_are_wrong(serve: Serve, sha256: str | None, says: str) -> None:
    url = serve(
        {
            "/api/health": HEALTHY,
            "POST": CREATED,
            "/api/runs/r1/events": DONE,
            "/api/artifacts/?run=r1": listed(sha256) if sha256 else NOTHING,
            "/api/artifacts/": (200, b"ok"),
        }
    )
    assert says in refusal(url)
