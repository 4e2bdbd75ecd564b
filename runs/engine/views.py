"""Stream modes: what each makes of one event of a run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from . import events, serde
from .checkpoint import Position
from .events import Event
from .graph import Graph
from .subgraphs import output

StreamMode = Literal["values", "updates", "custom", "messages", "tasks", "checkpoints", "debug"]
MODES: tuple[StreamMode, ...] = get_args(StreamMode)

#: Events of this name are what the mode `messages` shows: `ctx.emit(chunk, name="messages")`.
MESSAGES = f"{events.CUSTOM}:messages"

#: What a view makes of an event that its mode does not show.
NOTHING = object()


def view(mode: StreamMode, graph: Graph, event: Event, position: Position | None) -> Any:
    """What `mode` shows of `event`, or NOTHING. `position` is the state that a checkpoint or an
    interrupt stands for."""
    return _VIEWS[mode](graph, event, position)


def _data(event: Event) -> Any:
    return serde.loads(event.data) if event.data else None


def _values(graph: Graph, event: Event, position: Position | None) -> Any:
    if position is None:
        return NOTHING
    if event.name == events.INTERRUPTED:
        return {**output(graph, position), "__interrupt__": _data(event)["interrupts"]}
    return output(graph, position)


def _updates(graph: Graph, event: Event, position: Position | None) -> Any:
    if event.name == events.NODE_UPDATE:
        return {event.node: _data(event)}
    if event.name == events.INTERRUPTED:
        return {"__interrupt__": _data(event)["interrupts"]}
    return NOTHING


def _custom(graph: Graph, event: Event, position: Position | None) -> Any:
    shown = event.name.startswith(events.CUSTOM) and event.name != MESSAGES
    return _data(event) if shown else NOTHING


def _messages(graph: Graph, event: Event, position: Position | None) -> Any:
    if event.name != MESSAGES:
        return NOTHING
    about = {"langgraph_node": event.node, "langgraph_step": event.step}
    return _data(event), {**about, "langgraph_checkpoint_ns": event.namespace}


def _tasks(graph: Graph, event: Event, position: Position | None) -> Any:
    if event.name == events.NODE_STARTED:
        return {"id": event.task_id, "name": event.node}
    if event.name == events.NODE_UPDATE:
        return {"id": event.task_id, "name": event.node, "error": None, "result": _data(event)}
    return NOTHING


def _checkpoints(graph: Graph, event: Event, position: Position | None) -> Any:
    if event.name != events.CHECKPOINT or position is None or position.checkpoint is None:
        return NOTHING
    checkpoint = position.checkpoint
    return {
        "checkpoint_id": checkpoint.checkpoint_id,
        "parent_id": checkpoint.parent_id,
        "values": output(graph, position),
        "next": checkpoint.frontier.next_nodes,
        "metadata": {"source": checkpoint.source, "step": checkpoint.step},
    }


def _debug(graph: Graph, event: Event, position: Position | None) -> Any:
    about = {"step": event.step, "timestamp": event.ts.isoformat()}
    checkpoint = _checkpoints(graph, event, position)
    if checkpoint is not NOTHING:
        return {**about, "type": "checkpoint", "payload": checkpoint}
    task = _tasks(graph, event, position)
    if task is NOTHING:
        return NOTHING
    return {**about, "type": "task_result" if "result" in task else "task", "payload": task}


_VIEWS: Mapping[StreamMode, Callable[[Graph, Event, Position | None], Any]] = {
    "values": _values,
    "updates": _updates,
    "custom": _custom,
    "messages": _messages,
    "tasks": _tasks,
    "checkpoints": _checkpoints,
    "debug": _debug,
}
