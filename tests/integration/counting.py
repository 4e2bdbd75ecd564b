"""A workflow that counts to three, and what its runs left behind."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from artifacts.models import Artifact
from artifacts.store import read
from runs.engine import END, START, StateGraph
from runs.models import Event, Run, Thread

Register = Callable[[StateGraph], str]


class Count(TypedDict, total=False):
    n: int
    done: Annotated[list[int], operator.add]


async def add(state: Count) -> Count:
    return {"n": state.get("n", 0) + 1, "done": [state.get("n", 0)]}


def more(state: Count) -> str:
    return "add" if state["n"] < 3 else END


def counting() -> StateGraph:
    graph = StateGraph(Count).add_node("add", add).add_edge(START, "add")
    return graph.add_conditional_edges("add", more, ["add", END])


def pending(workflow: str, payload: Any = None, thread: Thread | None = None) -> Run:
    thread = thread or Thread.objects.create()
    return Run.objects.create(
        thread=thread, workflow=workflow, payload={"n": 0} if payload is None else payload
    )


def log(run: Run) -> list[tuple[int, str, str]]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("seq", "name", "node"))


def error_of(run: Run) -> dict[str, Any]:
    run.refresh_from_db()
    assert run.status == "failed"
    assert run.error is not None
    return dict(run.error)


def result(run: Run) -> Any:
    artifact = Artifact.objects.get(run=run, name="result.json")
    return json.loads(read(artifact.id))
