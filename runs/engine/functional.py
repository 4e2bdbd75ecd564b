"""The functional form: a workflow as one function (`@entrypoint`) that calls others (`@task`),
whose results are recorded. Over the same loop as graphs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload

from . import events, ids, serde, signatures
from .attempts import in_time, until_done
from .compiled import CompiledGraph
from .errors import GraphInterrupt, InvalidGraphError
from .graph import Node
from .invocation import Options
from .memo import Memo, current
from .plan import Task
from .state_graph import StateGraph
from .types import START, Command, RetryPolicy
from .views import StreamMode

R = TypeVar("R")
S = TypeVar("S")


class _Given(TypedDict):
    input: Any


class _Result(TypedDict):
    result: Any


class _State(TypedDict, total=False):
    input: Any
    result: Any
    previous: Any


class TaskFunction:
    """A function whose results are recorded in the run that calls it: called again after a crash
    or an interrupt, it is not run again. A call begins at once and gives a future: await it in
    async code, ask its `.result()` in sync code."""

    def __init__(self, function: Callable[..., Any], name: str | None, **options: Any) -> None:
        self._function = function
        policy = options.pop("retry_policy", None)
        self._node = Node(
            name=name or signatures.name_of(function),
            run=function,
            is_async=signatures.is_async(function),
            retry=(policy,) if isinstance(policy, RetryPolicy) else tuple(policy or ()),
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
            begun: Any = asyncio.run_coroutine_threadsafe(doing, memo.loop)
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
    execution = memo.execution
    task_id = ids.derived_text(memo.task.task_id, key)
    task = Task(task_id=task_id, path=memo.task.path, node=node, step=memo.task.step, arg=args)
    execution.state(task, events.NODE_STARTED, serde.dumps({"task_id": task_id}))
    inner = memo.inner(task)
    call = partial(_call, inner, args, kwargs)
    encoded = memo.encode(key, await until_done(inner, call))
    # Stated first: what is kept is not run again, and would not be stated any more.
    execution.state(task, events.NODE_UPDATE, encoded)
    return await memo.keep(key, encoded)


async def _call(memo: Memo, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    node, token = memo.task.node, current.set(memo)
    try:
        if node.is_async:
            return await in_time(memo, node.run(*args, **kwargs))
        return await in_time(memo, memo.execution.in_thread(node.run, *args, **kwargs))
    finally:
        current.reset(token)


@overload
def task(function: Callable[..., Any], /) -> TaskFunction: ...
@overload
def task(
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
    timeout: float | None = None,
) -> Callable[[Callable[..., Any]], TaskFunction]: ...
def task(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any
) -> Any:
    """Make a function a task of whatever entrypoint or node calls it. `timeout` is in seconds."""
    if function is None:
        return lambda function: TaskFunction(function, name, **options)
    return TaskFunction(function, name, **options)


class Entrypoint:
    """A workflow written as a function. `compiled` is the graph behind it, to register: its input
    is `{"input": ...}`, its output `{"result": ...}`."""

    def __init__(self, function: Callable[..., Any], context_schema: Any = None) -> None:
        name = signatures.name_of(function)
        builder = StateGraph(_State, context_schema, input_schema=_Given, output_schema=_Result)
        builder.add_node(name, _Body(function), input_schema=_State).add_edge(START, name)
        self.compiled: CompiledGraph = builder.compile(name=name, description=function.__doc__)
        self.__name__, self.__doc__ = name, function.__doc__

    async def ainvoke(self, input: Any, config: Any = None, **options: Unpack[Options]) -> Any:
        """Run, and give what the function returns; `{"__interrupt__": [...]}` when it waits.
        `input` may be a Command, as for a graph."""
        return _answer(await self.compiled.ainvoke(_given(input), config, **options))

    def invoke(self, input: Any, config: Any = None, **options: Unpack[Options]) -> Any:
        """`ainvoke` for scripts."""
        return _answer(self.compiled.invoke(_given(input), config, **options))

    def astream(
        self,
        input: Any,
        config: Any = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        **options: Unpack[Options],
    ) -> AsyncIterator[Any]:
        """As `CompiledGraph.astream`; the tasks are shown as nodes."""
        return self.compiled.astream(_given(input), config, stream_mode=stream_mode, **options)


class entrypoint:
    """`@entrypoint()`: make a function of one input a workflow. It may also take `previous` (what
    the thread's last run returned, or saved), `config`, `runtime` or `writer` by keyword."""

    @dataclass(frozen=True, kw_only=True)
    class final(Generic[R, S]):
        """What an entrypoint may return to keep something else than it answers: `value` is the
        answer, `save` is what the next run of the thread gets as `previous`."""

        value: R
        save: S

    def __init__(self, *, context_schema: Any = None) -> None:
        self._context_schema = context_schema

    def __call__(self, function: Callable[..., Any]) -> Entrypoint:
        return Entrypoint(function, self._context_schema)


class _Body:
    """The one node behind an entrypoint."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._is_async = signatures.is_async(function)
        named = inspect.signature(function).parameters
        self._named = [name for name in named if name in ("previous", *signatures.NAMED)]
        if len(named) - len(self._named) != 1:
            raise InvalidGraphError(
                f"Entrypoint {signatures.name_of(function)!r} takes one input, and by keyword "
                f"previous, {', '.join(signatures.NAMED)}."
            )

    async def __call__(self, state: _State, *, config: Any, runtime: Any, writer: Any) -> _State:
        memo = current.get()
        context = runtime if self._is_async else runtime.in_thread
        given = {"config": config, "previous": state.get("previous"), "writer": context.emit}
        named = {name: given.get(name, context) for name in self._named}
        try:
            answer = await memo.call(self._function, state["input"], **named)
        except GraphInterrupt as pause:
            raise await _all_that_wait(memo, pause) from None
        except BaseException:
            for begun in memo.begun:
                begun.cancel()
            raise
        if isinstance(answer, entrypoint.final):
            return {"result": answer.value, "previous": answer.save}
        return {"result": answer, "previous": answer}


async def _all_that_wait(memo: Memo, first: GraphInterrupt) -> GraphInterrupt:
    """What all tasks of an entrypoint wait for, when the ones that do not wait have ended."""
    running = [asyncio.wrap_future(f) if not asyncio.isfuture(f) else f for f in memo.begun]
    ended = await asyncio.gather(*running, return_exceptions=True)
    pauses = [first, *(one for one in ended if isinstance(one, GraphInterrupt))]
    interrupts = {one.id: one for pause in pauses for one in pause.interrupts}
    until = min((pause.until for pause in pauses if pause.until is not None), default=None)
    return GraphInterrupt(list(interrupts.values()), until=until)


def _given(input: Any) -> Any:
    return input if input is None or isinstance(input, Command) else {"input": input}


def _answer(final_state: dict[str, Any]) -> Any:
    if "__interrupt__" in final_state:
        return {"__interrupt__": final_state["__interrupt__"]}
    return final_state.get("result")
