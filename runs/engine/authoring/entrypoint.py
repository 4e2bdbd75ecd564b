"""The functional form, the whole: a workflow as one function (`@entrypoint`), over the same loop as
graphs. The functions that it calls are tasks: `functional`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar, Unpack

from runs.engine.annotations import function_hints, type_hints
from runs.engine.annotations.function_hints import Unresolved
from runs.engine.authoring.entrypoint_state import (
    EntrypointResult,
    EntrypointState,
    as_debug,
    as_input,
    as_snapshot,
    as_update,
)
from runs.engine.authoring.state_graph import StateGraph
from runs.engine.calls.compiled import CompiledGraph
from runs.engine.calls.options import Config, Options
from runs.engine.calls.snapshots import StateSnapshot
from runs.engine.calls.streams import in_sync, stream
from runs.engine.calls.views import NOTHING, StreamMode
from runs.engine.errors import InvalidGraphError, InvalidUpdateError
from runs.engine.execution.task.parts import in_loop
from runs.engine.execution.task.signals import waits
from runs.engine.execution.task.task_call import current
from runs.engine.graph import signatures
from runs.engine.graph.validation import check_yields_nothing
from runs.engine.journal.ports import Journal
from runs.engine.types import START, Cache

R = TypeVar("R")
S = TypeVar("S")


class Entrypoint:
    """A workflow written as a function. `compiled` is the graph behind it, to register: its input
    is `{"input": ...}`, its output `{"result": ...}`."""

    def __init__(
        self,
        function: Callable[..., Any],
        context_schema: Any = None,
        cache: Cache | None = None,
        checkpointer: Journal | None = None,
    ) -> None:
        name = signatures.name_of(function)
        check_yields_nothing(f"Entrypoint {name!r}", function)
        body = _Body(function)
        typed: Any = TypedDict  # its keys are known at run time only
        given = typed("given", {"input": body.takes})
        seen = typed("seen", {"input": body.takes, "previous": Any}, total=False)
        builder = StateGraph(
            EntrypointState, context_schema, input_schema=given, output_schema=EntrypointResult
        )
        builder.add_node(name, body, input_schema=seen).add_edge(START, name)
        self.compiled: CompiledGraph = builder.compile(
            checkpointer, name=name, description=function.__doc__, cache=cache
        )
        self.__name__, self.__doc__ = name, function.__doc__

    async def ainvoke(
        self,
        input: Any,
        config: Any = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        subgraphs: bool = False,
        **options: Unpack[Options],
    ) -> Any:
        """Run, and give what the function returns; `{"__interrupt__": [...]}` when it waits.
        `input` may be a Command, and `stream_mode` another one, as for a graph."""
        if stream_mode != "values":
            items = self.astream(
                input, config, stream_mode=stream_mode, subgraphs=subgraphs, **options
            )
            return [item async for item in items]
        return _answer(await self.compiled.ainvoke(as_input(input), config, **options))

    def invoke(
        self,
        input: Any,
        config: Any = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        subgraphs: bool = False,
        **options: Unpack[Options],
    ) -> Any:
        """`ainvoke` for scripts."""
        if stream_mode != "values":
            return list(
                self.stream(input, config, stream_mode=stream_mode, subgraphs=subgraphs, **options)
            )
        return _answer(self.compiled.invoke(as_input(input), config, **options))

    def astream(
        self,
        input: Any,
        config: Any = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        subgraphs: bool = False,
        **options: Unpack[Options],
    ) -> AsyncIterator[Any]:
        """As `CompiledGraph.astream`; the tasks are shown as nodes, the values are what the
        function returns."""
        doing = self.compiled.call(config, options)
        given = as_input(input)
        return stream(doing, given, stream_mode, subgraphs=subgraphs, shape=self._shape)

    def stream(
        self,
        input: Any,
        config: Any = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        subgraphs: bool = False,
        **options: Unpack[Options],
    ) -> Iterator[Any]:
        """`astream` for sync code. What happens waits until it is asked for."""
        items = self.astream(input, config, stream_mode=stream_mode, subgraphs=subgraphs, **options)
        return in_sync(items)

    def _shape(self, mode: StreamMode, shown: Any, behind: Any) -> Any:
        if mode == "updates":
            return as_update(self.__name__, shown)
        if mode == "values":
            if "__interrupt__" in shown:
                return _answer(shown)
            # The input alone changes nothing that is seen of a function.
            return shown.get("result") if "result" in behind.changed else NOTHING
        if mode == "debug":
            return {**shown, "payload": as_debug(self.__name__, shown["payload"])}
        return as_debug(self.__name__, shown) if mode in ("tasks", "checkpoints") else shown

    async def aget_state(
        self, config: Config | str, *, journal: Journal | None = None
    ) -> StateSnapshot:
        """Where a thread stands; its values are what the function returned last."""
        return as_snapshot(await self.compiled.aget_state(config, journal=journal))

    async def aget_state_history(
        self, config: Config | str, **options: Any
    ) -> AsyncIterator[StateSnapshot]:
        """The checkpoints of a thread, newest first. The options are those of
        `CompiledGraph.aget_state_history`."""
        async for state in self.compiled.aget_state_history(config, **options):
            yield as_snapshot(state)

    async def aupdate_state(
        self,
        config: Config | str,
        values: Any,
        as_node: str | None = None,
        *,
        journal: Journal | None = None,
    ) -> Config:
        """Write to a thread as if the function had returned `values`: that is what its next run
        gets as `previous`, or what an `entrypoint.final` saves."""
        written = self._written(values, as_node)
        return await self.compiled.aupdate_state(config, written, journal=journal)

    def get_state(self, config: Config | str, *, journal: Journal | None = None) -> StateSnapshot:
        """`aget_state` for scripts."""
        return as_snapshot(self.compiled.get_state(config, journal=journal))

    def get_state_history(self, config: Config | str, **options: Any) -> list[StateSnapshot]:
        """`aget_state_history` for scripts."""
        return [as_snapshot(one) for one in self.compiled.get_state_history(config, **options)]

    def update_state(
        self,
        config: Config | str,
        values: Any,
        as_node: str | None = None,
        *,
        journal: Journal | None = None,
    ) -> Config:
        """`aupdate_state` for scripts."""
        written = self._written(values, as_node)
        return self.compiled.update_state(config, written, journal=journal)

    def _written(self, values: Any, as_node: str | None) -> EntrypointState:
        if as_node not in (None, self.__name__):
            raise InvalidUpdateError(
                f"Entrypoint {self.__name__!r} has no node {as_node!r} to update its state as: "
                "leave out as_node."
            )
        return _returned(values)


class entrypoint:
    """`@entrypoint()`: make a function of one input a workflow. It may also take `previous` (what
    the thread's last run returned, or saved), `config`, `runtime` or `writer` by keyword. `cache`
    is where results of tasks with a cache policy are kept, the journal `checkpointer` where threads
    are (both in memory otherwise)."""

    @dataclass(frozen=True, kw_only=True)
    class final(Generic[R, S]):
        """What an entrypoint may return to keep something else than it answers: `value` is the
        answer, `save` is what the next run of the thread gets as `previous`."""

        value: R
        save: S

    def __init__(
        self,
        checkpointer: Journal | None = None,
        *,
        context_schema: Any = None,
        cache: Cache | None = None,
    ) -> None:
        self._checkpointer = checkpointer
        self._context_schema = context_schema
        self._cache = cache

    def __call__(self, function: Callable[..., Any]) -> Entrypoint:
        return Entrypoint(function, self._context_schema, self._cache, self._checkpointer)


class _Body:
    """The one node behind an entrypoint. `takes` is the type of the function's input."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.awaits = signatures.awaits(function)
        named = inspect.signature(function).parameters
        self._named = [name for name in named if name in ("previous", *signatures.NAMED)]
        if len(named) - len(self._named) != 1:
            raise InvalidGraphError(
                f"Entrypoint {signatures.name_of(function)!r} takes one input, and by keyword "
                f"previous, {', '.join(signatures.NAMED)}."
            )
        (first,) = (name for name in named if name not in self._named)
        said = function_hints.hints(function).get(first, Any)
        self.takes: Any = Any if isinstance(said, Unresolved) else type_hints.peeled(said)[0]

    async def __call__(
        self, state: EntrypointState, *, config: Any, runtime: Any, writer: Any
    ) -> EntrypointState:
        memo = current.get()
        context = runtime if self.awaits else runtime.in_thread
        given = {"config": config, "previous": state.get("previous"), "writer": context.emit}
        named = {name: given.get(name, context) for name in self._named}
        try:
            answer = await memo.call(self._function, state["input"], **named)
        except BaseException as error:
            if waits(error):  # what runs beside it ends first, or asks as well
                await asyncio.gather(*map(in_loop, memo.begun), return_exceptions=True)
            raise
        return _returned(answer)


def _answer(final_state: dict[str, Any]) -> Any:
    if "__interrupt__" in final_state:
        return {"__interrupt__": final_state["__interrupt__"]}
    return final_state.get("result")


def _returned(answer: Any) -> EntrypointState:
    """What the state has of what the function returned."""
    if isinstance(answer, entrypoint.final):
        return {"result": answer.value, "previous": answer.save}
    return {"result": answer, "previous": answer}
