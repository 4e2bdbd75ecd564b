"""The compiled graph: what `StateGraph.compile()` gives, ready to be run or registered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, Unpack

from . import drawing, schema, streams, threads
from .checkpoint import Position
from .graph import Graph
from .invocation import Invocation, Options, options_of
from .memo import current
from .memory import MemoryJournal
from .ports import Journal
from .subgraphs import output, run_inside
from .threads import StateSnapshot
from .views import StreamMode

T = TypeVar("T")

#: A thread by its id, or as LangGraph names it: {"configurable": {"thread_id": ...}}.
Config = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CompiledGraph:
    """A checked, frozen graph. It holds no state of any run: one object serves all of them.

    The options of a run: `thread_id` (the same one continues the same state), `checkpoint_id`
    (begin a new run there instead of at the thread's newest), `journal` (where it is kept; this
    graph's own in memory otherwise), `recursion_limit` (supersteps), `context`, `artifacts` and
    `clock`. A LangGraph `config` may say the first two and the limit.
    """

    graph: Graph
    state: Any
    input: Any
    context: Any = None
    description: str | None = None
    journal: Journal = field(default_factory=MemoryJournal, repr=False)

    async def ainvoke(
        self, input: Any, config: Config | None = None, **options: Unpack[Options]
    ) -> dict[str, Any]:
        """Run as far as it goes in this process and return the state, with what the run waits for
        under "__interrupt__" if it stopped for that.

        `input` is what the state begins with, a Command that answers and goes on, or None to go
        on where the thread stopped. What a node raises comes out as it is. Called in a node
        without options, the graph is a part of that node's run.
        """
        memo = current.get(None)
        if memo is not None and not options and config is None:
            return await run_inside(memo, self.graph, input)
        outcome = await self._invocation(config, options).run(input)
        return streams.result(self.graph, outcome)

    def invoke(
        self, input: Any, config: Config | None = None, **options: Unpack[Options]
    ) -> dict[str, Any]:
        """`ainvoke` for scripts: the same, from code that has no event loop."""
        memo = current.get(None)
        if memo is None:
            return asyncio.run(self.ainvoke(input, config, **options))
        running = self.ainvoke(input, config, **options)
        return asyncio.run_coroutine_threadsafe(running, memo.loop).result()

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
        tuple) first, and what happens in subgraphs too."""
        invocation = self._invocation(config, options)
        async for item in streams.stream(invocation, input, stream_mode, subgraphs=subgraphs):
            yield item

    async def aget_state(self, config: Config | str) -> StateSnapshot:
        """Where a thread stands, or stood at a checkpoint."""
        at = _at(config)
        return await threads.get_state(self.graph, self.journal, *at)

    async def aget_state_history(
        self, config: Config | str, *, limit: int | None = None
    ) -> list[StateSnapshot]:
        """The checkpoints of a thread, newest first."""
        return await threads.get_state_history(self.graph, self.journal, _at(config)[0], limit)

    async def aupdate_state(
        self, config: Config | str, values: Any, as_node: str | None = None
    ) -> Config:
        """Write to a thread as if `as_node` had returned `values`; answers the config of the new
        checkpoint."""
        thread_id, checkpoint_id = _at(config)
        return await threads.update_state(
            self.graph,
            self.journal,
            thread_id,
            values,
            as_node=as_node,
            checkpoint_id=checkpoint_id,
        )

    def get_state(self, config: Config | str) -> StateSnapshot:
        """`aget_state` for scripts."""
        return _now(self.aget_state(config))

    def get_state_history(
        self, config: Config | str, *, limit: int | None = None
    ) -> list[StateSnapshot]:
        """`aget_state_history` for scripts."""
        return _now(self.aget_state_history(config, limit=limit))

    def update_state(self, config: Config | str, values: Any, as_node: str | None = None) -> Config:
        """`aupdate_state` for scripts."""
        return _now(self.aupdate_state(config, values, as_node))

    def output(self, position: Position) -> dict[str, Any]:
        """The final state that `position` holds, by the keys of the output."""
        return output(self.graph, position)

    def input_json_schema(self) -> dict[str, Any]:
        """JSON Schema for the input, from the annotations of its type. A TypedDict requires keys
        only where it is the input's own: a state also has the keys that its nodes fill in."""
        return schema.json_schema(self.input, partial=self.input is self.state)

    def to_json(self) -> drawing.Drawing:
        """Nodes and edges as data."""
        return drawing.to_json(self.graph)

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart."""
        return drawing.to_mermaid(self.graph)

    def _invocation(self, config: Config | None, options: Options) -> Invocation:
        said = options_of(config, options)
        context = schema.build(self.context, said.get("context"))
        return Invocation(graph=self.graph, journal=self.journal, context=context, options=said)


def _at(config: Config | str) -> tuple[str, str | None]:
    if isinstance(config, str):
        return config, None
    said = config["configurable"]
    return said["thread_id"], said.get("checkpoint_id")


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
