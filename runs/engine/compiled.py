"""The compiled graph: what `StateGraph.compile()` gives, ready to be run or registered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import drawing, ids, schema
from .checkpoint import Position
from .clock import Clock, SystemClock
from .errors import NodeError
from .execution import Execution
from .graph import Graph
from .loop import advance
from .memory import MemoryJournal
from .ports import ArtifactStore, Journal, Lease


@dataclass(frozen=True, kw_only=True)
class CompiledGraph:
    """A checked, frozen graph. It holds no state of any run: one object serves all of them."""

    graph: Graph
    state: Any
    input: Any
    description: str | None = None
    journal: Journal = field(default_factory=MemoryJournal, repr=False)

    async def ainvoke(
        self,
        input: Mapping[str, Any] | None,
        *,
        thread_id: str | None = None,
        journal: Journal | None = None,
        recursion_limit: int | None = None,
        artifacts: ArtifactStore | None = None,
        clock: Clock | None = None,
    ) -> dict[str, Any]:
        """Run to the end in this process and return the final state.

        The same `thread_id` continues the same state; `input=None` goes on where that thread
        stopped. `journal` is where it is kept (this graph's own in memory otherwise). What a node
        raises comes out as it is.
        """
        time = clock or SystemClock()
        run_id = str(ids.uuid7())
        lease = Lease(
            run_id=run_id,
            thread_id=thread_id or run_id,
            created_ms=int(time.now().timestamp() * 1000),
        )
        execution = Execution(
            graph=self.graph,
            journal=journal or (self.journal if thread_id else MemoryJournal()),
            lease=lease,
            clock=time,
            artifacts=artifacts,
            step_limit=10_000 if recursion_limit is None else recursion_limit,
        )
        try:
            return self.output(await advance(execution, input))
        except NodeError as error:
            assert error.__cause__ is not None
            raise error.__cause__ from None

    def invoke(self, input: Mapping[str, Any] | None, **options: Any) -> dict[str, Any]:
        """`ainvoke` for scripts: the same, from code that has no event loop."""
        return asyncio.run(self.ainvoke(input, **options))

    def output(self, position: Position) -> dict[str, Any]:
        """The final state that `position` holds, by the keys of the output."""
        values = position.values
        return {key: values[key] for key in self.graph.output_keys if key in values}

    def input_json_schema(self) -> dict[str, Any]:
        """JSON Schema for the input, from the annotations of its type."""
        return schema.json_schema(self.input)

    def to_json(self) -> drawing.Drawing:
        """Nodes and edges as data."""
        return drawing.to_json(self.graph)

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart."""
        return drawing.to_mermaid(self.graph)
