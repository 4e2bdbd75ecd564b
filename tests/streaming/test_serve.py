"""Streams of a real `manage.py serve`: its own workers write, its own web process streams."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.streaming.http import parse
from tests.support.client import Client
from tests.support.processes import Server, wait_until

pytestmark = pytest.mark.processes
LONG = {"count": 2000, "interval": 0.05}


@pytest.fixture
def _hub_ends() -> None:
    """No hub in this process."""


class Stream(threading.Thread):
    """A client of a server-sent stream that reads to its end."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.body = b""
        self.ended_well = False
        self.start()

    def run(self) -> None:
        with httpx.stream("GET", self.url, timeout=60) as answer:
            for piece in answer.iter_raw():
                self.body += piece
            self.ended_well = True


def test_every_way_to_read_gives_the_same(server: Server, client: Client) -> None:
    run = client.create("text_report", {"input": "hello"})
    waited = client.get(f"/api/runs/{run['id']}/wait?timeout=60")
    assert waited["status"] == "completed"
    messages, last = parse(httpx.get(f"{server.url}/api/runs/{run['id']}/stream").content)
    frames = client.events(run["id"])
    assert [message.frame for message in messages] == frames == client.frames(run["id"])
    assert last == str(waited["seq"])
    polled = client.get(f"/api/runs/{run['id']}/events?wait=5&limit=1000")
    assert polled["results"] == frames


@pytest.mark.parametrize("accept", ["application/json", "application/json;q=0.9"])
def test_who_creates_a_run_may_wait_for_its_end(client: Client, accept: str) -> None:
    """Through either door (docs/decisions/0007-two-doors.md)."""
    order = {"workflow": "text_report", "payload": {"input": "hello"}}
    headers = {"Accept": accept, "Idempotency-Key": f"once, {accept}"}
    answers = [
        client.http.post("/api/runs/?wait=60", json=order, headers=headers, timeout=70)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    runs = [answer.json() for answer in answers]
    assert [run["status"] for run in runs] == ["completed"] * 2
    assert answers[0].headers["location"] == f"/api/runs/{runs[0]['id']}"
    assert runs[0] == runs[1] == client.run(runs[0]["id"])


def test_a_stop_ends_streams_and_polls_and_the_next_server_goes_on(own_server: Server) -> None:
    with Client(own_server.url) as client:
        run_id = client.create("tokens", LONG)["id"]
        stream = Stream(f"{own_server.url}/api/runs/{run_id}/stream")
        wait_until("events arrive", lambda: b"event: custom" in stream.body)
        assert own_server.stop() == 0
        stream.join(10)
    assert stream.ended_well
    assert "graceful" not in own_server.log()
    own_server.start()
    cursor = parse(stream.body)[1]
    again = Stream(f"{own_server.url}/api/runs/{run_id}/stream?after={cursor}")
    wait_until("the stream goes on", lambda: bool(parse(again.body)[0]))
    assert parse(again.body)[0][0].id == str(int(cursor) + 1)
