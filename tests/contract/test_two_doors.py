"""Requests that create runs are answered alike by both doors: Django's and the one past it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import OperationalError, connections

from fastgraph_site.web.create_runs import CreateRunsMiddleware
from fastgraph_site.web.wsgi_pool import WsgiPool
from runs.models import Event, Run, Thread
from runs.operations import create_requests
from tests.site.requests import LOCAL, Exchange

pytestmark = pytest.mark.django_db(transaction=True)

ONE = {"workflow": "steps", "payload": {"steps": 1}}
KEY = b"idempotency-key"
JSON = (b"content-type", b"application/json")
#: What differs from one creation to the next: ids, times, and the length of what holds them.
CHANGES = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[\d-]{10}T[\d:.]{15}Z")


class Nobody:
    """Behind the door past Django: what comes here was not answered by it."""

    async def __call__(self, *_: object) -> None:
        raise AssertionError("handed on to Django")


@pytest.fixture
async def doors() -> AsyncIterator[tuple[Any, Any]]:
    django, hot = WsgiPool(get_wsgi_application(), 1), CreateRunsMiddleware(Nobody())
    yield django, hot
    await django.close()
    await hot.close()


async def ask(door: Any, path: str, body: bytes, *headers: tuple[bytes, bytes]) -> Exchange:
    sent = [LOCAL, JSON, (b"content-length", str(len(body)).encode()), *headers]
    return await Exchange("POST", path, sent, [body]).run(door)


async def asking(question: Callable[[], Any]) -> Any:
    """The answer of the database, without a connection that stays open."""

    def ask_and_close() -> Any:
        try:
            return question()
        finally:
            connections.close_all()

    return await asyncio.to_thread(ask_and_close)


def told(exchange: Exchange) -> tuple[int, dict[bytes, bytes], bytes]:
    headers = {name: CHANGES.sub(b"*", value) for name, value in exchange.headers.items()}
    assert int(headers.pop(b"content-length")) == len(exchange.body)
    return exchange.status, headers, CHANGES.sub(b"*", exchange.body)


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


REQUESTS: dict[str, tuple[str, bytes, int]] = {
    "one": ("/api/runs/", dumped(ONE), 201),
    "without its slash": ("/api/runs", dumped(ONE), 201),
    "everything": (
        "/api/runs",
        dumped({**ONE, "name": "ü", "metadata": {"a": 1e23}, "tags": ["x"], "priority": -3}),
        201,
    ),
    "no thread": ("/api/runs", dumped({**ONE, "thread": None}), 201),
    "empty": ("/api/runs", b"", 422),
    "no JSON": ("/api/runs", b"{", 400),
    "not UTF-8": ("/api/runs", b'"\xff"', 400),
    "NaN": ("/api/runs", b'{"payload": {"a": NaN}}', 400),
    "too deep": ("/api/runs", b"[" * 60_000, 400),
    "no object": ("/api/runs", b"3", 422),
    "unknown field": ("/api/runs", dumped({**ONE, "colour": "red"}), 422),
    "unknown workflow": ("/api/runs", dumped({"workflow": "nope"}), 422),
    "unknown thread": (
        "/api/runs",
        dumped({**ONE, "thread": "0" * 8 + "-0000" * 4 + "0" * 8}),
        422,
    ),
    "no id": ("/api/runs", dumped({**ONE, "thread": "x"}), 422),
    "several faults": ("/api/runs", dumped({"name": 1, "tags": [1], "payload": []}), 422),
    "half a character": ("/api/runs", b'{"name": "\\ud800"}', 422),
    "beyond 64 bits": ("/api/runs", b'{"payload": {"steps": 99999999999999999999}}', 422),
    "batch": ("/api/runs/batch", dumped([ONE, {**ONE, "name": "b"}]), 201),
    "batch with its slash": ("/api/runs/batch/", dumped([ONE]), 201),
    "batch with a fault": ("/api/runs/batch", dumped([ONE, {**ONE, "payload": {}}]), 422),
    "empty batch": ("/api/runs/batch", b"[]", 422),
    "no batch": ("/api/runs/batch", dumped(ONE), 422),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_the_same_answer(doors: tuple[Any, Any], what: str) -> None:
    path, body, status = REQUESTS[what]
    answers = [told(await ask(door, path, body)) for door in doors]
    assert answers[0] == answers[1]
    assert answers[0][0] == status


@pytest.mark.parametrize("key", [b"k", b"\xe9", b"", b"x" * 256, b"a\tb"])
async def test_the_same_answer_with_a_key(doors: tuple[Any, Any], key: bytes) -> None:
    answers = []
    for place, door in enumerate(doors):
        own = key.replace(b"k", b"k%d" % place)
        first = await ask(door, "/api/runs", dumped(ONE), (KEY, own))
        again = await ask(door, "/api/runs", dumped(ONE), (KEY, own))
        other = await ask(door, "/api/runs", dumped({**ONE, "name": "2"}), (KEY, own))
        if first.status == 201:
            assert json.loads(first.body)["id"] == json.loads(again.body)["id"]
        await asking(Run.objects.all().delete)
        answers.append([_without(place, told(each)) for each in (first, again, other)])
    assert answers[0] == answers[1]


async def test_a_batch_takes_no_key(doors: tuple[Any, Any]) -> None:
    """It would be made twice, by a client that believes otherwise."""
    answers = [
        told(await ask(door, "/api/runs/batch", dumped([ONE]), (KEY, b"k"))) for door in doors
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 400
    assert not await asking(Run.objects.exists)


def _without(place: int, answer: tuple[Any, Any, bytes]) -> Any:
    return (*answer[:2], answer[2].replace(b"k%d" % place, b"k"))


async def test_a_key_is_the_same_at_both(doors: tuple[Any, Any]) -> None:
    answers = [await ask(door, "/api/runs", dumped(ONE), (KEY, b"k")) for door in doors]
    assert [answer.status for answer in answers] == [201, 200]
    assert answers[0].body == answers[1].body


async def test_the_same_rows(doors: tuple[Any, Any]) -> None:
    for door in doors:
        assert (await ask(door, "/api/runs", dumped({**ONE, "tags": ["t"]}))).status == 201

    def rows() -> list[list[dict[str, Any]]]:
        models: list[Any] = [Run, Thread, Event]
        return [list(model.objects.values()) for model in models]

    changing = {"id", "run_id", "thread_id", "created_at", "updated_at", "ts"}
    for first, second in await asking(rows):
        assert {k: v for k, v in first.items() if k not in changing} == {
            k: v for k, v in second.items() if k not in changing
        }


@pytest.mark.parametrize(
    ("error", "status"), [(OperationalError("gone"), 503), (ArithmeticError("ours"), 500)]
)
async def test_the_same_answer_when_the_server_fails(
    doors: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(create_requests, "insert_runs", fail)
    answers = [told(await ask(door, "/api/runs", dumped(ONE))) for door in doors]
    assert answers[0] == answers[1]
    assert answers[0][0] == status


@pytest.mark.parametrize(
    "headers",
    [
        [(b"accept", b"text/html")],
        [(b"accept", b"application/json; indent=4")],
        [(b"cookie", b"sessionid=x")],
        [(b"authorization", b"Bearer x")],
        [(KEY, b"a"), (KEY, b"b")],
        [(b"content-type", b"multipart/form-data; boundary=x")],
    ],
    ids=["page", "indented", "cookie", "credentials", "two keys", "form"],
)
async def test_what_is_not_plain_is_handed_on(headers: list[tuple[bytes, bytes]]) -> None:
    hot = CreateRunsMiddleware(Nobody())
    with pytest.raises(AssertionError, match="handed on"):
        await Exchange("POST", "/api/runs", [LOCAL, *headers], [b"{}"]).run(hot)


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [("GET", "/api/runs", b""), ("POST", "/api/runs/x", b""), ("POST", "/api/runs", b"a=b")],
)
async def test_other_requests_are_handed_on(method: str, path: str, query: bytes) -> None:
    hot = CreateRunsMiddleware(Nobody())
    with pytest.raises(AssertionError, match="handed on"):
        await Exchange(method, path, [LOCAL], [b"{}"], query).run(hot)


async def test_a_large_body_is_handed_on_whole() -> None:
    body = b" " * 70_000 + dumped(ONE)
    django = WsgiPool(get_wsgi_application(), 1)
    exchange = await ask(CreateRunsMiddleware(django), "/api/runs", body)
    await django.close()
    assert exchange.status == 201
