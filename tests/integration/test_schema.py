"""The schema says what the API does, and the documentation pages need nobody else's server."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from runs.engine import events
from runs.models import TERMINAL, Run, Worker
from tests.gates import generate

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(api: APIClient) -> dict[str, Any]:
    return dict(api.get("/api/schema").json())


def test_it_is_valid_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn")

    assert "/api/runs/{run_id}/replay/" in capsys.readouterr().out


def test_every_operation_is_described(schema: dict[str, Any]) -> None:
    assert {"/api/runs/", "/api/health/"} <= set(schema["paths"])
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["tags"][0] in {tag["name"] for tag in schema["tags"]}, where
            failures = {status for status in operation["responses"] if status >= "400"}
            assert failures, where


def test_streams_are_described_by_what_they_read(schema: dict[str, Any]) -> None:
    def of(path: str) -> list[str]:
        return [each["name"] for each in schema["paths"][path]["get"]["parameters"]]

    assert of("/api/runs/{run_id}/stream/") == ["run_id", "after", "modes"]
    assert of("/api/runs/{run_id}/wait/") == ["run_id", "timeout"]
    assert set(of("/api/runs/{run_id}/events/")) == {"run_id", "after", "limit", "wait"}
    create = schema["paths"]["/api/runs/"]["post"]["parameters"]
    assert {each["name"] for each in create} == {"Idempotency-Key", "wait"}


def test_events_and_the_status_that_each_implies_are_those_of_the_table(
    schema: dict[str, Any],
) -> None:
    component = schema["components"]["schemas"]["EventName"]
    assert component["enum"] == list(events.NAMES)
    for kind in events.KINDS:
        row = component["x-event-kinds"][kind.name]
        assert (row["status"], row["terminal"]) == (kind.status, kind.terminal)
        assert row["replaces"] == list(kind.replaces)
        assert f"`{kind.name}`: {kind.meaning}" in component["description"]
    implied = {kind.status for kind in events.KINDS} - {None}
    assert implied == set(schema["components"]["schemas"]["RunStatus"]["enum"])
    assert set(TERMINAL) == events.TERMINAL


def test_the_documentation_has_every_event() -> None:
    page = generate.STREAMS.read_text()
    assert page == generate.with_events(page), "run `make generate`"
    for kind in events.KINDS:
        status = f"`{kind.status}`" if kind.status else ""
        assert f"| `{kind.name}` | {kind.meaning} | {status} |" in page


def test_answers_are_what_the_schema_says(
    api: APIClient, schema: dict[str, Any], finished: Run
) -> None:
    Worker.objects.create(host="here", pid=1, process_started="x")
    run = f"/api/runs/{finished.id}"
    replayed = api.post(f"{run}/replay", {"from_step": 1}, format="json").json()["id"]
    answers = {
        "/api/runs/": "/api/runs?page_size=1",
        "/api/runs/{run_id}/": f"/api/runs/{replayed}",
        "/api/runs/{run_id}/state/": f"{run}/state",
        "/api/runs/{run_id}/checkpoints/": f"{run}/checkpoints",
        "/api/runs/{run_id}/events/": f"{run}/events",
        "/api/artifacts/": "/api/artifacts",
        "/api/workflows/": "/api/workflows",
        "/api/workflows/{name}/": "/api/workflows/text_report",
        "/api/workers/": "/api/workers",
        "/api/health/": "/api/health",
    }
    for path, url in answers.items():
        check(schema, path, "get", "200", "application/json", api.get(url).json())
    for path, url in {
        "/api/runs/{run_id}/pause/": f"/api/runs/{replayed}/pause",
        "/api/runs/{run_id}/unpause/": f"/api/runs/{replayed}/unpause",
        "/api/workflows/{name}/pause/": "/api/workflows/text_report/pause",
        "/api/workflows/{name}/unpause/": "/api/workflows/text_report/unpause",
    }.items():
        check(schema, path, "post", "200", "application/json", api.post(url).json())
    check(schema, "/api/runs/", "get", "400", PROBLEM, api.get("/api/runs?x=1").json())
    bad = api.post("/api/runs", {"name": 5}, format="json").json()
    check(schema, "/api/runs/", "post", "422", PROBLEM, bad)
    missing = api.get(f"/api/artifacts/{uuid4()}").json()
    check(schema, "/api/artifacts/{artifact_id}/", "get", "404", PROBLEM, missing)


def test_bodies_of_requests_have_no_other_keys_in_the_schema_and_for_the_server(
    api: APIClient, schema: dict[str, Any], finished: Run
) -> None:
    bodies = {
        path: operation["post"]["requestBody"]["content"]["application/json"]["schema"]
        for path, operation in schema["paths"].items()
        if "requestBody" in operation.get("post", {})
    }
    assert len(bodies) >= 7
    for path, body in bodies.items():
        many = body.get("type") == "array"
        name = (body["items"] if many else body)["$ref"].rpartition("/")[2]
        assert schema["components"]["schemas"][name]["additionalProperties"] is False, path
        url = path.format(run_id=finished.id, name="text_report")
        asked = {"no_such_key": 1}
        answer = api.post(url, [asked] if many else asked, format="json")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), path
        assert "no_such_key" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "\x00"), ("name", "x" * 201), ("workflow", ""), ("tags", [""]), ("tags", ["\x00"]),
        ("tags", ["x" * 65]), ("concurrency_key", ""), ("concurrency_key", "a\x00"),
        ("concurrency_key", "x" * 256),
    ],
    ids=[
        "name-nul", "name-long", "workflow-empty", "tag-empty", "tag-nul", "tag-long", "key-empty",
        "key-nul", "key-long",
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_server_refuses(
    api: APIClient, schema: dict[str, Any], field: str, value: Any
) -> None:
    new_run = {"components": schema["components"], "$ref": "#/components/schemas/NewRun"}
    validator = Draft202012Validator(new_run)
    assert validator.is_valid({"name": "", "tags": ["a b"], "concurrency_key": "ключ 🗝"})
    assert not validator.is_valid({field: value})
    assert api.post("/api/runs/", {field: value}, format="json").status_code == 422


@pytest.mark.parametrize(
    "key", ["", "a\x7f", "a\xad", "x" * 256, "a", "a b", "é", "x" * 255], ids=ascii
)
def test_the_schema_says_which_idempotency_keys_there_are(
    api: APIClient, schema: dict[str, Any], anything: str, key: str
) -> None:
    (declared,) = (
        one["schema"]
        for one in schema["paths"]["/api/runs/"]["post"]["parameters"]
        if one["name"] == "Idempotency-Key"
    )
    headers = {"Idempotency-Key": key}
    answer = api.post("/api/runs/", {"workflow": anything}, format="json", headers=headers)
    assert answer.status_code == (201 if Draft202012Validator(declared).is_valid(key) else 400)


def test_a_download_has_the_type_of_its_artifact(schema: dict[str, Any]) -> None:
    answer = schema["paths"]["/api/artifacts/{artifact_id}/"]["get"]["responses"]["200"]
    assert {"*/*", "application/json", "application/octet-stream"} <= set(answer["content"])


PROBLEM = "application/problem+json"


def check(
    schema: dict[str, Any], path: str, method: str, status: str, media_type: str, body: Any
) -> None:
    content = schema["paths"][path][method]["responses"][status]["content"][media_type]
    closed = {"components": _closed(schema["components"]), **content["schema"]}
    errors = list(Draft202012Validator(closed).iter_errors(body))
    assert not errors, (path, errors[0].json_path, errors[0].message)


def _closed(part: Any) -> Any:
    """The schema with every object closed, so that an undocumented field is a fault too."""
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: _closed(value) for key, value in part.items()}
    if "properties" in found and isinstance(found["properties"], dict):
        found.setdefault("additionalProperties", False)
    return found


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/redoc", "/redoc/"])
def test_documentation_needs_no_other_server(path: str) -> None:
    answer = Client().get(path)
    page = answer.content.decode()

    assert answer.status_code == 200
    assert "/api/schema" in page
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page) == []
    assets = re.findall(r"""["'](/static/[^"']+\.(?:js|css))["']""", page)
    assert assets
    for asset in assets:
        got = Client().get(asset)
        assert got.status_code == 200, asset
        got.close()


def test_the_root_lists_the_api(api: APIClient) -> None:
    for path in ("/api", "/api/"):
        links = api.get(path).json()
        assert set(links) == {"runs", "artifacts", "workflows", "workers", "health"}
        for link in links.values():
            assert api.get(link).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/api/", "/api/runs/", "/api/artifacts/", "/api/workflows/text_report", "/api/health"],
)
def test_a_browser_gets_pages(path: str) -> None:
    answer = Client(HTTP_ACCEPT="text/html,*/*;q=0.8").get(path)

    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/html")


def test_a_browser_can_create_a_run() -> None:
    page = Client(HTTP_ACCEPT="text/html").get("/api/runs/").content.decode()

    assert "&quot;name&quot;: &quot;Test Run&quot;" in page
    assert "runs/browsable.js" in page


def test_a_browser_sees_a_run(finished: Run) -> None:
    for under in ("", "/state", "/events", "/checkpoints"):
        answer = Client(HTTP_ACCEPT="text/html").get(f"/api/runs/{finished.id}{under}")
        assert answer.status_code == 200
        assert b"/replay" not in answer.content  # a link cannot send a POST


def test_the_admin_works_with_and_without_its_slash() -> None:
    assert Client().get("/admin", follow=True).redirect_chain == [("/admin/", 302)]
