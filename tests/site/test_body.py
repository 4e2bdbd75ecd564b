"""Bodies are complete, and not too large, before a thread is taken."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.conf import settings

from fastgraph_site.web import body_limit
from fastgraph_site.web.body_limit import BodyLimit
from fastgraph_site.web.wsgi_pool import WsgiPool
from tests.site.requests import LOCAL, Exchange

LIMIT = 1000


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.FASTGRAPH, "max_body_bytes", LIMIT)


class Calls:
    """A WSGI application that notes what it was called with."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.bodies.append(environ["wsgi.input"].read())
        length = environ.get("CONTENT_LENGTH")
        start_response("200 OK", [])
        return [
            json.dumps({"length": length, "encoding": "HTTP_TRANSFER_ENCODING" in environ}).encode()
        ]


async def post(*parts: bytes, headers: Any = ()) -> tuple[Exchange, Calls]:
    calls = Calls()
    pool = WsgiPool(calls, 1)
    exchange = await Exchange("POST", "/", [LOCAL, *headers], parts).run(BodyLimit(pool))
    await pool.close()
    return exchange, calls


async def test_a_chunked_body_gets_its_length() -> None:
    answer, calls = await post(
        b"a" * 400, b"", b"b" * 600, headers=[(b"transfer-encoding", b"chunked")]
    )
    assert json.loads(answer.body) == {"length": "1000", "encoding": False}
    assert calls.bodies == [b"a" * 400 + b"b" * 600]


async def test_a_request_without_a_body_is_left_as_it_is() -> None:
    answer, _ = await post(b"")
    assert json.loads(answer.body)["length"] is None


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused(declared: bool) -> None:
    headers = [(b"content-length", b"1001")] if declared else []
    answer, calls = await post(b"a" * 600, b"b" * 401, headers=headers)
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert answer.headers[b"connection"] == b"close"
    assert calls.bodies == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"content-encoding", b"gzip")], 415),
        ([(b"content-encoding", b"identity, br")], 415),
        ([(b"content-encoding", b"identity")], 200),
        ([(b"transfer-encoding", b"gzip, chunked")], 501),
        ([(b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")], 501),
        ([(b"transfer-encoding", b"identity")], 501),
        ([(b"transfer-encoding", b"Chunked")], 200),
    ],
    ids=["gzip", "list", "identity", "coded-chunks", "two-lines", "no-chunks", "chunks"],
)
async def test_a_body_that_is_coded_is_refused(
    headers: list[tuple[bytes, bytes]], status: int
) -> None:
    answer, calls = await post(b"a" * 10, headers=headers)
    assert answer.status == status
    assert calls.bodies == ([b"a" * 10] if status == 200 else [])


async def test_what_is_over_the_limit_is_read_before_the_answer_but_not_for_ever() -> None:
    parts = [b"x" * 1000] * 20
    exchange = Exchange("POST", "/", [LOCAL], parts)
    await exchange.run(BodyLimit(Calls()))  # type: ignore[arg-type]
    assert exchange.status == 413
    assert exchange.incoming.qsize() == 20 - (2 + body_limit.FURTHER + 1)


async def test_a_client_that_asks_first_is_told_before_it_sends() -> None:
    headers = [LOCAL, (b"content-length", b"1001"), (b"expect", b"100-continue")]
    exchange = Exchange("POST", "/", headers, parts=())
    await exchange.run(BodyLimit(Calls()))  # type: ignore[arg-type]
    assert exchange.status == 413


async def test_a_client_that_goes_before_the_end_of_its_body_is_not_served() -> None:
    calls = Calls()
    exchange = Exchange("POST", "/", [LOCAL], parts=())
    exchange.send_part(b"half", more=True)
    exchange.leave()
    await exchange.run(BodyLimit(WsgiPool(calls, 1)))
    assert (exchange.status, calls.bodies) == (0, [])


async def test_a_slow_body_costs_no_thread() -> None:
    """Ten clients that do not finish their body, one thread, and one who is served at once."""
    calls = Calls()
    pool = WsgiPool(calls, 1)
    application = BodyLimit(pool)
    slow = [Exchange("POST", "/", [LOCAL], parts=()) for _ in range(10)]
    for exchange in slow:
        exchange.send_part(b"half", more=True)
    waiting = [asyncio.create_task(exchange.run(application)) for exchange in slow]
    assert (await Exchange("POST", parts=[b"quick"]).run(application)).status == 200
    assert calls.bodies == [b"quick"]
    for exchange in slow:
        exchange.send_part(b" done", more=False)
    await asyncio.gather(*waiting)
    assert calls.bodies[1:] == [b"half done"] * 10
    await pool.close()
