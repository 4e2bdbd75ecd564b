"""GET /api/runs/{id}/events"""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from runs.models import Event, Run
from runs.queries import event_frames

pytestmark = pytest.mark.django_db


def test_it_works(api: APIClient, finished: Run) -> None:
    body = api.get(f"/api/runs/{finished.id}/events").json()

    names = [frame["event"] for frame in body["results"]]
    assert names[:2] == ["created", "started"]
    assert names[-1] == "completed"
    assert [frame["seq"] for frame in body["results"]] == list(range(1, len(names) + 1))
    assert body["after"] == finished.seq == len(names)
    assert body["more"] is False


def test_frames_are_those_of_the_socket(api: APIClient, finished: Run) -> None:
    content = api.get(f"/api/runs/{finished.id}/events").content

    for frame in event_frames.read({finished.id: 0}, limit=1000):
        assert frame.body in content


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_pages_by_seq_are_gap_free(api: APIClient, finished: Run, limit: int) -> None:
    seqs, after, more = [], 0, True
    while more:
        body = api.get(f"/api/runs/{finished.id}/events?after={after}&limit={limit}").json()
        seqs += [frame["seq"] for frame in body["results"]]
        after, more = body["after"], body["more"]

    assert seqs == list(Event.objects.filter(run=finished).values_list("seq", flat=True))


def test_after_the_last_one_there_is_nothing_yet(api: APIClient, finished: Run) -> None:
    body = api.get(f"/api/runs/{finished.id}/events?after={finished.seq}").json()

    assert body == {"results": [], "after": finished.seq, "more": False}


def test_the_queries_do_not_grow(api: APIClient, finished: Run) -> None:
    for limit in (1, 100):
        with CaptureQueriesContext(connection) as queries:
            api.get(f"/api/runs/{finished.id}/events?limit={limit}")
        assert len(queries) == 1
