"""Sleeps until the first and last moments that there are, in memory and on the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypedDict

import pytest
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import START, CompiledGraph, Context, StateGraph
from runs.operations.cancel import cancel_run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from tests.integration.counting import Register

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    a: int


class Parked(Exception):
    pass


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            raise Parked


def sleeper(moment: datetime) -> CompiledGraph:
    async def sleep(state: State, ctx: Context) -> State:
        await ctx.sleep_until(moment)
        return {"a": 1}

    return StateGraph(State).add_node("n", sleep).add_edge(START, "n").compile()


def zone(hours: float) -> timezone:
    return timezone(timedelta(hours=hours))


MOMENTS = {
    "last": (datetime.max.replace(tzinfo=UTC), "sleeping"),
    "after the last": (datetime.max.replace(tzinfo=zone(-12)), "failed"),
    "last elsewhere": (datetime.max.replace(tzinfo=zone(12)), "sleeping"),
    "first": (datetime.min.replace(tzinfo=UTC), "completed"),
    "before the first": (datetime.min.replace(tzinfo=zone(12)), "failed"),
}


async def in_memory(graph: CompiledGraph) -> str:
    try:
        await graph.ainvoke({}, clock=Clock())
    except Parked:
        return "sleeping"
    except ValueError as error:
        assert "from the year 1 to the year 9999 in UTC" in str(error)
        return "failed"
    return "completed"


@pytest.mark.parametrize(("moment", "status"), MOMENTS.values(), ids=MOMENTS.keys())
def test_far_moments_are_the_same_everywhere(
    moment: datetime,
    status: str,
    register: Register,
    drain: Callable[[], None],
    api: APIClient,
) -> None:
    graph = sleeper(moment)
    assert asyncio.run(in_memory(graph)) == status
    workflows.register("far", graph)
    run = create_run(NewRun(workflow="far"))
    drain()
    for path in ("", "/why", "/events", "/state", "/checkpoints"):
        answer: Any = api.get(f"/api/runs/{run.id}{path}")
        assert answer.status_code == 200
    run.refresh_from_db()
    assert run.status == status
    other = create_run(NewRun(workflow="text_report", payload={"input": "Others go on."}))
    drain()
    other.refresh_from_db()
    assert other.status == "completed"
    if status == "sleeping":
        assert cancel_run(run.id).status == "cancelled"
