"""`POST /api/runs/?wait=`: the run is made as any other, and run about when it has ended."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.db import OperationalError

from fastgraph_site.web import wait_for_end
from fastgraph_site.web.wait_for_end import WaitForEndMiddleware
from runs.models import Run
from runs.queries.summaries import detail
from streaming.hub import hub
from tests.site.requests import LOCAL, Exchange
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.sockets import until


class Maker:
    """What creates runs, or answers otherwise."""

    def __init__(self, status: int = 201, kind: bytes = b"application/json") -> None:
        self.status = status
        self.kind = kind
        self.asked: list[bytes] = []
        self.made: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["query_string"])
        self.made = await committed(create_run)
        run = await committed(lambda: detail(Run.objects.get(id=self.made)))
        headers = [(b"content-type", self.kind), (b"location", b"/api/runs/x")]
        start = {"type": "http.response.start", "status": self.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": json.dumps(run).encode()})


def order(query: bytes, method: str = "POST", path: str = "/api/runs/") -> Exchange:
    return Exchange(method, path, headers=[LOCAL], parts=[b"{}"], query=query)


async def waiting(maker: Maker, query: bytes = b"wait=60") -> tuple[Exchange, asyncio.Task[Any]]:
    exchange = order(query)
    answering = asyncio.create_task(exchange.run(WaitForEndMiddleware(maker)))
    await until(lambda: hub.current().completions.waited_for, "it waits")
    return exchange, answering


@pytest.mark.parametrize("status", [201, 200])
async def test_the_answer_is_the_run_at_its_end(status: int) -> None:
    maker = Maker(status)
    exchange, answering = await waiting(maker)
    assert exchange.status == 0
    await committed(append, maker.made, "started", "completed")
    await answering
    assert (exchange.status, exchange.headers[b"location"]) == (status, b"/api/runs/x")
    run = json.loads(exchange.body)
    assert (run["status"], run["seq"]) == ("completed", 3)
    assert exchange.headers[b"content-length"] == str(len(exchange.body)).encode()
    assert maker.asked == [b""]


@pytest.mark.parametrize("query", [b"wait=1", b"wait=0"])
async def test_when_the_time_is_over_the_answer_is_where_it_stands(query: bytes) -> None:
    exchange = await order(query).run(WaitForEndMiddleware(Maker()))
    assert exchange.status == 201
    assert json.loads(exchange.body)["status"] == "pending"


@pytest.mark.parametrize(
    "query", [b"wait=61", b"wait=-1", b"wait=x", b"wait=1&wait=2", b"wait=1&b=2"]
)
async def test_what_makes_no_sense_makes_no_run(query: bytes) -> None:
    maker = Maker()
    exchange = await order(query).run(WaitForEndMiddleware(maker))
    assert exchange.status == 400
    assert json.loads(exchange.body)["code"] == "bad_parameter"
    assert maker.asked == []


async def test_refusals_and_pages_go_through_at_once() -> None:
    for maker in (Maker(422, b"application/problem+json"), Maker(201, b"text/html")):
        exchange = await order(b"wait=60").run(WaitForEndMiddleware(maker))
        assert exchange.status == maker.status
        assert json.loads(exchange.body)["status"] == "pending"
        assert exchange.headers[b"content-type"] == maker.kind


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/runs/"), ("POST", "/api/runs/batch"), ("POST", "/other")]
)
async def test_other_requests_are_left_alone(method: str, path: str) -> None:
    maker = Maker()
    exchange = await order(b"wait=60", method, path).run(WaitForEndMiddleware(maker))
    assert (exchange.status, maker.asked) == (201, [b"wait=60"])


async def test_a_client_that_leaves_frees_everything_but_the_run() -> None:
    maker = Maker()
    exchange, answering = await waiting(maker)
    exchange.leave()
    await answering
    assert exchange.status == 0
    assert not hub.current().completions.waited_for
    assert await committed(Run.objects.filter(id=maker.made).exists)


async def test_a_server_that_stops_answers_where_the_run_stands() -> None:
    maker = Maker()
    exchange, answering = await waiting(maker)
    hub.disconnect_all()
    await answering
    assert exchange.status == 201
    assert json.loads(exchange.body)["id"] == str(maker.made)


async def test_a_run_that_is_deleted_meanwhile_is_answered_as_it_was_made() -> None:
    maker = Maker()
    exchange, answering = await waiting(maker)
    await committed(Run.objects.filter(id=maker.made).delete)
    await answering
    assert exchange.status == 201
    assert json.loads(exchange.body)["id"] == str(maker.made)


@pytest.mark.parametrize(
    "asked", ["streaming.hub.moved_runs.ended", "streaming.http.long_poll._run_detail"]
)
async def test_a_database_that_is_away_keeps_no_answer_back(
    monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(asked, away)
    monkeypatch.setattr(wait_for_end, "GRACE_SECONDS", 0.1)
    exchange = await order(b"wait=1").run(WaitForEndMiddleware(Maker()))
    assert exchange.status == 201
    assert json.loads(exchange.body)["status"] == "pending"


async def test_what_else_is_asked_is_handed_on() -> None:
    maker = Maker()
    await order(b"format=json&wait=0").run(WaitForEndMiddleware(maker))
    assert maker.asked == [b"format=json"]
