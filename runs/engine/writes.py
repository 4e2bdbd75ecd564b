"""What a node's answer means: writes to channels, and where to go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from . import serde
from .checkpoint import Sent, Write
from .errors import InvalidUpdateError, NotStorableError, ParentCommand
from .graph import Branch, Graph
from .types import END, START, Command, Send

Target = str | Sent


def read_answer(graph: Graph, node: str, answer: Any) -> tuple[list[Write], list[Target]]:
    """The writes and targets in what `node` returned: a mapping, None, the state's own type, a
    Command, a Send, or a list of these. Anything else raises InvalidUpdateError; a Command to the
    parent graph raises ParentCommand."""
    if type(answer) is dict:
        return _writes(graph, node, answer), []
    writes: list[Write] = []
    targets: list[Target] = []
    for part in answer if isinstance(answer, (list, tuple)) else (answer,):
        if isinstance(part, Command):
            if part.graph == Command.PARENT:
                raise ParentCommand(part)
            if part.graph is not None:
                raise InvalidUpdateError(
                    f"{_who(node)} sent a Command with graph={part.graph!r}: it may go to "
                    "Command.PARENT, the graph around, or leave graph= out."
                )
            writes += _writes(graph, node, part.update)
            targets += [_target(graph, node, target) for target in part.targets()]
        elif isinstance(part, Send):
            targets.append(_target(graph, node, part))
        else:
            writes += _writes(graph, node, part)
    return writes, targets


def read_input(graph: Graph, payload: Any) -> list[Write]:
    """The writes that a run's input makes. Keys that the input does not have raise
    InvalidUpdateError."""
    return _writes(graph, START, payload)


def read_command(graph: Graph, command: Command[Any]) -> dict[str, Any]:
    """`writes` and `goto` of what a person said beside their answer."""
    writes = _writes(graph, START, command.update, allowed=graph.channels)
    goto = tuple(_target(graph, START, target) for target in command.targets())
    return {"writes": tuple(writes), "goto": goto}


def read_route(graph: Graph, node: str, branch: Branch, answer: Any) -> list[Target]:
    """The targets that a router's answer names."""
    given = answer if isinstance(answer, (list, tuple)) else (answer,)
    targets: list[Target] = []
    for item in given:
        if not isinstance(item, Send) and branch.path_map is not None:
            if item not in branch.path_map:
                known = ", ".join(repr(key) for key in branch.path_map)
                raise InvalidUpdateError(
                    f"Router {branch.name!r} after {node!r} answered {item!r}, which its path_map "
                    f"does not have; it has {known}."
                )
            item = branch.path_map[item]
        targets.append(_target(graph, node, item))
    return targets


def update_data(writes: Sequence[Write]) -> bytes:
    """The `node_update` event's data: the node's update as a JSON object, null for none; a list of
    objects where it wrote a key several times."""
    if not writes:
        return b"null"
    pairs = [(write.channel, _key(write.channel) + write.encoded) for write in writes]
    said = dict(pairs)
    if len(said) < len(pairs):
        return b"[%b]" % b",".join([b"{%b}" % encoded for _, encoded in pairs])
    return b"{%b}" % b",".join(said.values())


def _target(graph: Graph, node: str, target: Any) -> Target:
    is_send = isinstance(target, Send)
    name = target.node if is_send else target
    if name == END and not is_send:
        return END
    if not isinstance(name, str) or name not in graph.nodes:
        raise InvalidUpdateError(
            f"Node {node!r} goes on to {name!r}, which is not a node of this graph. "
            f"Its nodes are {', '.join(map(repr, graph.nodes))}."
        )
    return Sent(name, target.arg, _encoded(node, "Send", target.arg)) if is_send else name


def _writes(
    graph: Graph, node: str, update: Any, allowed: Collection[str] | None = None
) -> list[Write]:
    if allowed is None:
        allowed = graph.input_keys if node == START else graph.channels
    found = []
    for key, value in update.items() if type(update) is dict else read_items(node, update):
        if key not in allowed:
            raise InvalidUpdateError(
                f"{_who(node)} wrote to {key!r}, which is not a key of the state. "
                f"Its keys are {', '.join(map(repr, allowed))}."
            )
        found.append(Write(channel=key, value=value, encoded=_encoded(node, key, value)))
    return found


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
    """All that a pydantic model holds, but for a None that nobody put there."""
    for name, info in type(update).model_fields.items():
        value = getattr(update, name)
        if value is not None or info.default is not None or name in update.model_fields_set:
            yield name, value


@lru_cache(1024)
def _key(channel: str) -> bytes:
    return orjson.dumps(channel) + b":"


def _who(node: str) -> str:
    return "The input" if node == START else f"Node {node!r}"


def _encoded(node: str, key: str, value: Any) -> bytes:
    try:
        return serde.dumps(value)
    except NotStorableError as error:
        raise NotStorableError(f"Key {key!r} of node {node!r}: {error}") from None
