"""User code that the server calls outside of runs leaves the caller's connections as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from pydantic import BaseModel, field_validator

from runs import workflows
from runs.engine import START, StateGraph
from runs.errors import Problem
from runs.models import Run, Thread
from runs.operations.create import create_run
from runs.operations.new_run import NewRun

pytestmark = pytest.mark.django_db(transaction=True)


def leave_atomic_open() -> None:
    transaction.atomic().__enter__()
    Thread.objects.create(metadata={"name": "left"})


def leave_autocommit_off() -> None:
    transaction.set_autocommit(False)
    Thread.objects.create(metadata={"name": "left"})


def leave_begun() -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    Thread.objects.create(metadata={"name": "left"})


def fail_in_atomic() -> None:
    leave_atomic_open()
    raise ValueError("no key")


LEAVES = [leave_atomic_open, leave_autocommit_off, leave_begun, fail_in_atomic]
called: list[Callable[[], object]] = []


class Typed(BaseModel):
    n: int = 0

    @field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        for call in called:
            call()
        return n


def key(payload: Any) -> str:
    for call in called:
        call()
    return "k"


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with workflows.temporary():
        for name, options in (("keyed", {"concurrency_key": key}), ("typed", {})):
            graph = StateGraph(Typed if name == "typed" else Plain)
            graph.add_node("node", lambda state: {}).add_edge(START, "node")
            workflows.register(name, graph.compile(), **options)  # type: ignore[arg-type]
        called.clear()
        yield
        called.clear()


class Plain(BaseModel):
    n: int = 0


def left() -> int:
    return sum(thread.metadata == {"name": "left"} for thread in Thread.objects.all())


@pytest.mark.parametrize("leave", LEAVES)
@pytest.mark.parametrize("workflow", ["keyed", "typed"])
def test_a_run_whose_making_leaves_a_transaction_open_is_refused(
    workflow: str, leave: Callable[[], object]
) -> None:
    called[:] = [leave]
    with pytest.raises(Problem) as refused:
        create_run(NewRun(workflow=workflow, payload={"n": 1}))
    assert refused.value.status == 422
    if leave is not fail_in_atomic:
        assert "left a transaction open" in refused.value.detail
    assert (connection.in_atomic_block, connection.get_autocommit()) == (False, True)
    called.clear()
    made = create_run(NewRun(workflow=workflow, payload={"n": 1}))
    connection.close()  # what is not committed is gone
    assert [run.pk for run in Run.objects.all()] == [made.pk]
    assert left() == 0


def test_the_api_says_what_is_wrong() -> None:
    client = Client()
    called[:] = [leave_atomic_open]
    body = {"workflow": "keyed", "payload": {"n": 1}}
    answer = client.post("/api/runs/", body, content_type="application/json")
    assert answer.status_code == 422
    assert "transaction.atomic()" in answer.json()["detail"]
    called.clear()
    answer = client.post("/api/runs/", body, content_type="application/json")
    assert answer.status_code == 201


def test_a_transaction_of_the_caller_is_rolled_back_as_a_whole() -> None:
    called[:] = [leave_atomic_open]
    with transaction.atomic():
        Thread.objects.create(metadata={"name": "mine"})
        with pytest.raises(Problem):
            create_run(NewRun(workflow="keyed", payload={"n": 1}))
    assert Thread.objects.count() == 0
    assert (connection.in_atomic_block, connection.get_autocommit()) == (False, True)


def test_a_function_that_ends_what_it_begins_may_use_the_database() -> None:
    @transaction.atomic
    def write() -> None:
        Thread.objects.create(metadata={"name": "left"})

    called[:] = [write]
    create_run(NewRun(workflow="keyed", payload={"n": 1}))
    with transaction.atomic():
        create_run(NewRun(workflow="typed", payload={"n": 1}))
    assert left() >= 2
    assert Run.objects.count() == 2
