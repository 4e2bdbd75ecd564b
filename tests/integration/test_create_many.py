"""`POST /api/runs/batch`, `Idempotency-Key` and `priority`."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from runs.engine.ids import uuid7
from runs.models import Event, Run, Thread
from runs.operations import create_requests
from runs.operations.create_requests import CreateRequest, CreateResult
from runs.operations.new_run import NewRun
from runs.scheduling import claims

pytestmark = pytest.mark.django_db(transaction=True)

ONE = {"workflow": "steps", "name": "one", "payload": {"steps": 1}}


def keyed(api: APIClient, key: str, body: Any = ONE) -> Any:
    return api.post("/api/runs/", body, headers={"Idempotency-Key": key})


def test_many_at_once_in_their_order(api: APIClient) -> None:
    bodies = [{**ONE, "name": str(i)} for i in range(1000)]
    with CaptureQueriesContext(connection) as queries:
        answer = api.post("/api/runs/batch", bodies)
    assert answer.status_code == 201
    results = answer.json()["results"]
    assert [run["name"] for run in results] == [str(i) for i in range(1000)]
    assert len({run["thread"] for run in results}) == 1000
    claimed = [run.lease.run_id for run in claims.claim(uuid7(), 1000)]
    assert claimed == [run["id"] for run in results]
    assert Event.objects.filter(name="created", seq=1).count() == 1000
    # one statement a table, whatever the number: those that were captured are each row's
    kinds = {query["sql"].split("VALUES")[0] for query in queries}
    assert len(kinds) < 12


@pytest.mark.parametrize(
    ("bodies", "at"),
    [
        ([ONE, {**ONE, "payload": {"steps": "x"}}], "/1/payload/steps"),
        ([ONE, {**ONE, "workflow": "nope"}], "/1/workflow"),
        ([ONE, {**ONE, "thread": 3}], "/1/thread"),
        ([ONE, {**ONE, "nope": 3}], "/1/nope"),
        ([ONE, {**ONE, "priority": True}], "/1/priority"),
        ([ONE, 3], "/1"),
        ([], ""),
        ([ONE] * 1001, ""),
        (ONE, ""),
    ],
    ids=["payload", "workflow", "thread", "field", "priority", "kind", "none", "many", "object"],
)
def test_all_or_none(api: APIClient, bodies: Any, at: str) -> None:
    answer = api.post("/api/runs/batch", bodies)
    assert answer.status_code == 422, answer.json()
    assert answer.json()["errors"][0]["at"] == at
    assert not Run.objects.exists() and not Thread.objects.exists()


def test_an_unknown_thread_undoes_all(api: APIClient) -> None:
    answer = api.post("/api/runs/batch", [ONE, {**ONE, "thread": str(uuid7())}])
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_thread")
    assert not Run.objects.exists() and not Thread.objects.exists()


def test_the_same_key_and_body_are_the_same_run(api: APIClient) -> None:
    first, second = keyed(api, "k"), keyed(api, "k")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert keyed(api, "other").json()["id"] != first.json()["id"]
    assert Run.objects.count() == 2


def test_the_same_key_and_another_body(api: APIClient) -> None:
    keyed(api, "k")
    answer = keyed(api, "k", {**ONE, "name": "two"})
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert Run.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"], ids=["empty", "long", "control"])
def test_a_key_that_cannot_be(api: APIClient, key: str) -> None:
    answer = keyed(api, key)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")


def test_many_callers_with_one_key_get_one_run() -> None:
    got: list[CreateResult] = []
    together = threading.Barrier(6)
    request = CreateRequest(news=[NewRun(workflow="steps", payload={"steps": 1})], key="k")

    def create() -> None:
        try:
            together.wait(10)
            got.append(create_requests.create(request))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({made.runs[0].pk for made in got}) == 1
    assert sorted(made.new for made in got) == [False] * 5 + [True]
    assert Run.objects.count() == 1


def test_priority_goes_first(api: APIClient) -> None:
    low, high = (api.post("/api/runs/", {**ONE, "priority": p}).json()["id"] for p in (-5, 5))
    middle = api.post("/api/runs/", ONE).json()["id"]
    assert [run.lease.run_id for run in claims.claim(uuid7(), 3)] == [high, middle, low]
    for priority in (101, -101, 1.5, "1", None):
        assert api.post("/api/runs/", {**ONE, "priority": priority}).status_code == 422
