"""What the tasks are doing that keep a superstep of a run from ending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from runs import workflows
from runs.engine import events
from runs.errors import Problem
from runs.models import Event, Run
from runs.queries.reasons import Cause, within
from runs.scheduling import thread_waits

#: Of tasks of a kind, and of questions, so many are shown: a superstep may have thousands.
SHOWN = 10


def causes(run: Run, now: datetime) -> Iterator[Cause]:
    """A cause for each task that has not ended: it runs, waits for a thread, or is tried again. Of
    each kind SHOWN tasks at most, and one cause that says how many more there are."""
    waiting = thread_waits.published()
    running: list[Event] = []
    threadless: list[Event] = []
    retried: list[Event] = []
    for event in _open_tasks(run):
        if str(event.task_id) in waiting:
            threadless.append(event)
        else:
            (retried if event.name == events.RETRY else running).append(event)
    yield from _some(running, _running)
    yield from _some(threadless, _waiting)
    yield from _some(retried, lambda event: _retrying(run, event, now))


def any_waits_for_thread(run: Run) -> bool:
    """Whether a task of the run has no thread yet."""
    waiting = thread_waits.published()
    return any(str(event.task_id) in waiting for event in _open_tasks(run))


def _some(found: list[Event], cause: Callable[[Event], Cause]) -> Iterator[Cause]:
    shown = [cause(event) for event in found[:SHOWN]]
    yield from shown
    if (more := len(found) - SHOWN) > 0:
        tasks = f"{more:,} more task{'s' * (more > 1)}"
        yield Cause(code=shown[0].code, detail=f"The same goes for {tasks} of this superstep.")


def _open_tasks(run: Run) -> list[Event]:
    """The last event of every task of the present superstep that has not finished. What they say
    is read when it is asked for."""
    found = Event.objects.filter(run=run, seq__gt=_last_checkpoint(run), task_id__isnull=False)
    names = (events.NODE_STARTED, events.NODE_UPDATE, events.RETRY)
    found = found.filter(name__in=names).order_by("seq").defer("data")
    last = {event.task_id: event for event in found}
    return [event for event in last.values() if event.name != events.NODE_UPDATE]


def _last_checkpoint(run: Run) -> int:
    found = Event.objects.filter(run=run, name=events.CHECKPOINT, namespace="")
    return found.order_by("-seq").values_list("seq", flat=True).first() or 0


def _running(event: Event) -> Cause:
    return Cause(
        code="node_running",
        detail=f"{_node(event)} of step {event.step} has been running since"
        f" {event.ts:%H:%M:%S} UTC.",
    )


def _waiting(event: Event) -> Cause:
    return Cause(
        code="waits_for_thread",
        detail=f"{_node(event)} of step {event.step} waits for a free thread of its worker"
        " (FASTGRAPH_NODE_THREADS).",
    )


def _retrying(run: Run, event: Event, now: datetime) -> Cause:
    said = event.decoded
    until = _later(event.ts, said.get("delay", 0))
    most = "" if event.namespace else _most_attempts(run, event.node)
    return Cause(
        code="retrying",
        detail=f"{_node(event)}: attempt {said.get('attempt', 0) + 1}{most} begins"
        f" {within(until, now)}, because the last one raised {said.get('error', 'an error')}",
        until=until,
    )


def _node(event: Event) -> str:
    """Its node, and the nodes whose graphs it is in: others may have its name."""
    around = [place.split(":")[0] for place in event.namespace.split("|") if place]
    inside = f" in {' in '.join(map(repr, reversed(around)))}" if around else ""
    return f"Node {event.node!r}{inside}"


def _later(moment: datetime, seconds: Any) -> datetime:
    try:
        return moment + timedelta(seconds=float(seconds))
    except (OverflowError, TypeError, ValueError):  # an earlier version took any number
        return datetime.max.replace(tzinfo=UTC)


def _most_attempts(run: Run, node: str) -> str:
    try:
        graph = workflows.get(run.workflow).graph.graph
    except Problem:
        return ""
    policies = graph.nodes[node].retry if node in graph.nodes else ()
    return f" of {max(policy.max_attempts for policy in policies)}" if policies else ""
