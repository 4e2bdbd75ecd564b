"""Results of nodes that are kept for later runs, by what the node was given."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict

from . import serde
from .checkpoint import TaskWrites
from .errors import NotStorableError
from .graph import Graph
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


def key_of(graph: Graph, task: Task) -> str | None:
    """What the task's result is kept under; None for a node without a cache policy."""
    policy = task.node.cache
    if policy is None:
        return None
    node, given = task.node.name, task.arg
    try:
        if policy.key_func is not None:
            said = serde.dumps(policy.key_func(given))
        else:
            shown = given if isinstance(given, (str, int, list)) else read_items(node, given)
            said = serde.dumps(shown if isinstance(shown, (str, int, list)) else dict(shown))
    except NotStorableError as error:
        raise NotStorableError(f"Cache key of node {node!r}: {error}") from None
    return f"{graph.name}/{node}/{hashlib.sha256(said).hexdigest()}"


async def find(graph: Graph, task: Task, key: str) -> TaskWrites | None:
    """What was kept of an earlier call with the same key, as the writes of `task`."""
    kept = await graph.cache.get(key) if graph.cache is not None else None
    return None if kept is None else TaskWrites.loads(task.task_id, task.node.name, kept)


async def keep(graph: Graph, task: Task, key: str, writes: TaskWrites) -> None:
    """Keep what the task wrote."""
    assert task.node.cache is not None and graph.cache is not None
    await graph.cache.put(key, writes.dumps(), task.node.cache.ttl)
