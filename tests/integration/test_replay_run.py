"""POST /api/runs/{id}/replay"""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from runs.models import Run

pytestmark = pytest.mark.django_db


def replay(api: APIClient, run: Run, body: Any, slash: str = "") -> Any:
    return api.post(f"/api/runs/{run.id}/replay{slash}", body, format="json")


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "body",
    [{}, {"from_step": None, "set": None}, {"from_step": 1}, {"from_step": 1, "set": {"done": []}}],
)
def test_it_works(api: APIClient, finished: Run, body: Any, slash: str) -> None:
    answer = replay(api, finished, body, slash)

    assert answer.status_code == 201
    assert answer.json()["source_run"] == str(finished.id)
    assert answer.json()["payload"] == finished.payload
    assert answer["Location"] == f"/api/runs/{answer.json()['id']}"


@pytest.mark.parametrize(
    ("body", "code", "at"),
    [
        ({"from_step": "1"}, "invalid", "/from_step"),
        ({"from_step": True}, "invalid", "/from_step"),
        ({"from_step": 1.5}, "invalid", "/from_step"),
        ({"from_step": -1}, "invalid", "/from_step"),
        ({"from_step": 10**30}, "unknown_step", "/from_step"),
        ({"from_step": 9}, "unknown_step", "/from_step"),
        ({"set": [1]}, "invalid", "/set"),
        ({"step": 1}, "invalid", "/step"),
        ({"from_step": 1, "set": {"no/such": 1}}, "unknown_channel", "/set/no~1such"),
    ],
)
def test_what_does_not_fit_is_refused(
    api: APIClient, finished: Run, body: Any, code: str, at: str
) -> None:
    answer = replay(api, finished, body)

    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert answer.json()["errors"][0]["at"] == at
    assert Run.objects.count() == 1
