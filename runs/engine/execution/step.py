"""`ctx.step`: one call in a node, made once and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from runs.engine import names
from runs.engine.concurrency.node_tasks import hand
from runs.engine.errors import IdentityError
from runs.engine.execution.task.signals import again, watched
from runs.engine.execution.task.task_call import TaskCall
from runs.engine.superstep.call_identity import arguments_of, mark_of, split_key
from runs.engine.superstep.recorded_call import Call
from runs.engine.values.copies import copied_if_finite


def split_step_key(
    memo: TaskCall, name: str, function: Callable[..., Any], kwargs: dict[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    return split_key(f"Step {name!r} of node {memo.task.node.name!r}", function, kwargs)


def step_call(
    memo: TaskCall,
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    key: str | None,
) -> Call:
    """Which step or task of the call `memo` is asked for here, with what is on record of it."""
    memo.check()
    memo.refuse_in_transaction("steps, tasks and graphs")
    memo.refuse_while_waiting()
    where = memo.where()
    try:
        return memo.ledger.calls.begin(
            names.as_text(name),
            arguments_of(function, args, kwargs),
            mark=mark_of(function),
            function=function,
            key=key,
            own=where == "own",
            beside=where == "beside",
            line=hand(),
        )
    except IdentityError as error:
        raise memo.noted(error) from None


async def run_step(
    memo: TaskCall,
    call: Call,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """The result of a step that is not on record yet, and is when this returns."""
    failed = True
    try:
        memo.refuse_begun()
        with memo.parts.one():
            with watched(memo) as asked:
                function, args, kwargs = own_copies(function, args, kwargs)
                result = await memo.call(function, *args, **kwargs)
            if asked:  # it was made without the answer
                raise again(asked)
            kept = await memo.keep(call, memo.encode(name, result))
        failed = False
        return kept
    finally:
        memo.ledger.calls.end(call, failed=failed)


def own_copies(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """What a step calls, with copies of its arguments and of those that a `partial` binds."""
    own = copied_if_finite
    if type(function) is partial:
        function = partial(function.func, *own(function.args), **own(function.keywords))
    return function, own(args), own(kwargs)


def has_event_loop() -> bool:
    """Whether this thread runs an event loop, which a wait would stop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
