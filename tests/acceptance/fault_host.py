"""A process that the fault table's test starts: it forks a child for every command that it reads,
so that each has a life of its own and may lose it, without another start of Django.

Commands and answers are JSON, one a line; an answer is the child's exit code and what it gave.
"""

from __future__ import annotations

import json
import operator
import os
import sys
from typing import Annotated, Any, TypedDict
from uuid import UUID

import django

from runs.engine import START, StateGraph, SyncContext


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "fastgraph_site.settings"
    django.setup()
    register()
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(in_child(COMMANDS[command], arguments)), flush=True)


class State(TypedDict, total=False):
    paid: Annotated[list[str], operator.add]


def pay(state: State, ctx: SyncContext) -> State:
    from runs.models import Thread

    Thread.objects.create(metadata={"paid": [ctx.run_id, ctx.node]})
    ctx.emit({"paid": ctx.node})
    return {"paid": [ctx.node]}


def register() -> None:
    """`payments`: two nodes in a row and two at once, each of which pays once, in a transaction of
    its own, by a row of a table that would take it twice."""
    from runs import workflows

    graph = StateGraph(State)
    for name in ("first", "second", "left", "right"):
        graph.add_node(name, pay, atomic=True)
    graph.add_edge(START, "first").add_edge("first", "second")
    graph.add_edge("second", "left").add_edge("second", "right")
    workflows.register("payments", graph.compile())


def in_child(function: Any, arguments: list[Any]) -> tuple[int, Any]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        answer = json.dumps(function(*arguments)).encode()
        with os.fdopen(writer, "wb") as out:
            out.write(answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as given:
        answer = given.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, json.loads(answer) if answer else None


def create(workflow: str, payload: dict[str, Any], durability: str) -> str:
    from runs.operations.create import create_run
    from runs.operations.new_run import NewRun

    new = NewRun(workflow=workflow, payload=payload, durability=durability)
    return str(create_run(new).pk)


def work(fault: str) -> dict[str, list[int | None]]:
    """Execute what there is, once; at which steps each fault point was reached, in order."""
    from django.conf import settings

    from fastgraph_site.worker import work
    from runs.engine import faults

    reached: dict[str, list[int | None]] = {}
    if fault:
        for left in settings.DATA_DIR.glob("died-*"):
            left.unlink()
        settings.FASTGRAPH["fault"] = fault
    else:
        faults.watch(lambda name, place: reached.setdefault(name, []).append(place[1]))
    work()
    return reached


def sweep() -> int:
    from django.utils import timezone

    from runs.scheduling import recovery

    return recovery.sweep(timezone.now()).recovered


def story(run_id: str) -> dict[str, Any]:
    """All that can be seen of a run: its row, its events, its artifacts and its final state."""
    from artifacts.models import Artifact
    from runs import workflows
    from runs.engine import serde
    from runs.journal import reading
    from runs.models import Event, PendingWrite, Run, Thread

    run = Run.objects.get(pk=UUID(run_id))
    assert run.checkpoint_id is not None
    graph = workflows.get(run.workflow).graph.graph
    state = reading.read_state(graph, run.thread_id, run.checkpoint_id)
    assert state is not None
    return {
        "run": [run.status, run.step, str(run.lease_owner)],
        "attempt": run.attempt,
        "left": PendingWrite.objects.filter(run=run).count(),
        "seqs": list(Event.objects.filter(run=run).order_by("seq").values_list("seq", flat=True)),
        "events": [
            [event.name, event.node, event.step, event.namespace, event.decoded]
            for event in Event.objects.filter(run=run).order_by("seq")
        ],
        "artifacts": sorted(Artifact.objects.filter(run=run).values_list("name", "size", "sha256")),
        "state": serde.plain(state.values),
        "paid": sorted(
            thread.metadata["paid"][1]
            for thread in Thread.objects.all()
            if thread.metadata.get("paid", [None])[0] == run_id
        ),
    }


COMMANDS = {"create": create, "work": work, "sweep": sweep, "story": story}

if __name__ == "__main__":
    main()
