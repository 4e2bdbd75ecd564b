"""GET /api/artifacts and /api/artifacts/{id}"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from artifacts.models import Artifact
from artifacts.store import store
from runs.models import Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(trail: str) -> Run:
    return create_run(NewRun(workflow=trail, payload={"input": "x"}))


def artifact(
    run: Run, data: bytes = b"bytes", *, name: str = "a.txt", media_type: str = "text/plain"
) -> Artifact:
    blob = store().write(data)
    return Artifact.objects.create(
        id=uuid4(),
        run=run,
        node="first",
        name=name,
        media_type=media_type,
        size=blob.size,
        sha256=blob.sha256,
    )


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_a_run_can_be_downloaded(api: APIClient, finished: Run) -> None:
    rows = api.get(f"/api/artifacts?run={finished.id}").json()["results"]

    assert {row["name"] for row in rows} == {"note.txt", "result.json"}
    note = next(row for row in rows if row["name"] == "note.txt")
    assert note["id"] == note["artifact_id"]
    assert note["node"] == "first"
    answer = api.get(note["url"])
    data = body_of(answer)
    assert data == b"note: hello"
    assert note["size"] == len(data) == int(answer["Content-Length"])
    assert note["sha256"] == hashlib.sha256(data).hexdigest()
    assert answer["Content-Disposition"] == 'attachment; filename="note.txt"'


def test_the_list_comes_in_pages_and_by_run(api: APIClient, run: Run, trail: str) -> None:
    made = [str(artifact(run, bytes([i])).id) for i in range(5)]
    other = create_run(NewRun(workflow=trail, payload={"input": "x"}))
    artifact(other)

    page = api.get(f"/api/artifacts/?run={run.id}&page_size=3").json()
    rest = api.get(page["next"]).json()

    assert [row["id"] for row in page["results"] + rest["results"]] == made[::-1]
    assert api.get(f"/api/artifacts?run={uuid4()}").json()["results"] == []
    assert len(api.get("/api/artifacts").json()["results"]) == 6
    with CaptureQueriesContext(connection) as queries:
        api.get("/api/artifacts")
    assert len(queries) == 1


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html",
        "image/svg+xml",
        "application/javascript",
        "text/plain",
        "nonsense",
        "a/b\r\nX: 1",
    ],
)
def test_nothing_runs_in_a_browser(api: APIClient, run: Run, media_type: str) -> None:
    made = artifact(run, b"<script>alert(1)</script>", name="page.html", media_type=media_type)

    for query in ("", "?inline=0", "?inline=1"):
        answer = api.get(f"/api/artifacts/{made.id}{query}")

        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer["Content-Security-Policy"]
        inline = query == "?inline=1" and media_type == "text/plain"
        assert answer["Content-Disposition"].startswith("inline" if inline else "attachment")
        assert body_of(answer) == b"<script>alert(1)</script>"


@pytest.mark.parametrize(
    ("media_type", "shown_as"),
    [
        ("image/png", "image/png"),
        ("application/json", "application/json"),
        ("text/plain; charset=latin-1", "text/plain; charset=utf-8"),
        ("text/markdown", "text/plain; charset=utf-8"),
    ],
)
def test_safe_types_can_be_shown(api: APIClient, run: Run, media_type: str, shown_as: str) -> None:
    made = artifact(run, media_type=media_type)

    answer = api.get(f"/api/artifacts/{made.id}?inline=1")

    assert answer["Content-Type"] == shown_as
    assert answer["Content-Disposition"].startswith("inline")
    body_of(answer)


def test_a_copy_that_is_still_right_is_not_sent_again(api: APIClient, run: Run) -> None:
    made = artifact(run)
    url = f"/api/artifacts/{made.id}/"
    first = api.get(url)
    body_of(first)
    etag = first["ETag"]

    assert etag == f'"{made.sha256}"'
    for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = api.get(url, HTTP_IF_NONE_MATCH=header)
        assert again.status_code == 304
        assert again["ETag"] == etag
        assert not again.content
    changed = api.get(url, HTTP_IF_NONE_MATCH='"other"')
    assert changed.status_code == 200
    body_of(changed)


def test_missing_bytes_are_said_to_be_missing(api: APIClient, run: Run) -> None:
    made = artifact(run, b"soon gone")
    store().path(made.sha256).unlink()

    answer = api.get(f"/api/artifacts/{made.id}")

    assert answer.status_code == 410
    assert answer.json()["code"] == "artifact_bytes_missing"


@pytest.mark.parametrize("artifact_id", [str(UUID(int=0)), "nonsense", "%00"])
def test_nobody_is_404(api: APIClient, artifact_id: str) -> None:
    answer = api.get(f"/api/artifacts/{artifact_id}")

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_artifact"
