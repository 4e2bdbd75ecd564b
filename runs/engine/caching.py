"""Results of nodes that are kept for later runs, by what the node was given."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from . import serde
from .checkpoint import TaskWrites
from .errors import NotStorableError
from .graph import Graph, Node
from .plan import Task
from .writes import read_items


class InMemoryCache:
    """Keeps the newest `size` results in this process."""

    def __init__(self, size: int = 1_000) -> None:
        self._size = size
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        ends, value = self._kept.get(key, (0.0, None))
        if value is None or time.monotonic() >= ends:
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, ttl: float | None) -> None:
        ends = float("inf") if ttl is None else time.monotonic() + ttl
        self._kept[key] = (ends, value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)


def key_of(graph: Graph, task: Task, context: Any = None) -> str | None:
    """What the task's result is kept under; None for a node without a cache policy. Without a
    `key_func` that is all the node is given: the state, and the context if it takes that."""
    policy = task.node.cache
    if policy is None:
        return None
    node, given = task.node.name, task.arg
    if policy.key_func is not None:
        said = policy.key_func(given)
    else:
        said = _shown(given)
        if task.node.takes_context and context is not None:
            said = [said, _shown(context)]
    return f"{graph.name}/{node}/{_function(task.node)}/{_digest(f'node {node!r}', said)}"


def key_of_call(graph: Graph, node: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """What the result of a task function with a cache policy is kept under; its `key_func` is
    called as the function is."""
    assert node.cache is not None
    key_func = node.cache.key_func
    said = key_func(*args, **kwargs) if key_func is not None else [list(args), dict(kwargs)]
    # No node has such a name: what is kept of a node has another form.
    return f"{graph.name}/|{node.name}/{_function(node)}/{_digest(f'task {node.name!r}', said)}"


def _shown(given: Any) -> Any:
    """A state or a context as plain data: what has fields is shown by them."""
    has_fields = isinstance(given, Mapping) or hasattr(given, "model_fields_set")
    if has_fields or (dataclasses.is_dataclass(given) and not isinstance(given, type)):
        return dict(read_items("", given))
    return given


def _function(node: Node) -> str:
    """Which function it is: graphs that share a cache, and have one name, may have others."""
    function = node.run
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


async def find(graph: Graph, task: Task, key: str) -> TaskWrites | None:
    """What was kept of an earlier call with the same key, as the writes of `task`."""
    kept = await graph.cache.get(key) if graph.cache is not None else None
    return None if kept is None else TaskWrites.loads(task.task_id, task.node.name, kept)


async def keep(graph: Graph, task: Task, key: str, writes: TaskWrites) -> None:
    """Keep what the task wrote."""
    assert task.node.cache is not None and graph.cache is not None
    # Where its subgraphs stand is a matter of the thread, and not of what it was given.
    await graph.cache.put(key, replace(writes, inside={}).dumps(), task.node.cache.ttl)


def _digest(who: str, said: Any) -> str:
    try:
        return hashlib.sha256(serde.dumps(said)).hexdigest()
    except NotStorableError as error:
        raise NotStorableError(
            f"Cache key of {who}: {error} A key_func in its CachePolicy says what else to go by."
        ) from None
