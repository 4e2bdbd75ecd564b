"""Rubbish in, a problem out: the right status, a stable code, and nothing half-made."""

from __future__ import annotations

import json
import logging
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import OperationalError
from django.test import Client, override_settings
from rest_framework.test import APIClient

from runs.models import Run
from runs.operations import create_requests

pytestmark = pytest.mark.django_db

NOBODY = UUID(int=0)

BODIES: list[tuple[bytes, int, str]] = [
    (b"{", 400, "malformed_json"),
    (b"hello", 400, "malformed_json"),
    (b'{"a": 1} x', 400, "malformed_json"),
    (b'{"payload": {"input": NaN}}', 400, "malformed_json"),
    (b'{"payload": {"input": -Infinity}}', 400, "malformed_json"),
    (b"\xff\xfe\x00", 400, "malformed_json"),
    (b'{"name": "\xff"}', 400, "malformed_json"),
    (b'{"name": "a\x00b"}', 400, "malformed_json"),
    (b"[" * 100_000, 400, "malformed_json"),
    (b'{"payload": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "malformed_json"),
    (b'{"payload": {"input": 1' + b"0" * 5000 + b"}}", 400, "malformed_json"),
    (b'{"payload": {"input": 1e999}}', 422, "invalid"),
    (b"[]", 422, "invalid"),
    (b"null", 422, "invalid"),
    (b'"text"', 422, "invalid"),
    (b"5", 422, "invalid"),
    (b'{"nmae": "x"}', 422, "invalid"),
    (b'{"": 1}', 422, "invalid"),
    (b'{"\\ud800": 1}', 422, "invalid"),
    (b"", 422, "invalid"),
    (b"a=1&b=2", 400, "malformed_json"),
]


def check(answer: Any, status: int, code: str) -> dict[str, Any]:
    body = json.loads(answer.content)
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer["Content-Type"] == "application/problem+json"
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"].endswith((".", "`"))
    assert "Traceback" not in body["detail"]
    answer.content.decode()
    return dict(body)


def post(api: Any, body: bytes, **options: str) -> Any:
    return api.generic("POST", "/api/runs/", body, content_type="application/json", **options)


def rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in apps.get_models()}


@pytest.mark.parametrize(("body", "status", "code"), BODIES, ids=lambda v: str(v)[:40])
def test_bad_bodies(api: APIClient, body: bytes, status: int, code: str) -> None:
    before = rows()
    answer = post(api, body)

    check(answer, status, code)
    assert rows() == before


REQUESTS: list[tuple[str, str, int, str]] = [
    ("GET", "/api/runs?status=nonsense", 400, "bad_parameter"),
    ("GET", "/api/runs?stauts=pending", 400, "bad_parameter"),
    ("GET", "/api/runs?status=pending&status=failed", 400, "bad_parameter"),
    ("GET", "/api/runs?page_size=0", 400, "bad_parameter"),
    ("GET", "/api/runs?page_size=201", 400, "bad_parameter"),
    ("GET", "/api/runs?page_size=-1", 400, "bad_parameter"),
    ("GET", "/api/runs?page_size=five", 400, "bad_parameter"),
    ("GET", "/api/runs?page_size=%D9%A3", 400, "bad_parameter"),
    ("GET", "/api/runs?page_size=1e2", 400, "bad_parameter"),
    ("GET", "/api/runs?cursor=nonsense", 400, "bad_parameter"),
    ("GET", "/api/runs?cursor=WyJmIl0", 400, "bad_parameter"),  # ["f"]
    ("GET", "/api/runs?cursor=WyJmIiwiMjAyNi0wMS0wMSIsIngiXQ", 400, "bad_parameter"),
    ("GET", "/api/runs?cursor=bnVsbA", 400, "bad_parameter"),  # null
    ("GET", "/api/runs?cursor=%C3%A9", 400, "bad_parameter"),
    ("GET", "/api/runs?q=a%00b", 400, "bad_parameter"),
    ("GET", "/api/runs?workflow=%00", 400, "bad_parameter"),
    ("GET", f"/api/runs?q={'x' * 201}", 400, "bad_parameter"),
    ("GET", "/api/runs?format=xml", 400, "bad_parameter"),
    ("POST", "/api/runs?dry_run=1", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}?x=1", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}/events?after=-1", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}/events?after=9223372036854775808", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}/events?limit=0", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}/events?limit=1001", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}/events?limit=%2B5", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}/state?checkpoint=nonsense", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}/state?checkpoint={NOBODY.hex}", 400, "bad_parameter"),
    ("GET", f"/api/runs/{NOBODY}/checkpoints?page_size=x", 400, "bad_parameter"),
    ("GET", "/api/artifacts?run=nonsense", 400, "bad_parameter"),
    ("GET", f"/api/artifacts/{NOBODY}?inline=yes", 400, "bad_parameter"),
    ("GET", "/api/workflows?page_size=5", 400, "bad_parameter"),
    ("GET", "/api/health?x", 400, "bad_parameter"),
    ("POST", f"/api/runs/{NOBODY}/replay", 404, "unknown_run"),
    ("POST", "/api/runs/nonsense/replay/", 404, "unknown_run"),
    ("GET", f"/api/runs/{NOBODY}/nonsense", 404, "not_found"),
    ("GET", "/api/nonsense", 404, "not_found"),
    ("POST", "/api/nonsense/", 404, "not_found"),
    ("GET", "/api/runs//", 404, "not_found"),
    ("GET", "/api/%00", 404, "not_found"),
    ("GET", "/api/ws/x", 404, "not_found"),
    ("PUT", "/api/runs/", 405, "method_not_allowed"),
    ("DELETE", f"/api/runs/{NOBODY}", 405, "method_not_allowed"),
    ("POST", f"/api/runs/{NOBODY}", 405, "method_not_allowed"),
    ("GET", f"/api/runs/{NOBODY}/replay", 405, "method_not_allowed"),
    ("POST", "/api/workflows", 405, "method_not_allowed"),
    ("PATCH", "/api/health", 405, "method_not_allowed"),
    ("BREW", "/api/runs", 405, "method_not_allowed"),
]


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8"])
@pytest.mark.parametrize(("method", "path", "status", "code"), REQUESTS)
def test_bad_requests(
    api: APIClient, method: str, path: str, status: int, code: str, accept: str
) -> None:
    before = rows()
    answer = api.generic(method, path, HTTP_ACCEPT=accept)

    check(answer, status, code)
    assert rows() == before
    if status == 405:
        assert answer["Allow"]


def test_a_bad_parameter_is_named_with_what_is_allowed(api: APIClient) -> None:
    detail = api.get("/api/runs?status=nonsense").json()["detail"]

    assert "`status`" in detail
    assert "pending, running" in detail
    assert "page_size" in api.get("/api/runs?nonsense=1").json()["detail"]


@pytest.mark.parametrize("lie", [None, "10", "0"])
def test_a_body_over_the_limit(api: APIClient, settings: Any, lie: str | None) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "max_body_bytes": 1000}
    body = b'{"payload": {"input": "' + b"x" * 1000 + b'"}}'
    options = {} if lie is None else {"CONTENT_LENGTH": lie}

    answer = post(api, body, **options)

    if lie is None:
        check(answer, 413, "body_too_large")
    else:  # what is declared is all that is read
        assert answer.status_code in (400, 422)
    assert Run.objects.count() == 0


def test_the_unexpected_is_logged_and_not_shown(
    api: APIClient, trail: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(create_requests, "insert_runs", broken)
    with caplog.at_level(logging.ERROR):
        answer = api.post("/api/runs/", {"payload": {"input": "x"}}, format="json")

    check(answer, 500, "internal_error")
    assert b"secret" not in answer.content
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("debug", [True, False])
def test_a_database_that_is_away(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    def broken(*_: object) -> None:
        raise OperationalError("secret detail")

    monkeypatch.setattr(create_requests, "insert_runs", broken)
    with override_settings(DEBUG=debug):
        answer = api.post("/api/runs/", {"payload": {"input": "x"}}, format="json")

    check(answer, 503, "database_unavailable")
    assert answer["Retry-After"] == "2"
    assert b"secret" not in answer.content


def test_a_foreign_host_is_refused() -> None:
    for path in ("/api/runs/", "/", "/docs"):
        check(Client().get(path, HTTP_HOST="evil.example"), 400, "bad_request")


def test_a_browser_outside_the_api_gets_a_page() -> None:
    browser = Client(HTTP_ACCEPT="text/html,*/*;q=0.8")

    answer = browser.get("/nonsense/<b>")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
    assert b"There is nothing at /nonsense/&lt;b&gt;" in answer.content
    check(Client().get("/nonsense"), 404, "not_found")


def test_a_form_of_another_site_is_refused() -> None:
    stranger = Client(enforce_csrf_checks=True)

    answer = stranger.post("/admin/logout/")

    check(answer, 403, "csrf_failed")
