"""Stream modes: what each makes of one event of a run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from runs.engine import events, serde
from runs.engine.calls.snapshots import result_of
from runs.engine.checkpoint import Checkpoint
from runs.engine.events import Event
from runs.engine.execution.execution import CheckpointDetail
from runs.engine.execution.language_models import Said
from runs.engine.execution.subgraphs import seen
from runs.engine.superstep.plan import Task, plan
from runs.engine.types import Interrupt
from runs.engine.values.copies import copied

StreamMode = Literal["values", "updates", "custom", "messages", "tasks", "checkpoints", "debug"]
MODES: tuple[StreamMode, ...] = get_args(StreamMode)

#: What a view makes of an event that its mode does not show.
NOTHING = object()


def view(mode: StreamMode, event: Event, behind: Any) -> Any:
    """What `mode` shows of `event`, or NOTHING. `behind` it is the Standing of a checkpoint or an
    interrupt, or the Task of a node that begins, or the arguments of a task function."""
    return _VIEWS[mode](event, behind)


def parts(behind: Any) -> list[Any]:
    """What stands behind an event, as often as it is shown: the questions of each task that waits
    are an item of their own."""
    if not isinstance(behind, CheckpointDetail):
        return [behind]
    tasks: dict[str, list[Interrupt]] = {}
    for one in behind.interrupts:
        if not one.stop:
            # Those of a graph inside are of the task that it runs in.
            tasks.setdefault(one.namespace.split("|")[0] or one.id, []).append(one)
    return [replace(behind, interrupts=asked) for asked in tasks.values()] or [behind]


def _data(event: Event) -> Any:
    return serde.loads(event.data) if event.data else None


def _asked(behind: CheckpointDetail) -> tuple[Interrupt, ...]:
    return copied(tuple(one for one in behind.interrupts if not one.stop))


def _state(behind: CheckpointDetail) -> dict[str, Any]:
    """The state for the one who reads the stream: what they change in it is their own."""
    return copied(seen(behind.graph, behind.position))


def _values(event: Event, behind: Any) -> Any:
    if not isinstance(behind, CheckpointDetail):
        return NOTHING
    asked = _asked(behind)
    if asked:
        return {**_state(behind), "__interrupt__": asked}
    if event.name == events.CHECKPOINT and behind.changed:
        return _state(behind)
    return NOTHING


def _updates(event: Event, behind: Any) -> Any:
    if event.name == events.NODE_UPDATE:
        return {event.node: _data(event)}
    if event.name == events.INTERRUPTED and isinstance(behind, CheckpointDetail):
        return {"__interrupt__": _asked(behind)}
    return NOTHING


def _custom(event: Event, behind: Any) -> Any:
    shown = event.name.startswith(events.CUSTOM) and event.name != events.MESSAGES
    return _data(event) if shown else NOTHING


def _messages(event: Event, behind: Any) -> Any:
    if event.name != events.MESSAGES:
        return NOTHING
    about = {"langgraph_node": event.node, "langgraph_step": event.step}
    own = f"{event.node}:{event.task_id}"
    about["langgraph_checkpoint_ns"] = f"{event.namespace}|{own}" if event.namespace else own
    if not isinstance(behind, Said):  # a node has emitted it
        return _data(event), about
    return behind.message, {**behind.about, **about}


def _tasks(event: Event, behind: Any) -> Any:
    if event.name == events.NODE_STARTED:
        return {"id": event.task_id, "name": event.node, "input": _input(behind)}
    if event.name == events.NODE_UPDATE:
        about: dict[str, Any] = {"id": event.task_id, "name": event.node, "error": None}
        return {**about, "result": result_of(_data(event)), "interrupts": []}
    return NOTHING


def _input(behind: Any) -> Any:
    """What a node was given, or the arguments of a call of a task."""
    if not isinstance(behind, Task):
        return behind
    try:
        return behind.argument()
    except Exception:  # the state's own class refuses it: the node fails with that, and says so
        return None


def _checkpoints(event: Event, behind: Any) -> Any:
    if event.name != events.CHECKPOINT or not isinstance(behind, CheckpointDetail):
        return NOTHING
    checkpoint = behind.position.checkpoint
    assert checkpoint is not None
    tasks = plan(behind.graph, behind.position, run_id=checkpoint.run_id)
    parent = checkpoint.parent_id
    return {
        "config": _config(checkpoint, checkpoint.checkpoint_id),
        "parent_config": None if parent is None else _config(checkpoint, parent),
        "values": _state(behind),
        "metadata": {"source": checkpoint.source, "step": checkpoint.step, "parents": {}},
        "next": checkpoint.frontier.next_nodes,
        "tasks": [
            {"id": task.task_id, "name": task.node.name, "interrupts": (), "state": None}
            for task in tasks
        ],
    }


def _config(checkpoint: Checkpoint, checkpoint_id: str) -> Mapping[str, Any]:
    said = {"checkpoint_ns": checkpoint.namespace, "thread_id": checkpoint.thread_id}
    return {"configurable": {**said, "checkpoint_id": checkpoint_id}}


def _debug(event: Event, behind: Any) -> Any:
    about = {"step": event.step, "timestamp": event.ts.isoformat()}
    checkpoint = _checkpoints(event, behind)
    if checkpoint is not NOTHING:
        return {**about, "type": "checkpoint", "payload": checkpoint}
    task = _tasks(event, behind)
    if task is NOTHING:
        return NOTHING
    return {**about, "type": "task_result" if "result" in task else "task", "payload": task}


_VIEWS: Mapping[StreamMode, Callable[[Event, Any], Any]] = {
    "values": _values,
    "updates": _updates,
    "custom": _custom,
    "messages": _messages,
    "tasks": _tasks,
    "checkpoints": _checkpoints,
    "debug": _debug,
}
