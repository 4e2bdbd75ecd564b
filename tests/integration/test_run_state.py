"""GET /api/runs/{id}/state and /checkpoints"""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from runs.models import Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

pytestmark = pytest.mark.django_db

DONE = ["first", "second", "third of hello"]


def test_the_state_of_a_finished_run(api: APIClient, finished: Run) -> None:
    body = api.get(f"/api/runs/{finished.id}/state").json()

    assert body == {
        "run_id": str(finished.id),
        "checkpoint_id": str(finished.checkpoint_id),
        "step": 3,
        "values": {"input": "hello", "done": DONE},
        "next": [],
    }


def test_the_state_before_the_first_checkpoint(api: APIClient, trail: str) -> None:
    run = create_run(NewRun(workflow=trail, payload={"input": "x"}))

    body = api.get(f"/api/runs/{run.id}/state/").json()

    assert body == {
        "run_id": str(run.id),
        "checkpoint_id": None,
        "step": None,
        "values": {},
        "next": [],
    }


def test_the_state_at_every_checkpoint(api: APIClient, finished: Run) -> None:
    rows = api.get(f"/api/runs/{finished.id}/checkpoints").json()["results"]

    states = [api.get(f"/api/runs/{finished.id}/state?checkpoint={r['id']}").json() for r in rows]

    assert [row["step"] for row in rows] == [3, 2, 1, 0]
    assert [row["next"] for row in rows] == [[], ["third"], ["second"], ["first"]]
    assert [row["source"] for row in rows] == ["loop", "loop", "loop", "input"]
    assert [row["parent_id"] for row in rows] == [*(row["id"] for row in rows[1:]), None]
    assert [state["values"].get("done") for state in states] == [DONE, DONE[:2], DONE[:1], []]
    assert [state["next"] for state in states] == [row["next"] for row in rows]


def test_a_checkpoint_of_another_thread_is_not_found(
    api: APIClient, finished: Run, trail: str
) -> None:
    other = create_run(NewRun(workflow=trail, payload={"input": "x"}))

    for run_id, checkpoint_id in (
        (other.id, finished.checkpoint_id),
        (finished.id, uuid4()),
    ):
        answer = api.get(f"/api/runs/{run_id}/state?checkpoint={checkpoint_id}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "unknown_checkpoint"


def test_checkpoints_come_in_pages(api: APIClient, finished: Run) -> None:
    page = api.get(f"/api/runs/{finished.id}/checkpoints?page_size=3").json()
    rest = api.get(page["next"]).json()

    assert [row["step"] for row in page["results"] + rest["results"]] == [3, 2, 1, 0]
    assert rest["next"] is None
    assert api.get(rest["previous"]).json()["results"] == page["results"]


def test_the_queries_do_not_grow(api: APIClient, finished: Run) -> None:
    for size in (1, 4):
        with CaptureQueriesContext(connection) as queries:
            api.get(f"/api/runs/{finished.id}/checkpoints?page_size={size}")
        assert len(queries) == 2
