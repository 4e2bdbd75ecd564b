"""Creations that share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, OperationalError, close_old_connections, connection
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from fastgraph_site.web.create_runs import CreateRunsMiddleware
from runs.api.create_run import CreateHttpRequest, HttpAnswer
from runs.conf import conf
from runs.errors import Problem
from runs.lifecycle import wakeup
from runs.models import Event, Run
from runs.operations import create_requests
from runs.operations.create import insert_runs
from runs.operations.create_requests import CreateRequest, CreateResult
from runs.operations.new_run import NewRun, ValidatedRun
from tests.site.requests import LOCAL, Exchange

pytestmark = pytest.mark.django_db(transaction=True)


def request_for(name: str = "", key: str | None = None, **more: Any) -> CreateRequest:
    return CreateRequest(
        news=[NewRun(workflow="steps", name=name, payload={"steps": 1}, **more)], key=key
    )


def names(outcomes: Sequence[CreateResult | Exception]) -> list[str]:
    return [
        outcome.runs[0].name if isinstance(outcome, CreateResult) else type(outcome).__name__
        for outcome in outcomes
    ]


def test_each_gets_its_own_and_what_is_wrong_with_one_is_its_own() -> None:
    unknown = request_for(thread=UUID(int=7))
    wrong = CreateRequest(news=[NewRun(workflow="steps", payload={})])
    outcomes = create_requests.create_many(
        [request_for("a"), unknown, request_for("b"), wrong, request_for("c")]
    )
    assert names(outcomes) == ["a", "Problem", "b", "Problem", "c"]
    codes = [outcome.code for outcome in outcomes if isinstance(outcome, Problem)]
    assert codes == ["unknown_thread", "invalid"]
    assert sorted(Run.objects.values_list("name", flat=True)) == ["a", "b", "c"]
    assert Event.objects.count() == 3


def test_one_that_the_database_refuses_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    insert = insert_runs

    def refuse(wanted: Sequence[ValidatedRun]) -> list[Run]:
        made = insert(wanted)
        if any(one.new.name == "poison" for one in wanted):
            raise DataError("cannot be stored")
        return made

    monkeypatch.setattr(create_requests, "insert_runs", refuse)
    outcomes = create_requests.create_many(
        [request_for("a"), request_for("poison"), request_for("b")]
    )
    assert names(outcomes) == ["a", "DataError", "b"]
    assert sorted(Run.objects.values_list("name", flat=True)) == ["a", "b"]


def test_a_database_that_is_away_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fail(wanted: Sequence[ValidatedRun]) -> list[Run]:
        asked.append(len(wanted))
        raise OperationalError("database is locked")

    monkeypatch.setattr(create_requests, "insert_runs", fail)
    assert (
        names(create_requests.create_many([request_for(), request_for(), request_for()]))
        == ["OperationalError"] * 3
    )
    assert asked == [3]


def test_a_wake_up_is_queued_with_the_first_of_them_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    insert = insert_runs

    def fail(wanted: Sequence[ValidatedRun]) -> list[Run]:
        insert(wanted)
        raise DataError("cannot be stored")

    with monkeypatch.context() as patch:
        patch.setattr(create_requests, "insert_runs", fail)
        assert names(create_requests.create_many([request_for()])) == ["DataError"]
    assert not OrmQ.objects.exists()
    for _ in range(2):
        create_requests.create(request_for())
    (queued,) = OrmQ.objects.all()
    assert (queued.key, queued.func()) == (wakeup.key(), conf().worker_job)


def test_keys_are_granted_once_also_among_neighbours() -> None:
    known = create_requests.create(request_for("old", "k1")).runs[0].pk
    outcomes = create_requests.create_many(
        [
            request_for("old", "k1"),
            request_for("new", "k2"),
            request_for("new", "k2"),
            request_for("other", "k2"),
            request_for("d"),
        ]
    )
    assert names(outcomes) == ["old", "new", "new", "Problem", "d"]
    made = [outcome for outcome in outcomes if isinstance(outcome, CreateResult)]
    assert [one.new for one in made] == [False, True, False, True]
    assert made[0].runs[0].pk == known
    assert made[1].runs[0].pk == made[2].runs[0].pk
    assert Run.objects.count() == 3


def test_the_number_of_statements_does_not_grow() -> None:
    create_requests.create(request_for())  # a wake-up is queued from now on

    def kinds(count: int) -> int:
        with CaptureQueriesContext(connection) as queries:
            create_requests.create_many([request_for(key=f"{count} {i}") for i in range(count)])
        return len({query["sql"].split("VALUES")[0].split(" IN ")[0] for query in queries})

    assert kinds(3) == kinds(50) <= 9


async def test_who_comes_during_a_transaction_shares_the_next() -> None:
    groups: list[int] = []
    begun, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer_all(asked: Sequence[CreateHttpRequest]) -> list[HttpAnswer]:
        groups.append(len(asked))
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)
        return [HttpAnswer(status=201, headers={}, body=one.body) for one in asked]

    hot = CreateRunsMiddleware(None, answer_all)  # type: ignore[arg-type]

    def post(body: bytes) -> asyncio.Task[Exchange]:
        return asyncio.ensure_future(Exchange("POST", "/api/runs", [LOCAL], [body]).run(hot))

    first = post(b"1")
    await begun.wait()
    others = [post(b"%d" % n) for n in range(2, 7)]
    await asyncio.sleep(0)
    go.set()
    answers = await asyncio.gather(first, *others)
    await hot.close()
    assert [answer.body for answer in answers] == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert groups == [1, 5]


async def test_an_error_of_ours_is_everybodys_problem() -> None:
    def fail(asked: Sequence[CreateHttpRequest]) -> list[HttpAnswer]:
        raise ArithmeticError("ours")

    hot = CreateRunsMiddleware(None, fail)  # type: ignore[arg-type]
    answer = await Exchange("POST", "/api/runs", [LOCAL], [b"{}"]).run(hot)
    await hot.close()
    assert (answer.status, answer.code) == (500, "internal_error")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server")
def test_a_connection_that_the_server_ended_between_two_requests_is_made_anew() -> None:
    create_requests.create(request_for())
    pid = connection.connection.info.backend_pid
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()
    close_old_connections()  # as before each request
    create_requests.create(request_for())
    assert Run.objects.count() == 2
