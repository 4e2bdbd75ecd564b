"""Concurrency limits: exact among any number of workers, and in nobody's way."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict
from uuid import UUID

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, StateGraph
from runs.engine.ids import uuid7
from runs.errors import Problem
from runs.models import Run, RunStatus
from runs.operations.create import create_run, create_runs
from runs.operations.new_run import NewRun
from runs.operations.replay import replay_run
from runs.scheduling import claimable, claims, leases, limits, recovery
from tests.support.worker import run_pending

pytestmark = pytest.mark.django_db(transaction=True)

Register = Callable[..., str]


class State(TypedDict, total=False):
    who: str


async def nothing(state: State) -> None: ...


@pytest.fixture
def register() -> Iterator[Register]:
    """Makes a workflow of one node startable, under a name and with limits."""
    with workflows.temporary():

        def registered(name: str = "limited", node: Any = nothing, **limits: Any) -> str:
            graph = StateGraph(State).add_node("only", node).add_edge(START, "only").compile()
            schema = {"type": "object"}
            return workflows.register(name, graph, input_schema=schema, **limits).name

        yield registered


def claim(limit: int = 100) -> list[UUID]:
    return [UUID(claimed.lease.run_id) for claimed in claims.claim(uuid7(), limit)]


def end(*run_ids: UUID) -> None:
    Run.objects.filter(id__in=run_ids).update(
        status=RunStatus.COMPLETED, finished_at=timezone.now(), lease_owner=None
    )


def keyed(name: str, *keys: str | None, limit: int | None = None) -> list[UUID]:
    news = [
        NewRun(workflow=name, concurrency_key=key, concurrency_limit=limit if key else None)
        for key in keys
    ]
    return [run.id for run in create_runs(news)]


def test_a_key_has_as_many_places_as_its_limit(register: Register) -> None:
    runs = keyed(register(), "a", "a", "a", "b", None, limit=2)
    assert claim() == [runs[0], runs[1], runs[3], runs[4]]
    assert claim() == []
    assert not claimable.any_pending()
    end(runs[1])
    assert claimable.any_pending()
    assert claim() == [runs[2]]


def test_places_are_those_of_leases_and_not_of_a_count(register: Register) -> None:
    """Whatever becomes of who holds one: a place is free when its lease is."""
    first, second = keyed(register(), "a", "a")
    worker = uuid7()
    assert [claimed.lease.run_id for claimed in claims.claim(worker, 5)] == [str(first)]
    leases.give_back(worker)
    assert claim() == [first]
    Run.objects.filter(id=first).update(lease_expires_at=timezone.now(), crashes=0)
    recovery.sweep(timezone.now())
    assert claim() == [first]
    Run.objects.filter(id=first).update(status=RunStatus.INTERRUPTED, lease_owner=None)
    assert claim() == [second]


def test_every_run_is_judged_by_its_own_limit(register: Register) -> None:
    name = register()
    wide = keyed(name, "a", "a", limit=3)
    (narrow,) = keyed(name, "a", limit=1)
    assert claim() == wide
    (more,) = keyed(name, "a", limit=3)
    assert claim() == [more]
    end(*wide, more)
    assert claim() == [narrow]


def test_a_workflow_has_as_many_places_as_it_declares(register: Register) -> None:
    name, other = register(concurrency_limit=2), register("other")
    runs = keyed(name, *[None] * 3)
    (beside,) = keyed(other, None)
    assert claim() == [*runs[:2], beside]
    assert claim() == [] and not claimable.any_pending()
    end(runs[0])
    assert claim() == [runs[2]]


def test_both_limits_hold(register: Register) -> None:
    name = register(concurrency_limit=2)
    runs = keyed(name, "a", "a", "b", "c")
    assert claim() == [runs[0], runs[2]]
    end(runs[0])
    assert claim() == [runs[1]]


def test_a_long_line_holds_up_nobody_else(register: Register) -> None:
    name = register(concurrency_limit=None)
    hot = keyed(name, *["hot"] * 50)
    others = keyed(name, *[f"k{i}" for i in range(5)], None)
    found: list[UUID] = []
    while batch := claim(10):
        found += batch
    assert found == [hot[0], *others]


def test_priority_decides_within_a_key(register: Register) -> None:
    _, high = keyed(register(), "a", "a")
    Run.objects.filter(id=high).update(priority=5)
    assert claim() == [high]


def statements(limit: int) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert claim(limit)
    return len(captured)


def test_a_batch_costs_a_fixed_number_of_statements(register: Register) -> None:
    name = register(concurrency_limit=60)
    keyed(name, *[f"k{i % 40}" for i in range(80)])
    few = statements(2)
    many = statements(50)
    assert few == many


def test_no_limits_cost_no_statement(register: Register) -> None:
    free, limited = register("free"), register("limited", concurrency_limit=9)
    workflows.unregister(limited)
    keyed(free, None, None)
    with CaptureQueriesContext(connection) as captured:
        assert len(claim()) == 2
    counting = 'SELECT "runs_run"."workflow" AS '
    assert not [query for query in captured if query["sql"].startswith(counting)]
    assert not [query for query in captured if "advisory" in query["sql"]]


@pytest.mark.parametrize("of", ["key", "workflow"])
def test_many_claimers_never_take_more_than_there_is(register: Register, of: str) -> None:
    """Six threads with connections of their own claim at the same time, again and again."""
    name = register(concurrency_limit=3 if of == "workflow" else None)
    keyed(name, *["a" if of == "key" else None] * 60, limit=3)
    together = threading.Barrier(6)
    most: list[int] = []
    taken: Counter[UUID] = Counter()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                together.wait(30)
                mine = claim(5)
                together.wait(30)  # nobody ends a run before all have claimed
                most.append(Run.objects.filter(status=RunStatus.RUNNING).count())
                together.wait(30)
                taken.update(mine)
                end(*mine)
        except BaseException as error:
            failed.append(error)
            together.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert max(most) == 3
    assert taken and set(taken.values()) == {1}


def test_a_worker_keeps_to_them(register: Register, settings: Settings) -> None:
    settings.FASTGRAPH = {**settings.FASTGRAPH, "linger_seconds": 0.05}
    at_once: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def busy(state: State) -> None:
        who = state["who"]
        at_once[who] += 1
        most[who] = max(most[who], at_once[who])
        await asyncio.sleep(0.01)
        at_once[who] -= 1

    name = register(node=busy, concurrency_key=lambda payload: f"of {payload['who']}", key_limit=2)
    runs = create_runs([NewRun(workflow=name, payload={"who": who}) for who in "aaaaabbc"])
    run_pending()
    assert {run.status for run in Run.objects.filter(id__in=[r.id for r in runs])} == {"completed"}
    assert most == {"a": 2, "b": 2, "c": 1}


def test_a_key_is_made_of_the_payload(register: Register) -> None:
    def key(payload: Mapping[str, Any]) -> str | None:
        return f"customer {payload['who']}" if payload.get("who") else None

    name = register(concurrency_key=key, key_limit=4)
    made = create_run(NewRun(workflow=name, payload={"who": "ann"}))
    assert (made.concurrency_key, made.concurrency_limit) == ("customer ann", 4)
    given = create_run(NewRun(workflow=name, payload={"who": "ann"}, concurrency_key="mine"))
    assert (given.concurrency_key, given.concurrency_limit) == ("mine", 4)
    none = create_run(NewRun(workflow=name, payload={}))
    assert (none.concurrency_key, none.concurrency_limit) == (None, None)

    again = replay_run(made.id, changes={"who": "bob"})
    assert again.concurrency_key == "customer bob"
    assert replay_run(given.id, changes={"who": "bob"}).concurrency_key == "mine"
    assert replay_run(made.id).concurrency_key == "customer ann"


@pytest.mark.parametrize(
    "key", [lambda payload: payload["who"], lambda payload: 7, lambda payload: "x" * 256],
    ids=["raises", "number", "long"],
)  # fmt: skip
def test_a_key_that_cannot_be_made_refuses_the_run(register: Register, key: Any) -> None:
    with pytest.raises(Problem) as refused:
        create_run(NewRun(workflow=register(concurrency_key=key)))
    assert (refused.value.status, refused.value.code) == (422, "unusable_concurrency_key")
    assert not Run.objects.exists()


def test_a_limit_below_one_is_no_limit_but_a_pause(register: Register) -> None:
    for wrong in ({"concurrency_limit": 0}, {"key_limit": 0}):
        with pytest.raises(ValueError, match="1 or more"):
            register("wrong", **wrong)


def test_over_http(api: APIClient, register: Register) -> None:
    name = register(concurrency_limit=7)
    body = {"workflow": name, "concurrency_key": "k", "concurrency_limit": 2}
    made = api.post("/api/runs/", body).json()
    assert (made["concurrency_key"], made["concurrency_limit"]) == ("k", 2)
    assert api.get(f"/api/runs/{made['id']}").json()["concurrency_key"] == "k"
    assert api.get(f"/api/workflows/{name}").json()["concurrency_limit"] == 7


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"concurrency_key": ""}, "/concurrency_key"),
        ({"concurrency_key": 5}, "/concurrency_key"),
        ({"concurrency_key": "x" * 256}, "/concurrency_key"),
        ({"concurrency_key": "a\x00b"}, "/concurrency_key"),
        ({"concurrency_limit": 2}, "/concurrency_limit"),
        ({"concurrency_key": "k", "concurrency_limit": 0}, "/concurrency_limit"),
        ({"concurrency_key": "k", "concurrency_limit": True}, "/concurrency_limit"),
        ({"concurrency_key": "k", "concurrency_limit": "2"}, "/concurrency_limit"),
        ({"concurrency_key": "k", "concurrency_limit": 2**40}, "/concurrency_limit"),
    ],
)
def test_what_does_not_fit_is_refused(
    api: APIClient, register: Register, fields: dict[str, Any], at: str
) -> None:
    answer = api.post("/api/runs/", {"workflow": register(), **fields})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, at)
    assert not Run.objects.exists()


def test_places_are_found_by_an_index(register: Register) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("SQLite says which index it takes, whatever the size of the table")
    suspects = claimable._claimable(apart=True, suspicious=2).explain()
    assert "run_crashed" in suspects
    plan = claimable._claimable(apart=False, suspicious=2).explain()
    assert "run_pending" in plan and "run_key_busy" in plan and "run_thread_begun" in plan
    assert limits.in_key("k") == 0
