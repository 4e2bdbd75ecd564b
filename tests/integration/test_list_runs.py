"""GET /api/runs"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from runs.models import Run, RunStatus, Thread
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def ten(trail: str) -> list[str]:
    """The ids of ten runs, newest first; three of them were created at the same moment."""
    runs = [
        create_run(NewRun(workflow=trail, name=f"Run {i}", payload={"input": "x"}))
        for i in range(10)
    ]
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    Run.objects.filter(pk__in=[run.pk for run in runs[:3]]).update(created_at=moment)
    return [str(run.pk) for run in reversed(runs)]


def ids(body: dict[str, Any]) -> list[str]:
    return [row["id"] for row in body["results"]]


def test_it_works(api: APIClient, ten: list[str]) -> None:
    body = api.get("/api/runs/").json()

    assert ids(body) == ten
    assert body["next"] is None
    assert body["previous"] is None
    assert "payload" not in body["results"][0]
    assert "metadata" not in body["results"][0]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9, 10])
def test_pages_forth_and_back_cover_everything_once(
    api: APIClient, ten: list[str], size: int
) -> None:
    forth, url, last = [], f"/api/runs?page_size={size}", None
    while url:
        last = api.get(url).json()
        assert len(last["results"]) <= size
        forth.append(ids(last))
        url = last["next"]

    assert [run_id for page in forth for run_id in page] == ten
    assert last is not None
    back, url = [ids(last)], last["previous"]
    while url:
        body = api.get(url).json()
        back.append(ids(body))
        url = body["previous"]
    assert back == forth[::-1]


def test_a_row_that_comes_meanwhile_hides_none(api: APIClient, ten: list[str], trail: str) -> None:
    page = api.get("/api/runs?page_size=4").json()
    create_run(NewRun(workflow=trail, payload={"input": "x"}))

    assert ids(page) + ids(api.get(page["next"]).json()) == ten[:8]


def test_a_row_that_goes_meanwhile_hides_none(api: APIClient, ten: list[str]) -> None:
    page = api.get("/api/runs?page_size=4").json()
    Run.objects.filter(pk=ten[3]).delete()

    assert ids(api.get(page["next"]).json()) == ten[4:8]


def test_filters(api: APIClient, ten: list[str], anything: str) -> None:
    other = create_run(NewRun(workflow=anything, name="Café report", payload={}))
    Run.objects.filter(pk=other.pk).update(status=RunStatus.FAILED)

    def found(query: str) -> list[str]:
        return ids(api.get(f"/api/runs?{query}").json())

    assert found("status=failed") == [str(other.pk)]
    assert found("status=pending") == ten
    assert found("workflow=anything") == [str(other.pk)]
    assert found("workflow=any") == []
    assert found("q=REPORT") == [str(other.pk)]
    assert found("q=caf%C3%A9") == [str(other.pk)]
    assert found("q=%25") == []
    assert found(f"q={ten[4]}") == [ten[4]]
    assert found("status=pending&q=Run+3&workflow=trail") == [ten[6]]
    assert found("status=&q=&workflow=") == [str(other.pk), *ten]


def test_a_search_finds_the_workflow_and_either_end_of_an_id(
    api: APIClient, ten: list[str], anything: str
) -> None:
    ids_made = ["01900000-aaaa-7000-8000-00000000beef", "01910000-bbbb-7000-8000-0000cafe0001"]
    for run_id in ids_made:
        Run.objects.create(id=run_id, thread=Thread.objects.create(), workflow=anything)

    def found(text: str) -> set[str]:
        return set(ids(api.get("/api/runs", {"q": text}).json()))

    assert found("NYTHIN") == set(ids_made)
    assert found("01900000-aa") == found("01900000AA") == found("00beef") == {ids_made[0]}
    assert found("\u20260000cafe0001") == {ids_made[1]}
    assert found("8000-0000cafe0001") == {ids_made[1]}
    assert found("aaaa-7000") == set(), "the middle is no part that is shown"
    assert found("bee") == set()


def test_filters_stay_in_the_links(api: APIClient, ten: list[str], anything: str) -> None:
    create_run(NewRun(workflow=anything, payload={}))

    page = api.get("/api/runs?workflow=trail&page_size=9").json()

    assert ids(api.get(page["next"]).json()) == ten[9:]


def test_errors_come_without_their_traceback(api: APIClient, ten: list[str]) -> None:
    error = {"type": "ValueError", "message": "no", "node": "a", "namespace": "n:1"}
    error["traceback"] = "secret"
    Run.objects.filter(pk=ten[0]).update(error=error)

    listed = api.get("/api/runs?page_size=1")

    assert b"secret" not in listed.content
    assert listed.json()["results"][0]["error"] == {
        "type": "ValueError",
        "message": "no",
        "node": "a",
        "namespace": "n:1",
    }
    assert api.get(f"/api/runs/{ten[0]}").json()["error"] == error


@pytest.mark.parametrize("size", [1, 10])
def test_a_page_is_one_query_without_payloads(api: APIClient, ten: list[str], size: int) -> None:
    with CaptureQueriesContext(connection) as queries:
        api.get(f"/api/runs?page_size={size}")

    assert len(queries) == 1
    assert '"payload"' not in queries[0]["sql"]


@pytest.mark.parametrize(
    "query", ["", "status=pending", "workflow=trail", "status=failed&workflow=trail"]
)
def test_a_page_far_back_starts_in_an_index(api: APIClient, ten: list[str], query: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("reads SQLite's query plan")
    link = api.get("/api/runs?page_size=2").json()["next"]
    cursor = link.partition("cursor=")[2].partition("&")[0]
    with CaptureQueriesContext(connection) as queries:
        api.get(f"/api/runs?cursor={cursor}&{query}")
    with connection.cursor() as plan:
        plan.execute("EXPLAIN QUERY PLAN " + queries[0]["sql"])
        steps = [row[3] for row in plan.fetchall()]

    assert len(steps) == 1, steps  # no sorting
    assert steps[0].startswith("SEARCH runs_run USING INDEX run_"), steps
    assert "created_at<" in steps[0], steps
