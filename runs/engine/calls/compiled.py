"""The compiled graph: what `StateGraph.compile()` gives, ready to be run or registered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, Unpack

from runs.engine.calls import snapshots, streams, threads
from runs.engine.calls.invocation import Invocation
from runs.engine.calls.options import Config, Options, options_of, place_of, stopping
from runs.engine.calls.snapshots import StateSnapshot
from runs.engine.calls.threads import History
from runs.engine.calls.views import StreamMode
from runs.engine.checkpoint import Position
from runs.engine.concurrency.thread_pool import run_beside
from runs.engine.execution.execution import Execution
from runs.engine.execution.subgraphs import Inside, first_async, output
from runs.engine.execution.task.task_call import current
from runs.engine.graph import drawing, inputs, schema
from runs.engine.graph.graph import Graph, StateView
from runs.engine.graph.json_schema import json_schema
from runs.engine.journal.memory import MemoryJournal
from runs.engine.journal.ports import Journal

T = TypeVar("T")

#: The options that a graph in a node may have of its own, as its execution has them.
_CHANGES = {
    "recursion_limit": "step_limit",
    "context": "context",
    "artifacts": "artifacts",
    "clock": "clock",
}


@dataclass(frozen=True, kw_only=True)
class CompiledGraph:
    """A checked, frozen graph. It holds no state of any run: one object serves all of them.

    The options of a run: `thread_id` (the same one continues the same state), `checkpoint_id`
    (begin a new run there instead of at the thread's newest), `journal` (where it is kept; this
    graph's own otherwise, in memory if it was compiled with none), `recursion_limit` (supersteps),
    `interrupt_before` and `interrupt_after` (instead of those it was compiled with), `context`,
    `artifacts` and `clock`; in a node also `key`, which tells the call from others of the node
    that run at once, or when its input is new each time. A LangGraph `config` may say the first
    two, the limit, and how many tasks run at once (`max_concurrency`); nodes that take a config see
    all of it.
    """

    graph: Graph
    state: Any
    input: Any
    context: Any = None
    description: str | None = None
    journal: Journal = field(default_factory=MemoryJournal, repr=False)

    @property
    def name(self) -> str:
        """What the graph is called."""
        return self.graph.name

    async def ainvoke(
        self,
        input: Any,
        config: Config | None = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        subgraphs: bool = False,
        **options: Unpack[Options],
    ) -> Any:
        """Run as far as it goes in this process and return the state, with what the run waits for
        under "__interrupt__" if it stopped for that.

        `input` is what the state begins with, a Command that answers and goes on, or None to go
        on where the thread stopped. What a node raises comes out as it is. Called in a node, the
        graph is a part of that node's run, unless it is to have another thread or journal. With
        another `stream_mode` than "values" the answer is the list of all that `astream` gives.
        """
        if stream_mode != "values":
            items = self.astream(
                input, config, stream_mode=stream_mode, subgraphs=subgraphs, **options
            )
            return [item async for item in items]
        outcome = await self.call(config, options).run(input)
        return streams.result(self.graph, outcome)

    def invoke(
        self,
        input: Any,
        config: Config | None = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        subgraphs: bool = False,
        **options: Unpack[Options],
    ) -> Any:
        """`ainvoke` for sync code: scripts and sync nodes. Where an event loop runs in this very
        thread it is held up until the graph ends; a graph with async parts, which may need that
        loop, raises RuntimeError there."""
        doing = self.ainvoke(input, config, stream_mode=stream_mode, subgraphs=subgraphs, **options)
        loop, memo = asyncio._get_running_loop(), current.get(None)
        if loop is not None and (memo is None or memo.loop is loop):
            if name := first_async(self.graph):
                doing.close()
                raise RuntimeError(
                    f"invoke() of graph {self.graph.name!r} would keep the event loop from running "
                    f"its async part {name!r}: write `await graph.ainvoke(...)`."
                )
            return run_beside(doing)
        return asyncio.run(doing) if memo is None else memo.begin(doing).result()

    async def astream(
        self,
        input: Any,
        config: Config | None = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        subgraphs: bool = False,
        **options: Unpack[Options],
    ) -> AsyncIterator[Any]:
        """Run as `ainvoke` does, and give what happens as it happens: what the mode shows of each
        event; with a list of modes pairs of mode and that; with `subgraphs` the namespace (a
        tuple) before it, and what happens in subgraphs too. In a node, as `ainvoke`."""
        call = self.call(config, options)
        shown = streams.stream(call, input, stream_mode, subgraphs=subgraphs)
        async with aclosing(shown) as items:
            async for item in items:
                yield item

    def stream(
        self,
        input: Any,
        config: Config | None = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = "updates",
        subgraphs: bool = False,
        **options: Unpack[Options],
    ) -> Iterator[Any]:
        """`astream` for sync code. What happens waits until it is asked for."""
        items = self.astream(input, config, stream_mode=stream_mode, subgraphs=subgraphs, **options)
        return streams.in_sync(items)

    async def aget_state(
        self,
        config: Config | str,
        *,
        subgraphs: bool = False,
        journal: Journal | None = None,
    ) -> StateSnapshot:
        """Where a thread stands, or stood at a checkpoint; in `journal`, when it is kept there.
        With `subgraphs`, its tasks say where the graphs in them stand (`tasks[0].state`)."""
        return await snapshots.get_state(
            self.graph, journal or self.journal, *place_of(config), subgraphs=subgraphs
        )

    def aget_state_history(
        self,
        config: Config | str,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
        journal: Journal | None = None,
    ) -> History:
        """The checkpoints of a thread, newest first: await them all, or go over them with `async
        for`. Those whose metadata has what `filter` has, that are older than `before`."""
        kept, thread_id = journal or self.journal, place_of(config)[0]
        return History(self.graph, kept, thread_id, filter=filter, before=before, limit=limit)

    async def aupdate_state(
        self,
        config: Config | str,
        values: Any,
        as_node: str | None = None,
        *,
        journal: Journal | None = None,
    ) -> Config:
        """Write to a thread as if `as_node` had returned `values`; answers the config of the new
        checkpoint."""
        thread_id, checkpoint_id = place_of(config)
        return await threads.update_state(
            self.graph,
            journal or self.journal,
            thread_id,
            values,
            as_node=as_node,
            checkpoint_id=checkpoint_id,
        )

    def get_state(
        self,
        config: Config | str,
        *,
        subgraphs: bool = False,
        journal: Journal | None = None,
    ) -> StateSnapshot:
        """`aget_state` for scripts."""
        return _now(self.aget_state(config, subgraphs=subgraphs, journal=journal))

    def get_state_history(
        self,
        config: Config | str,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
        journal: Journal | None = None,
    ) -> list[StateSnapshot]:
        """`aget_state_history` for scripts."""
        found = self.aget_state_history(
            config, filter=filter, before=before, limit=limit, journal=journal
        )
        return _now(found.all())

    def update_state(
        self,
        config: Config | str,
        values: Any,
        as_node: str | None = None,
        *,
        journal: Journal | None = None,
    ) -> Config:
        """`aupdate_state` for scripts."""
        return _now(self.aupdate_state(config, values, as_node, journal=journal))

    def output(self, position: Position) -> dict[str, Any]:
        """The final state that `position` holds, by the keys of the output."""
        return output(self.graph, position)

    def input_json_schema(self) -> dict[str, Any]:
        """JSON Schema for the input, from the annotations of its type. A TypedDict requires keys
        only where it is the input's own: a state also has the keys that its nodes fill in."""
        return json_schema(self.input, partial=self.input is self.state, known=self.graph.channels)

    def input_faults(
        self, payload: Mapping[str, Any], *, goes_on: bool = False
    ) -> list[inputs.Fault]:
        """Why nodes could not be given `payload`, which fits the schema: with the place of each. On
        a thread that `goes_on`, what it leaves out may be there."""
        return inputs.faults(self.input, self._input_view, payload, whole=not goes_on)

    @cached_property
    def _input_view(self) -> StateView:
        return schema.view(self.input, self.graph.channels)

    def state_faults(self, changes: Mapping[str, Any]) -> list[inputs.Fault]:
        """Why nodes could not be given `changes` of the state: with the place of each."""
        return inputs.faults(self.state, self.graph.view, changes, whole=False)

    def to_json(self) -> drawing.Drawing:
        """Nodes and edges as data."""
        return drawing.to_json(self.graph)

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart."""
        return drawing.to_mermaid(self.graph)

    def call(self, config: Config | None, options: Options) -> Invocation | Inside:
        """One call of the graph, with what a config and the options say; in a node a part of it."""
        said = options_of(config, options)
        graph, memo = stopping(self.graph, said), current.get(None)
        if memo is not None and _belongs(memo.execution, said):
            changes = {_CHANGES[key]: value for key, value in said.items() if key in _CHANGES}
            if "context" in changes:
                changes["context"] = schema.build(self.context, changes["context"])
            if config is not None:
                changes["config"] = config
            return Inside(memo=memo, graph=graph, changes=changes, key=said.get("key"))
        if said.get("key") is not None:
            raise TypeError(
                "key= tells apart the graphs that a node calls as parts of its run; this is a run "
                "of its own. Leave it out."
            )
        return Invocation(
            graph=graph,
            journal=self.journal,
            context=schema.build(self.context, said.get("context")),
            config=config or {},
            options=said,
        )


def _belongs(execution: Execution, said: Options) -> bool:
    thread_id, journal = said.get("thread_id"), said.get("journal")
    return thread_id in (None, execution.lease.thread_id) and journal in (None, execution.journal)


def _now(doing: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where an event loop runs: a journal in memory never
    waits."""
    try:
        doing.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    doing.close()
    raise RuntimeError("This journal has to be waited for: use the `a...` method, with await.")
