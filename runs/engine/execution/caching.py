"""Results of nodes that are kept for later runs, by what the node was given."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import quote

from runs.engine import serde
from runs.engine.checkpoint import TaskWrites
from runs.engine.concurrency.outside_calls import NoNode
from runs.engine.errors import NotStorableError
from runs.engine.graph.function_identity import canonical
from runs.engine.graph.graph import Graph, Node
from runs.engine.superstep.plan import Task
from runs.engine.superstep.writes import read_items
from runs.engine.types import END
from runs.engine.values.copies import copied_if_finite


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


class Given(Protocol):
    """What a run was given beside its input."""

    context: Any
    config: Mapping[str, Any]


def key_of(graph: Graph, task: Task, given: Given) -> str | None:
    """What the task's result is kept under; None for a node without a cache policy. Without a
    `key_func` that is all the node is given: the state, the context and config if it takes them."""
    node = task.node
    if node.cache is None:
        return None
    if node.cache.key_func is not None:
        argument = task.argument()
        with NoNode(f"the key_func of node {node.name!r}"):
            said: list[Any] = ["key", node.cache.key_func(argument)]
    else:
        said = ["given", _shown(task.argument(as_kept=True))]
        if node.takes("context") and given.context is not None:
            said += ["context", _shown(given.context)]
        if node.takes("config"):
            said += ["config", _config(given.config)]
    return _key(graph, "", node, f"node {node.name!r}", said)


def key_of_call(graph: Graph, node: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """What the result of a task function with a cache policy is kept under; its `key_func` is
    called as the function is."""
    assert node.cache is not None
    key_func = node.cache.key_func
    if key_func is not None:
        args, kwargs = copied_if_finite((args, kwargs))
        with NoNode(f"the key_func of task {node.name!r}"):
            said = ["key", key_func(*args, **kwargs)]
    else:
        said = ["given", *_bound(node, args, kwargs)]
    # No node has such a name: what is kept of a node has another form.
    return _key(graph, "|", node, f"task {node.name!r}", said)


def _key(graph: Graph, kind: str, node: Node, who: str, said: Any) -> str:
    try:
        encoded = serde.dumps(said)
    except NotStorableError as error:
        raise NotStorableError(
            f"Cache key of {who}: {error} A key_func in its CachePolicy says what else to go by."
        ) from None
    digest = hashlib.sha256(canonical(encoded)).hexdigest()
    # Quoted, so that no two pairs of names are spelled alike.
    return f"{quote(graph.name, '')}/{kind}{quote(node.name, '')}/{node.identity}/{digest}"


def _bound(node: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments by name where they have one: f(1, b=2) is the same call as f(1, 2)."""
    try:
        bound = inspect.signature(node.run).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the call itself will say what is wrong with it
        return [list(args), dict(kwargs)]
    return [dict(bound.arguments)]


def _shown(given: Any) -> Any:
    """A state or a context as plain data: what has fields is shown by its class and them."""
    if isinstance(given, Mapping):
        return dict(given)
    is_record = dataclasses.is_dataclass(given) or hasattr(given, "model_fields_set")
    if not is_record or isinstance(given, type):
        return given
    cls = type(given)
    return [f"{cls.__module__}.{cls.__qualname__}", dict(read_items("", given))]


#: What a config says of one run: results are kept across runs and threads.
_OF_A_RUN = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns"})


def _config(config: Mapping[str, Any]) -> Any:
    """What the caller has put into a config for the nodes to read."""
    said = {key: config[key] for key in ("tags", "metadata") if config.get(key)}
    for key, value in config.get("configurable", {}).items():
        if key not in _OF_A_RUN:
            said.setdefault("configurable", {})[key] = value
    return said


async def find(graph: Graph, task: Task, key: str) -> TaskWrites | None:
    """What was kept of an earlier call with the same key, as the writes of `task`; None as well
    when the graph has no such keys or nodes any more, for the node itself to be refused."""
    kept = await graph.cache.get(key) if graph.cache is not None else None
    if kept is None:
        return None
    try:
        found = TaskWrites.loads(task.task_id, task.node.name, kept)
        for to in found.goto:
            _ = None if isinstance(to, str) else to.arg
    except NotStorableError:  # of a class that is gone or has changed since: the node makes it anew
        return None
    targets = {to if isinstance(to, str) else to.node for to in found.goto}
    fits = graph.channels.keys() >= {write.channel for write in found.writes}
    return found if fits and graph.nodes.keys() >= targets - {END} else None


async def keep(graph: Graph, task: Task, key: str, writes: TaskWrites) -> None:
    """Keep what the node itself said. Its routers see more of the state, and are called again."""
    assert task.node.cache is not None and graph.cache is not None
    # Where its subgraphs stand is a matter of the thread, and not of what it was given.
    await graph.cache.put(key, replace(writes, inside={}).dumps(), task.node.cache.ttl)
