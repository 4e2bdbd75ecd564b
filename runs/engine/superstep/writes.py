"""What a node's answer means: writes to channels, and where to go on."""

from __future__ import annotations

import dataclasses
from collections.abc import (
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson

from runs.engine import serde
from runs.engine.annotations.field_defaults import is_default
from runs.engine.checkpoint import Sent, TaskWrites, Write
from runs.engine.errors import InvalidUpdateError, ParentCommand
from runs.engine.graph.graph import Graph
from runs.engine.names import as_text
from runs.engine.superstep.routes import Target, encode, parse_targets, with_message_ids
from runs.engine.types import START, Command, Send
from runs.engine.values import unpacking


def read_answer(
    graph: Graph, node: str, answer: Any, task_id: str | None = None
) -> tuple[list[Write], list[Target]]:
    """The writes and targets in what `node` returned: a mapping, None, the state's own type, a
    Command, a Send, or a list of these. Anything else raises InvalidUpdateError; a Command to the
    parent graph raises ParentCommand. New ids in it follow from `task_id`; None gives none yet, and
    `identified` is to be called."""
    if not graph.entries:
        task_id = None
    if type(answer) is dict:
        return _writes(graph, node, answer, seed=task_id), []
    writes: list[Write] = []
    targets: list[Target] = []
    given = answer if isinstance(answer, (list, tuple)) else (answer,)
    for number, part in enumerate(given):
        seed = task_id and f"{task_id}:{number}"
        if isinstance(part, Command):
            if part.graph == Command.PARENT:
                raise ParentCommand(part)
            if part.graph is not None:
                raise InvalidUpdateError(
                    f"{_who(node)} sent a Command with graph={part.graph!r}: it may go to "
                    "Command.PARENT, the graph around, or leave graph= out."
                )
            writes += _writes(graph, node, part.update, seed=seed)
            targets += parse_targets(graph, node, part.targets(), seed)
        elif isinstance(part, Send):
            targets += parse_targets(graph, node, [part], seed)
        else:
            writes += _writes(graph, node, part, seed=seed)
    return writes, targets


def identified(graph: Graph, task: TaskWrites) -> TaskWrites:
    """What a task wrote, with the ids that `read_answer` did not give yet."""
    if not graph.entries:
        return task
    writes = []
    for number, write in enumerate(task.writes):
        if (entry := graph.entries.get(write.channel)) is not None:
            value = entry.entering(write.value, f"{task.task_id}:kept:{number}:{write.channel}")
            if value is not write.value:
                write = Write(channel=write.channel, value=value, encoded=serde.dumps(value))
        writes.append(write)
    goto = []
    for number, to in enumerate(task.goto):
        if isinstance(to, Sent):
            arg = to.arg
            named = with_message_ids(graph, arg, f"{task.task_id}:kept:goto:{number}")
            to = to if named is arg else Sent.of(to.node, named)
        goto.append(to)
    return replace(task, writes=tuple(writes), goto=tuple(goto))


def read_input(
    graph: Graph, payload: Any, task_id: str, *, known: Collection[str] = ()
) -> list[Write]:
    """The writes that a run's input makes, with those of `read_defaults`. Keys that the input does
    not have raise InvalidUpdateError."""
    writes = _writes(graph, START, payload, seed=task_id)
    return writes + read_defaults(graph, writes, task_id, known=known)


def read_defaults(
    graph: Graph, given: Sequence[Write], task_id: str, *, known: Collection[str]
) -> list[Write]:
    """The defaults that keys begin with that are neither given nor among the `known` ones, which
    have a value already."""
    if not graph.defaults:
        return []
    there = {write.channel for write in given}.union(known)
    left = {key: make() for key, make in graph.defaults.items() if key not in there}
    return _writes(graph, START, left, allowed=graph.channels, seed=task_id)


def read_command(graph: Graph, command: Command[Any], task_id: str) -> dict[str, Any]:
    """`writes` and `goto` of what a person said beside their answer."""
    writes = _writes(graph, START, command.update, allowed=graph.channels, seed=task_id)
    goto = tuple(parse_targets(graph, START, command.targets(), task_id))
    return {"writes": tuple(writes), "goto": goto}


def update_data(writes: Sequence[Write]) -> bytes:
    """The `node_update` event's data: the node's update as a JSON object, null for none; a list of
    objects where it wrote a key several times."""
    if not writes:
        return b"null"
    if len(writes) == 1:
        return _object(writes)
    pairs = [(write.channel, _key(write.channel) + write.encoded) for write in writes]
    said = dict(pairs)
    if len(said) < len(pairs):
        return b"[%b]" % b",".join([_object([write]) for write in writes])
    if unpacking.TAG in said:
        return _object(writes)
    return b"{%b}" % b",".join(said.values())


def _object(writes: Sequence[Write]) -> bytes:
    """A stored mapping of what was written, by key."""
    if any(write.channel == unpacking.TAG for write in writes):  # not to be taken for a tag
        pairs = [b"[%b,%b]" % (orjson.dumps(w.channel), w.encoded) for w in writes]
        return b'{"%b":"dict","value":[%b]}' % (unpacking.TAG.encode(), b",".join(pairs))
    return b"{%b}" % b",".join([_key(write.channel) + write.encoded for write in writes])


def _writes(
    graph: Graph,
    node: str,
    update: Any,
    allowed: Collection[str] | None = None,
    seed: str | None = None,
) -> list[Write]:
    if allowed is None:
        allowed = graph.input_keys if node == START else graph.channels
    found, entries = [], graph.entries
    for key, value in update.items() if type(update) is dict else read_items(node, update):
        if key not in allowed:
            raise InvalidUpdateError(
                f"{_who(node)} wrote to {key!r}, which is not a key of the state. "
                f"Its keys are {', '.join(map(repr, allowed))}."
            )
        if type(key) is not str:
            key = as_text(key)
        if graph.defaults and _is_left_out(graph, update, key, value):
            continue
        if entries and (entry := entries.get(key)) is not None:
            value = entry.entering(value, seed and f"{seed}:{key}")
        encoded = encode(node, key, value)
        if type(value) not in unpacking.SCALARS:
            # The run goes on with what a journal gives back, not with the object that the node
            # returned: the node may keep and change that, and a resumed run has only this.
            value = serde.loads(encoded)
        found.append(Write(channel=key, value=value, encoded=encoded))
    return found


def _is_left_out(graph: Graph, update: Any, key: str, value: Any) -> bool:
    """Whether an object only brings the default of a reduced key, which has it already."""
    return key in graph.defaults and graph.channels[key].many and is_default(update, key, value)


def read_items(node: str, update: Any) -> Iterator[tuple[Any, Any]]:
    """The keys and values in a mapping, None, a dataclass or a pydantic model."""
    if update is None:
        return iter(())
    if isinstance(update, Mapping):
        return iter(update.items())
    if dataclasses.is_dataclass(update) and not isinstance(update, type):
        return ((field.name, getattr(update, field.name)) for field in dataclasses.fields(update))
    if hasattr(update, "model_fields_set"):
        return _of_model(update)
    raise InvalidUpdateError(
        f"{_who(node)} gave a {type(update).__name__}; give a dict of the keys to write, or None."
    )


def _of_model(update: Any) -> Iterator[tuple[str, Any]]:
    """All that a pydantic model holds, but for a None that nobody put there. What it has beside its
    fields is no key, as in a mapping."""
    for name, info in type(update).model_fields.items():
        value = getattr(update, name)
        if value is not None or info.default is not None or name in update.model_fields_set:
            yield name, value
    yield from (getattr(update, "model_extra", None) or {}).items()


@lru_cache(1024)
def _key(channel: str) -> bytes:
    return orjson.dumps(channel) + b":"


def _who(node: str) -> str:
    return "The input" if node == START else f"Node {node!r}"
