"""Another site's page in the local user's browser can neither start nor read a run."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from channels.testing import WebsocketCommunicator

from fastgraph_site.web.guard import Guard, refusal
from tests.site.proxies import FORWARDING, OWN
from tests.site.requests import Exchange

HOST = (b"host", b"127.0.0.1:8000")


async def passed(scope: Any, receive: Any, send: Any) -> None:
    """The application behind the guard."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"passed"})
    else:
        await receive()
        await send({"type": "websocket.accept"})


async def ask(method: str, *headers: tuple[bytes, bytes]) -> Exchange:
    return await Exchange(method, "/api/runs/", headers).run(Guard(passed))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
    [
        (HOST,),
        ((b"host", b"localhost:8000"), (b"origin", b"http://localhost:8000")),
        ((b"host", b"[::1]:8000"), (b"origin", b"http://[::1]:8000")),
        ((b"host", b"localhost"), (b"origin", b"http://LOCALHOST:80")),
        (HOST, (b"origin", b"http://127.0.0.1:8000"), (b"sec-fetch-site", b"same-origin")),
    ],
)
async def test_the_local_user_passes(method: str, headers: Any) -> None:
    assert (await ask(method, *headers)).status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    [
        b"http://evil.example",
        b"http://127.0.0.1:3000",
        b"http://localhost:8000",  # another origin than the Host, if the same machine
        b"https://127.0.0.1",
        b"http://127.0.0.1:8000.evil.example",
        b"http://127.0.0.1",
        b"null",
        b"",
        b"http://[",
        b"file://",
    ],
)
async def test_a_foreign_origin_is_refused(method: str, origin: bytes) -> None:
    answer = await ask(method, HOST, (b"origin", origin))
    assert (answer.status, answer.code) == (403, "foreign_origin")
    assert b"passed" not in answer.body


async def test_one_foreign_origin_of_two_is_enough() -> None:
    own, foreign = b"http://127.0.0.1:8000", b"http://evil.example"
    for origins in ((own, foreign), (foreign, own)):
        answer = await ask("GET", HOST, *((b"origin", each) for each in origins))
        assert answer.status == 403


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 403), ("DELETE", 403)]
)
async def test_a_cross_site_request_may_follow_a_link_only(method: str, status: int) -> None:
    assert (await ask(method, HOST, (b"sec-fetch-site", b"cross-site"))).status == status


@pytest.mark.parametrize(
    "hosts",
    [
        (b"evil.example",),
        (b"evil.example:8000",),
        (b"127.0.0.1.evil.example",),
        (b"evil.example@127.0.0.1",),
        (b"",),
        (),
        (b"127.0.0.1:8000", b"evil.example"),
    ],
)
async def test_a_host_that_is_not_this_server_is_refused(hosts: tuple[bytes, ...]) -> None:
    """DNS rebinding: the page's own name points here, so that no Origin is foreign to it."""
    headers = [(b"host", host) for host in hosts]
    origin = (b"origin", b"http://" + (hosts[0] if hosts else b""))
    for answer in (await ask("GET", *headers), await ask("GET", *headers, origin)):
        assert (answer.status, answer.code) == (400, "host_not_allowed")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/api/runs/", 200),
        (b"*", 200),
        (b"http://127.0.0.1:8000/api/runs/", 200),
        (b"HTTP://127.0.0.1:8000", 200),
        (b"http://evil.example/api/runs/", 400),
        (b"http://127.0.0.1/api/runs/", 400),
        (b"http://evil.example@127.0.0.1:8000/", 400),
        (b"http://127.0.0.1:8000@evil.example/", 400),
        (b"ftp://127.0.0.1:8000:/", 400),
        (b"http://[/", 400),
        (b"evil.example:80", 400),
        (b"api/runs/", 400),
    ],
)
async def test_a_target_that_names_another_host_is_refused(target: bytes, status: int) -> None:
    exchange = Exchange("GET", target.decode(), (HOST,))
    assert (await exchange.run(Guard(passed))).status == status
    assert status == 200 or exchange.code == "host_not_allowed"


@pytest.mark.parametrize("name", FORWARDING)
async def test_a_forwarded_request_is_refused_with_a_sentence(name: str) -> None:
    for sent in (name.encode(), name.lower().encode(), name.replace("-", "_").encode()):
        answer = await ask("GET", HOST, (sent, b"10.0.0.1"))
        assert (answer.status, answer.code) == (403, "forwarded")
        assert "proxy" in json.loads(answer.body)["detail"]
    accepted, code = await socket(HOST, (name.lower().encode(), b"10.0.0.1")).connect()
    assert (accepted, code) == (False, 4403)


@pytest.mark.parametrize("name", OWN)
async def test_what_local_programs_send_is_no_sign_of_a_proxy(name: str) -> None:
    assert (await ask("GET", HOST, (name.encode(), b"1"))).status == 200


@pytest.mark.parametrize("name", ["Idempotency-Key", "Content-Type", "Authorization"])
@pytest.mark.parametrize("values", [("a", "b"), ("a", "a"), ("a", "")], ids="|".join)
async def test_a_header_that_means_something_once_is_not_joined(
    name: str, values: tuple[str, str]
) -> None:
    twice = [(name.lower().encode(), value.encode()) for value in values]
    answer = await ask("POST", HOST, *twice)
    assert (answer.status, answer.code) == (400, "repeated_header")
    assert name in json.loads(answer.body)["detail"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_body_that_nobody_reads_may_not_be_coded_either(method: str) -> None:
    answer = await ask(method, HOST, (b"content-encoding", b"gzip"))
    assert (answer.status, answer.code) == (415, "encoding_not_supported")
    answer = await ask(method, HOST, (b"transfer-encoding", b"gzip, chunked"))
    assert (answer.status, answer.code) == (501, "transfer_encoding_not_supported")
    accepted, _ = await socket(HOST, (b"content-encoding", b"gzip")).connect()
    assert not accepted


def socket(*headers: tuple[bytes, bytes]) -> WebsocketCommunicator:
    return WebsocketCommunicator(Guard(passed), "/api/ws/", headers=list(headers))


@pytest.mark.parametrize(
    "headers",
    [
        (HOST,),  # no browser: those always send an Origin
        (HOST, (b"origin", b"http://127.0.0.1:8000")),
    ],
)
async def test_a_local_socket_passes(headers: Any) -> None:
    accepted, _ = await socket(*headers).connect()
    assert accepted


@pytest.mark.parametrize(
    "headers",
    [
        (HOST, (b"origin", b"http://evil.example")),
        (HOST, (b"origin", b"null")),
        (HOST, (b"sec-fetch-site", b"cross-site")),
        ((b"host", b"evil.example"), (b"origin", b"http://evil.example")),
        ((b"host", b"evil.example"),),
        (HOST, (b"x-forwarded-for", b"10.0.0.1")),
        (),
    ],
)
async def test_a_foreign_socket_is_refused_before_it_is_accepted(headers: Any) -> None:
    accepted, code = await socket(*headers).connect()
    assert (accepted, code) == (False, 4403)


async def test_a_server_that_can_answers_a_refused_socket_with_the_problem() -> None:
    communicator = socket(HOST, (b"origin", b"null"))
    communicator.scope["extensions"] = {"websocket.http.response": {}}
    await communicator.send_input({"type": "websocket.connect"})
    start, body = [await communicator.receive_output() for _ in range(2)]
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert json.loads(body["body"])["code"] == "foreign_origin"


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_another_machine_is_refused(kind: str) -> None:
    scope = {**Exchange().scope, "type": kind, "client": ("192.0.2.1", 50000)}
    refused = refusal(cast(Any, scope))
    assert refused is not None and refused.code == "not_local"
    assert refusal(cast(Any, {**scope, "client": ("::1", 50000)})) is None
