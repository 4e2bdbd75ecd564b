"""Django behind the pool of threads: what it sees, and what slow or vanished clients cost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fastgraph_site.web.wsgi import Call, environ
from fastgraph_site.web.wsgi_pool import PIECE, WsgiPool
from tests.site.requests import PATIENCE, Exchange

SMALL = b"x" * 4096


class LongAnswer:
    """An answer of many pieces that notes what was taken of it, and whether it was closed."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks
        self.closed = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> LongAnswer:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        while self.left:
            self.left -= 1
            yield SMALL

    def close(self) -> None:
        self.closed.set()


def closed(answer: LongAnswer) -> Any:
    return asyncio.to_thread(answer.closed.wait, PATIENCE)


async def test_a_short_answer_comes_in_one_visit() -> None:
    answer = LongAnswer(3)
    pool = WsgiPool(answer, 1)
    exchange = await Exchange().run(pool)
    assert exchange.received == [SMALL * 3]
    assert answer.closed.is_set()
    await pool.close()


async def test_a_long_answer_comes_in_pieces_and_whole() -> None:
    answer = LongAnswer(200)
    pool = WsgiPool(answer, 1)
    exchange = await Exchange().run(pool)
    assert exchange.body == SMALL * 200
    assert len(exchange.received) == 200 * len(SMALL) // PIECE + 1
    assert exchange.complete and answer.closed.is_set()
    await pool.close()


class SlowExchange(Exchange):
    """A client that takes the first bytes of its answer, and then no more until `released`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)
        if message["type"] == "http.response.body":
            self.reached.set()
            await self.released.wait()


async def test_a_slow_download_holds_no_thread_and_little_memory() -> None:
    answer = LongAnswer(1000)
    pool = WsgiPool(answer, 1)
    slow = SlowExchange()
    downloading = asyncio.create_task(slow.run(pool))
    async with asyncio.timeout(PATIENCE):
        await slow.reached.wait()
    assert answer.left == 1000 - PIECE // len(SMALL)
    other = LongAnswer(1)
    answered = Exchange()
    pool._application = other
    assert (await answered.run(pool)).status == 200  # by the pool's only thread
    slow.released.set()
    await downloading
    assert slow.body == SMALL * 1000
    await pool.close()


async def test_a_client_that_goes_ends_its_download() -> None:
    answer = LongAnswer(10**9)
    pool = WsgiPool(answer, 1)
    exchange = Exchange()
    exchange.leave()
    await exchange.run(pool)
    assert await closed(answer)
    await pool.close()


async def test_a_cancelled_download_is_closed() -> None:
    answer = LongAnswer(1000)
    pool = WsgiPool(answer, 1)
    slow = SlowExchange()
    downloading = asyncio.create_task(slow.run(pool))
    async with asyncio.timeout(PATIENCE):
        await slow.reached.wait()
    downloading.cancel()
    await asyncio.wait([downloading])
    assert await closed(answer)
    await pool.close()


async def test_a_request_that_is_cancelled_at_work_is_closed_by_its_thread() -> None:
    begun, go_on = threading.Event(), threading.Event()
    answer = LongAnswer(1000)

    def slow_view(environ: dict[str, Any], start_response: Any) -> LongAnswer:
        begun.set()
        go_on.wait(PATIENCE)
        return answer(environ, start_response)

    pool = WsgiPool(slow_view, 1)
    request = asyncio.create_task(Exchange().run(pool))
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    request.cancel()
    await asyncio.wait([request])
    assert not answer.closed.is_set()
    go_on.set()
    assert await closed(answer)
    await pool.close()


async def test_head_reads_no_more_than_a_piece() -> None:
    answer = LongAnswer(10**9)
    pool = WsgiPool(answer, 1)
    assert (await Exchange("HEAD").run(pool)).complete
    assert await closed(answer)
    await pool.close()


def test_the_environ_says_what_the_request_said() -> None:
    headers = [
        (b"host", b"localhost"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"accept", b"text/html"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/json"),
        (b"x_forwarded_for", b"10.0.0.1"),
    ]
    scope: Any = Exchange("PUT", "/é/x", headers, query=b"a=%20").scope
    values = environ(scope, b"body")
    assert values["PATH_INFO"].encode("latin-1").decode() == "/é/x"
    assert values["QUERY_STRING"] == "a=%20"
    assert values["HTTP_COOKIE"] == "a=1; b=2"
    assert values["HTTP_ACCEPT"] == "text/html,*/*"
    assert values["CONTENT_TYPE"] == "application/json"
    assert not [name for name in values if "FORWARDED" in name]
    assert values["wsgi.input"].read() == b"body"


def test_an_answer_is_closed_once() -> None:
    answer = LongAnswer(100)
    call = Call(answer, {})
    call.begin(1)
    assert call.abandon()
    call.close()
    assert answer.closed.is_set()
    assert not call.abandon()


class BrokenAnswer(LongAnswer):
    """An answer whose file ends before its time."""

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        raise FileNotFoundError("Its file lacks the last 7 bytes.")


async def test_an_answer_that_breaks_off_is_never_complete(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = BrokenAnswer(200)
    pool = WsgiPool(answer, 1)
    exchange = await Exchange().run(pool)
    assert not exchange.complete, "so the server cuts the connection"
    assert exchange.body != SMALL * 200
    assert "breaks off: Its file lacks" in caplog.text
    assert await closed(answer)
    await pool.close()
