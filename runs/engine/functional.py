"""The functional form, its parts: functions (`@task`) whose results are recorded in the run that
calls them. The workflow that calls them may be one as well: `entrypoints`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial, update_wrapper
from typing import Any, overload

from . import caching, events, ids, serde, signatures
from .attempts import in_time, until_done
from .checking import check_cache_policy, policies_of, seconds_of
from .errors import InvalidGraphError
from .graph import Node
from .memo import Memo, current
from .plan import Task
from .types import CachePolicy, RetryPolicy


class TaskFunction:
    """A function whose results are recorded in the run that calls it: called again after a crash
    or an interrupt, it is not run again. A call begins at once and gives a future: await it in
    async code, ask its `.result()` in sync code."""

    def __init__(self, function: Callable[..., Any], name: str | None, **options: Any) -> None:
        self._function = function
        if options.get("atomic"):
            raise InvalidGraphError(
                "A task cannot be atomic: make a node of it, add_node(..., atomic=True)."
            )
        name = name or signatures.name_of(function)
        who, cache = f"Task {name!r}", options.pop("cache_policy", None)
        check_cache_policy(who, cache)
        self._node = Node(
            name=name,
            run=function,
            is_async=signatures.is_async(function),
            awaits=signatures.awaits(function),
            retry=policies_of(who, options.pop("retry_policy", None)),
            timeout=seconds_of(who, options.pop("timeout", None)),
            cache=cache,
            **options,
        )
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        memo = current.get(None)
        if memo is None:
            name = self._node.name
            raise RuntimeError(f"Task {name!r} can only be called in an entrypoint or a node.")
        # The key is taken now: calls that run at once are told apart by the order they are made in.
        doing = _perform(memo, self._node, memo.key(self._node.name), args, kwargs)
        if asyncio._get_running_loop() is None:
            begun: Any = memo.begin(doing)
        else:
            begun = asyncio.ensure_future(doing)
        memo.begun.append(begun)
        return begun


async def _perform(
    memo: Memo, node: Node, key: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    known = memo.recalled(key)
    if known is not None:
        return serde.loads(known)
    memo.gate = memo.gate or memo.execution.gate()
    async with memo.gate:
        return await _run(memo, node, key, args, kwargs)


async def _run(
    memo: Memo, node: Node, key: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    execution = memo.execution
    task_id = ids.derived_text(memo.task.task_id, key)
    task = Task(task_id=task_id, path=memo.task.path, node=node, step=memo.task.step, arg=args)
    told = serde.dumps({"task_id": task_id})
    execution.state(task, events.NODE_STARTED, told, (args, kwargs))
    encoded = await _found_or_made(memo, task, key, args, kwargs)
    # Stated first: what is kept is not run again, and would not be stated any more.
    execution.state(task, events.NODE_UPDATE, encoded)
    return await memo.keep(key, encoded)


async def _found_or_made(
    memo: Memo, task: Task, key: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bytes:
    """The result of a call, encoded: what the cache has of one like it, or what it gives."""
    graph, policy = memo.execution.graph, task.node.cache
    cached = caching.key_of_call(graph, task.node, args, kwargs) if policy else ""
    if policy and graph.cache and (found := await graph.cache.get(cached)) is not None:
        return found
    inner = memo.inner(task, key)
    encoded = memo.encode(key, await until_done(inner, partial(_call, memo, args, kwargs)))
    if policy and graph.cache:
        await graph.cache.put(cached, encoded, policy.ttl)
    return encoded


async def _call(outer: Memo, args: Sequence[Any], kwargs: Mapping[str, Any], memo: Memo) -> Any:
    node, token = memo.task.node, current.set(memo)
    try:
        if node.is_async:
            answer = await in_time(memo, node.run(*args, **kwargs))
        else:
            answer = await in_time(memo, memo.call(node.run, *args, **kwargs))
        outer.inside.update(memo.inside)
        return answer
    finally:
        current.reset(token)


@overload
def task(function: Callable[..., Any], /) -> TaskFunction: ...
@overload
def task(
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
    cache_policy: CachePolicy | None = None,
    timeout: float | timedelta | None = None,
) -> Callable[[Callable[..., Any]], TaskFunction]: ...
def task(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any
) -> Any:
    """Make a function a task of whatever entrypoint or node calls it. `timeout` is in seconds. With
    a `cache_policy` a call with the same arguments answers what an earlier one did, also in
    another run, as long as that is kept."""
    if function is None:
        return lambda function: TaskFunction(function, name, **options)
    return TaskFunction(function, name, **options)
