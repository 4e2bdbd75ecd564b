"""Stream modes: what each makes of one event of a run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from . import events, serde
from .checkpoint import Checkpoint
from .events import Event
from .execution import Standing
from .plan import plan
from .subgraphs import seen
from .types import Interrupt

StreamMode = Literal["values", "updates", "custom", "messages", "tasks", "checkpoints", "debug"]
MODES: tuple[StreamMode, ...] = get_args(StreamMode)

#: Events of this name are what the mode `messages` shows: `ctx.emit(chunk, name="messages")`.
MESSAGES = f"{events.CUSTOM}:messages"

#: What a view makes of an event that its mode does not show.
NOTHING = object()


def view(mode: StreamMode, event: Event, behind: Any) -> Any:
    """What `mode` shows of `event`, or NOTHING. `behind` it is the Standing of a checkpoint or an
    interrupt, or the input of a task that begins."""
    return _VIEWS[mode](event, behind)


def _data(event: Event) -> Any:
    return serde.loads(event.data) if event.data else None


def _asked(behind: Standing) -> tuple[Interrupt, ...]:
    return tuple(one for one in behind.interrupts if not one.stop)


def _values(event: Event, behind: Any) -> Any:
    if not isinstance(behind, Standing):
        return NOTHING
    state, asked = seen(behind.graph, behind.position), _asked(behind)
    if asked:
        return {**state, "__interrupt__": asked}
    checkpoint = behind.position.checkpoint
    begins = checkpoint is not None and checkpoint.source == "input"
    return state if event.name == events.CHECKPOINT and (begins or behind.changed) else NOTHING


def _updates(event: Event, behind: Any) -> Any:
    if event.name == events.NODE_UPDATE:
        return {event.node: _data(event)}
    if event.name == events.INTERRUPTED and isinstance(behind, Standing):
        return {"__interrupt__": _asked(behind)}
    return NOTHING


def _custom(event: Event, behind: Any) -> Any:
    shown = event.name.startswith(events.CUSTOM) and event.name != MESSAGES
    return _data(event) if shown else NOTHING


def _messages(event: Event, behind: Any) -> Any:
    if event.name != MESSAGES:
        return NOTHING
    about = {"langgraph_node": event.node, "langgraph_step": event.step}
    return _data(event), {**about, "langgraph_checkpoint_ns": event.namespace}


def _tasks(event: Event, behind: Any) -> Any:
    if event.name == events.NODE_STARTED:
        return {"id": event.task_id, "name": event.node, "input": behind}
    if event.name == events.NODE_UPDATE:
        about: dict[str, Any] = {"id": event.task_id, "name": event.node, "error": None}
        return {**about, "result": _result(_data(event)), "interrupts": []}
    return NOTHING


def _result(update: Any) -> Any:
    """What a task wrote, by key; of a key that it wrote several times, all of that."""
    if not isinstance(update, list) or not all(isinstance(one, dict) for one in update):
        return {} if update is None else update
    found: dict[str, list[Any]] = {}
    for one in update:
        for key, value in one.items():
            found.setdefault(key, []).append(value)
    return {key: v[0] if len(v) == 1 else {"$writes": v} for key, v in found.items()}


def _checkpoints(event: Event, behind: Any) -> Any:
    if event.name != events.CHECKPOINT or not isinstance(behind, Standing):
        return NOTHING
    checkpoint = behind.position.checkpoint
    assert checkpoint is not None
    tasks = plan(behind.graph, behind.position, run_id=checkpoint.run_id)
    parent = checkpoint.parent_id
    return {
        "config": _config(checkpoint, checkpoint.checkpoint_id),
        "parent_config": None if parent is None else _config(checkpoint, parent),
        "values": seen(behind.graph, behind.position),
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
