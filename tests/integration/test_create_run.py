"""POST /api/runs"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from runs.models import Event, Run, Thread

pytestmark = pytest.mark.django_db


def post(api: APIClient, body: Any, **options: Any) -> Any:
    # Not the client's own encoder: it cannot write half a surrogate pair, and others can.
    text = json.dumps(body)
    return api.generic("POST", "/api/runs/", text, content_type="application/json", **options)


def test_it_works(api: APIClient, trail: str) -> None:
    answer = post(api, {"workflow": trail, "name": "Test Run", "payload": {"input": "hello"}})
    body = answer.json()

    assert answer.status_code == 201
    assert body["id"] == body["run_id"]
    assert UUID(body["id"]).version == 7
    assert body["status"] == "pending"
    assert body["name"] == "Test Run"
    assert body["payload"] == {"input": "hello"}
    assert body["workflow_version"] == "1"
    assert body["seq"] == 1
    assert answer["Location"] == f"/api/runs/{body['id']}"
    run = Run.objects.get(pk=body["id"])
    assert str(run.thread_id) == body["thread"]
    event = Event.objects.get(run=run)
    assert (event.seq, event.name) == (1, "created")
    assert event.decoded == {"workflow": trail, "name": "Test Run"}


def test_the_default_workflow_needs_no_name(api: APIClient) -> None:
    answer = post(api, {"name": "Test Run", "payload": {"input": "hello"}})

    assert answer.status_code == 201
    assert answer.json()["workflow"] == "text_report"


@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/"])
def test_neither_path_redirects(api: APIClient, trail: str, path: str) -> None:
    body = {"workflow": trail, "payload": {"input": "x"}}

    assert api.post(path, body, format="json").status_code == 201


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""]
)
def test_a_body_is_json_whatever_it_calls_itself(
    api: APIClient, trail: str, content_type: str
) -> None:
    body = '{"workflow": "trail", "payload": {"input": "x"}}'

    answer = api.generic("POST", "/api/runs", body, content_type=content_type)

    assert answer.status_code == 201, answer.content


@pytest.mark.parametrize("accept", ["application/json", "image/png", "nonsense", "*/*", ""])
def test_an_answer_is_json_whatever_is_accepted(api: APIClient, trail: str, accept: str) -> None:
    answer = post(api, {"workflow": trail, "payload": {"input": "x"}}, HTTP_ACCEPT=accept)

    assert answer.status_code == 201
    assert answer["Content-Type"] == "application/json"


def test_everything_optional_comes_back(api: APIClient, trail: str) -> None:
    thread = Thread.objects.create()
    given = {
        "workflow": trail,
        "payload": {"input": "x"},
        "thread": str(thread.id),
        "metadata": {"customer": 7, "deep": [{"a": None}]},
        "tags": ["one", "two"],
    }

    body = post(api, given).json()

    assert {name: body[name] for name in given} == given


def test_without_a_thread_each_run_has_its_own(api: APIClient, trail: str) -> None:
    bodies = [
        post(api, {"workflow": trail, "payload": {"input": "x"}, "thread": None}).json()
        for _ in range(2)
    ]

    assert bodies[0]["thread"] != bodies[1]["thread"]


NOT_MADE: list[tuple[dict[str, Any], str, str]] = [
    ({"workflow": "nonesuch"}, "unknown_workflow", "/workflow"),
    ({"workflow": 5}, "invalid", "/workflow"),
    ({"workflow": ""}, "invalid", "/workflow"),
    ({"workflow": "\ud800"}, "invalid", "/workflow"),
    ({"payload": {}}, "invalid", "/payload"),
    ({"payload": {"input": 5}}, "invalid", "/payload/input"),
    ({"payload": {"input": "x" * 1001}}, "invalid", "/payload/input"),
    ({"payload": []}, "invalid", "/payload"),
    ({"payload": None}, "invalid", "/payload"),
    ({"payload": "text"}, "invalid", "/payload"),
    ({"payload": {"input": "a\x00b"}}, "invalid", "/payload/input"),
    ({"payload": {"input": "x", "a\x00b": 1}}, "invalid", "/payload/a\\x00b"),
    ({"payload": {"input": "x", "y": "\ud800"}}, "invalid", "/payload/y"),
    ({"payload": {"input": "x", "\udfff": 1}}, "invalid", "/payload/\\udfff"),
    ({"payload": {"input": "x", "a/b~c": 2**63}}, "invalid", "/payload/a~1b~0c"),
    ({"payload": {"input": "x", "y": -(2**63) - 1}}, "invalid", "/payload/y"),
    ({"name": 5}, "invalid", "/name"),
    ({"name": None}, "invalid", "/name"),
    ({"name": "x" * 201}, "invalid", "/name"),
    ({"name": "a\x00"}, "invalid", "/name"),
    ({"thread": "nonsense"}, "invalid", "/thread"),
    ({"thread": 5}, "invalid", "/thread"),
    ({"thread": str(uuid4())}, "unknown_thread", "/thread"),
    ({"metadata": []}, "invalid", "/metadata"),
    ({"metadata": {"a": "\x00"}}, "invalid", "/metadata/a"),
    ({"tags": "one"}, "invalid", "/tags"),
    ({"tags": {}}, "invalid", "/tags"),
    ({"tags": [5]}, "invalid", "/tags/0"),
    ({"tags": ["ok", ""]}, "invalid", "/tags/1"),
    ({"tags": ["x" * 65]}, "invalid", "/tags/0"),
    ({"tags": ["x"] * 21}, "invalid", "/tags"),
    ({"colour": "red"}, "invalid", "/colour"),
]


@pytest.mark.parametrize(("wrong", "code", "at"), NOT_MADE)
def test_what_does_not_fit_is_refused(
    api: APIClient, trail: str, wrong: dict[str, Any], code: str, at: str
) -> None:
    answer = post(api, {"workflow": trail, "payload": {"input": "hello"}, **wrong})
    body = answer.json()

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert body["code"] == code
    assert body["errors"][0]["at"] == at
    assert (Run.objects.count(), Event.objects.count()) == (0, 0)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(("depth", "status"), [(99, 201), (100, 422), (900, 422)])
def test_nesting_has_a_limit(api: APIClient, anything: str, depth: int, status: int) -> None:
    # The payload itself is the first level.
    answer = post(api, {"workflow": anything, "payload": {"a": nested(depth)}})

    assert answer.status_code == status


def test_all_faults_are_listed(api: APIClient, trail: str) -> None:
    body = post(api, {"workflow": trail, "name": 1, "tags": [1], "payload": []}).json()

    assert [error["at"] for error in body["errors"]] == ["/name", "/payload", "/tags/0"]


texts = st.text() | st.text(st.characters(exclude_categories=()), max_size=3)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(payload=json_objects | json_values, metadata=json_objects)
def test_what_is_accepted_comes_back_equal(
    api: APIClient, anything: str, payload: Any, metadata: Any
) -> None:
    before = Run.objects.count()

    answer = post(api, {"workflow": anything, "payload": payload, "metadata": metadata})

    if answer.status_code == 201:
        body = api.get(f"/api/runs/{answer.json()['id']}").json()
        assert body["payload"] == payload
        assert body["metadata"] == metadata
    else:
        assert answer.status_code == 422
        assert answer.json()["errors"]
        assert Run.objects.count() == before
