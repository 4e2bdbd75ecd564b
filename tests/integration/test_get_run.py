"""GET /api/runs/{id} and what lies under it"""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from runs.models import Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

pytestmark = pytest.mark.django_db


def test_it_works(api: APIClient, finished: Run) -> None:
    for path in (f"/api/runs/{finished.id}", f"/api/runs/{finished.id}/"):
        body = api.get(path).json()

        assert body["id"] == str(finished.id)
        assert body["status"] == "completed"
        assert body["payload"] == {"input": "hello"}
        assert body["metadata"] == {}
        assert body["error"] is None
        assert body["step"] == 3
        assert body["attempt"] == 1
        assert body["duration_seconds"] >= 0
        assert body["started_at"] <= body["finished_at"]


def test_a_failed_run_says_why(api: APIClient, trail: str, work: object) -> None:
    run = create_run(NewRun(workflow=trail, payload={"input": "fail"}))
    assert callable(work)
    work()

    error = api.get(f"/api/runs/{run.id}").json()["error"]

    assert (error["type"], error["message"], error["node"]) == (
        "ValueError",
        "told to fail",
        "second",
    )
    assert "told to fail" in error["traceback"]


@pytest.mark.parametrize("under", ["", "/", "/state", "/checkpoints", "/events", "/events/"])
@pytest.mark.parametrize("run_id", [str(UUID(int=0)), "nonsense", "019a-", "a" * 3000, "%00", "é"])
def test_nobody_is_404(api: APIClient, run_id: str, under: str) -> None:
    answer = api.get(f"/api/runs/{run_id}{under}")

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "unknown_run"


def test_it_is_one_query(api: APIClient, finished: Run) -> None:
    with CaptureQueriesContext(connection) as queries:
        api.get(f"/api/runs/{finished.id}")

    assert len(queries) == 1


def test_a_number_beyond_64_bits_is_still_an_answer(api: APIClient, finished: Run) -> None:
    # Postgres gives a float like 1e23 back as a whole number.
    Run.objects.filter(pk=finished.pk).update(payload={"input": 10**30})

    assert api.get(f"/api/runs/{finished.id}").json()["payload"] == {"input": 10**30}
