"""GET /api/workflows and /api/workflows/{name}"""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from runs import workflows
from tests.integration.conftest import SCHEMA

pytestmark = pytest.mark.django_db


def test_the_list(api: APIClient, trail: str) -> None:
    for path in ("/api/workflows", "/api/workflows/"):
        results = api.get(path).json()["results"]

        assert [row["name"] for row in results] == workflows.names()
        assert {
            "name": "trail",
            "version": "1",
            "description": "For tests.",
            "input_schema": SCHEMA,
            "concurrency_limit": None,
            "pause": None,
        } in results


def test_one_with_its_graph(api: APIClient, trail: str) -> None:
    body = api.get("/api/workflows/trail").json()

    assert [node["id"] for node in body["graph"]["nodes"]] == [
        "__start__",
        "first",
        "second",
        "third",
        "__end__",
    ]
    edges = [(edge["source"], edge["target"]) for edge in body["graph"]["edges"]]
    assert ("first", "second") in edges
    assert ("third", "__end__") in edges
    assert body["mermaid"].startswith("flowchart TD\n")


@pytest.mark.parametrize("name", ["nonesuch", "%00", "a.b", "a b", "é"])
def test_nobody_is_404(api: APIClient, trail: str, name: str) -> None:
    answer = api.get(f"/api/workflows/{name}")

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_workflow"
    assert "trail" in answer.json()["detail"]
