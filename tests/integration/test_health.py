"""GET /api/health and /api/workers"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from fastgraph_site import __version__
from runs.models import Run, RunStatus, Worker
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.scheduling import claims

pytestmark = pytest.mark.django_db


def worker(seconds_ago: float) -> Worker:
    moment = timezone.now() - timedelta(seconds=seconds_ago)
    return Worker.objects.create(
        host="here",
        pid=7,
        process_started=str(moment),
        heartbeat_at=moment,
        capacity=100,
    )


@pytest.mark.parametrize("path", ["/api/health", "/api/health/"])
def test_it_works(api: APIClient, trail: str, path: str) -> None:
    worker(1)
    worker(3600)
    for status in (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.RUNNING, RunStatus.FAILED):
        run = create_run(NewRun(workflow=trail, payload={"input": "x"}))
        Run.objects.filter(pk=run.pk).update(status=status)

    answer = api.get(path)

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "version": __version__,
        "checks": {
            "database": {"ok": True, "detail": "It answers."},
            "workers": {"ok": True, "alive": 1, "detail": "1 alive."},
        },
        "runs": {"pending": 1, "running": 2},
    }


def test_without_a_worker_it_is_degraded(api: APIClient) -> None:
    worker(3600)

    body = api.get("/api/health").json()

    assert body["status"] == "degraded"
    assert body["checks"]["workers"]["ok"] is False
    assert "manage.py serve" in body["checks"]["workers"]["detail"]


def test_without_a_database_it_is_down(api: APIClient) -> None:
    def refuse(*args: Any) -> None:
        raise OperationalError("secret detail")

    with connection.execute_wrapper(refuse):
        answer = api.get("/api/health")

    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["status"] == "down"
    assert answer.json()["checks"]["database"]["ok"] is False
    assert b"secret" not in answer.content


def test_it_counts_live_runs_in_indexes(api: APIClient, trail: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("reads SQLite's query plan")
    with CaptureQueriesContext(connection) as queries:
        api.get("/api/health")

    assert len(queries) == 3
    counts = [query["sql"] for query in queries if "runs_run" in query["sql"]]
    assert len(counts) == 2
    for sql in counts:
        with connection.cursor() as plan:
            plan.execute("EXPLAIN QUERY PLAN " + sql)
            (step,) = [row[3] for row in plan.fetchall()]
        assert "USING COVERING INDEX run_" in step


def test_workers(api: APIClient, trail: str) -> None:
    old, new = worker(3600), worker(0)
    for _ in range(3):
        run = create_run(NewRun(workflow=trail, payload={"input": "x"}))
        Run.objects.filter(pk=run.pk).update(status=RunStatus.RUNNING, lease_owner=new.pk)

    for path in ("/api/workers", "/api/workers/"):
        results = api.get(path).json()["results"]
        assert [row["id"] for row in results] == [str(new.id), str(old.id)]
        assert [row["alive"] for row in results] == [True, False]
        assert results[0]["pid"] == 7
        assert (results[0]["in_flight"], results[0]["capacity"]) == (3, 100)


def test_a_worker_at_work_is_seen(
    api: APIClient, trail: str, work: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    claim = claims.claim

    def look(*args: Any, **more: Any) -> Any:
        seen.append(api.get("/api/workers").json()["results"])
        return claim(*args, **more)

    monkeypatch.setattr(claims, "claim", look)
    create_run(NewRun(workflow=trail, payload={"input": "x"}))
    work()

    (during,), (after,) = seen[0], api.get("/api/workers").json()["results"]
    assert during["id"] == after["id"]
    assert (during["alive"], during["awake"]) == (True, True)
    assert (after["alive"], after["awake"]) == (True, False)
