"""The functional form, its parts: functions (`@task`) whose results are recorded in the run that
calls them. The workflow that calls them may be one as well: `entrypoints`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial, update_wrapper
from typing import Any, overload

from runs.engine import events, ids, serde
from runs.engine.annotations.function_hints import behind_partials
from runs.engine.concurrency import outside_calls
from runs.engine.errors import (
    GraphInterrupt,
    IdentityError,
    InvalidGraphError,
    NotStorableError,
    ParentCommand,
)
from runs.engine.execution import caching, language_models
from runs.engine.execution.retrying import run_with_retries, with_timeout
from runs.engine.execution.step import step_call
from runs.engine.execution.task import part_tasks, unmatched_calls
from runs.engine.execution.task.task_call import TaskCall, current
from runs.engine.graph import signatures
from runs.engine.graph.function_identity import check_identity
from runs.engine.graph.graph import Node
from runs.engine.graph.validation import (
    check_cache_policy,
    check_task_name,
    check_yields_nothing,
    policies_of,
    seconds_of,
)
from runs.engine.names import as_text
from runs.engine.superstep.call_identity import checked_key, split_key
from runs.engine.superstep.plan import Task
from runs.engine.superstep.recorded_call import Call
from runs.engine.types import CachePolicy, RetryPolicy
from runs.engine.values.copies import copied_containers, copied_if_finite


class TaskFunction:
    """A function whose results are recorded in the run that calls it: called again after a crash
    or an interrupt, it is not run again. A call begins at once and gives a future: await it in
    async code, ask its `.result()` in sync code. Calls are told apart by their arguments, or by a
    `key=`, as `ctx.step` has it; `with_key` is for a function with a parameter of that name."""

    def __init__(self, function: Callable[..., Any], name: str | None, **options: Any) -> None:
        self._function = function
        if options.get("atomic"):
            raise InvalidGraphError(
                "A task cannot be atomic: make a node of it, add_node(..., atomic=True)."
            )
        name = name or signatures.name_of(behind_partials(function))
        check_task_name(name)
        name = as_text(name)
        check_yields_nothing(f"Task {name!r}", function)
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
        if cache is not None:
            self._node = replace(self._node, identity=check_identity(who, self._node))
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        memo = self._memo()
        key, kwargs = split_key(f"Task {self._node.name!r}", self._node.run, kwargs)
        return self._begin(memo, key, args, kwargs)

    def with_key(self, key: str) -> Callable[..., Any]:
        """The task, to be called under `key`, for a function that has a `key` of its own."""
        checked_key(f"Task {self._node.name!r}", key)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._begin(self._memo(), key, args, kwargs)

        return call

    def _memo(self) -> TaskCall:
        memo = current.get(None)
        if memo is None or outside_calls.hidden():
            raise outside_calls.unplaced(
                f"Task {self._node.name!r}", place="in an entrypoint or a node"
            )
        return memo

    def _begin(
        self, memo: TaskCall, key: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        # Which call it is, and with what, is settled now: it begins later, and may be tried again.
        args, kwargs = copied_containers(args), copied_containers(kwargs)
        call = step_call(memo, self._node.name, self._node.run, args, kwargs, key)
        # Records too, but not before: those that hold a client are told apart by what they are.
        doing = _perform(memo, self._node, call, *copied_if_finite((args, kwargs)))
        if asyncio._get_running_loop() is None:
            begun: Any = memo.begin(doing)
        else:
            begun = part_tasks.begin(memo, doing, apart=True)
        memo.begun.append(begun)
        return begun


async def _perform(
    memo: TaskCall, node: Node, call: Call, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    if call.kept is not None and call.kept.value is not None:
        return serde.loads(call.kept.value)
    await unmatched_calls.settle(memo, call)
    memo.gate = memo.gate or memo.execution.gate()
    failed = True
    try:
        async with memo.gate:
            memo.refuse_begun()
            with memo.parts.one():
                answer = await _run(memo, node, call, args, kwargs)
        failed = False
        return answer
    except (GraphInterrupt, ParentCommand, IdentityError) as signal:
        memo.noted(signal)
        raise
    finally:
        memo.ledger.calls.end(call, failed=failed)


async def _run(
    memo: TaskCall, node: Node, call: Call, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    execution = memo.execution
    task_id = ids.derived_text(memo.task.task_id, call.key)
    task = Task(task_id=task_id, path=memo.task.path, node=node, step=memo.task.step, arg=args)
    told = serde.dumps({"task_id": task_id, "called_by": memo.task.task_id})
    shown = copied_if_finite((args, kwargs)) if execution.observer is not None else None
    execution.emit_task_event(task, events.NODE_STARTED, told, shown)
    encoded = await _found_or_made(memo, task, call, args, kwargs)
    # Stated first: what is kept is not run again, and would not be stated any more.
    execution.emit_task_event(task, events.NODE_UPDATE, encoded)
    return await memo.keep(call, encoded)


async def _found_or_made(
    memo: TaskCall, task: Task, call: Call, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bytes:
    """The result of a call, encoded: what the cache has of one like it, or what it gives."""
    graph, policy = memo.execution.graph, task.node.cache
    cached = caching.key_of_call(graph, task.node, args, kwargs) if policy else ""
    if policy and graph.cache and (found := await graph.cache.get(cached)) is not None:
        try:
            serde.loads(found)
            return found
        except NotStorableError:
            pass  # of a class that is gone or has changed since: the task makes it anew
    inner = memo.inner(task, call)
    encoded = memo.encode(
        task.node.name, await run_with_retries(inner, partial(_call, memo, args, kwargs))
    )
    if policy and graph.cache:
        await graph.cache.put(cached, encoded, policy.ttl)
    return encoded


async def _call(
    outer: TaskCall, args: Sequence[Any], kwargs: Mapping[str, Any], memo: TaskCall
) -> Any:
    node, token, leave = memo.task.node, current.set(memo), language_models.enter(memo)
    args, kwargs = copied_if_finite((args, kwargs))
    try:
        if node.is_async:
            answer = await with_timeout(memo, node.run(*args, **kwargs))
        else:
            answer = await with_timeout(memo, memo.call(node.run, *args, **kwargs))
        outer.inside.update(memo.inside)
        return answer
    finally:
        current.reset(token)
        if leave is not None:
            leave()


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
