"""A thread's history, and updates of it by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping
from typing import Any

from runs.engine import ids
from runs.engine.calls.invocation import new_run
from runs.engine.calls.snapshots import NO_UPDATES, Config, StateSnapshot, config_of, snapshot
from runs.engine.checkpoint import Frontier, Position, Saved, TaskWrites
from runs.engine.clock import SystemClock
from runs.engine.errors import InvalidUpdateError
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import commit
from runs.engine.execution.routing import routes
from runs.engine.graph.graph import Graph
from runs.engine.journal.ports import Journal
from runs.engine.names import as_text
from runs.engine.superstep.restore import begin, restore
from runs.engine.superstep.writes import read_answer, read_defaults
from runs.engine.types import END, START


class History:
    """A thread's checkpoints as snapshots, newest first: await them all, or go over them with
    `async for`."""

    def __init__(
        self,
        graph: Graph,
        journal: Journal,
        thread_id: str,
        *,
        filter: Mapping[str, Any] | None = None,
        before: Config | None = None,
        limit: int | None = None,
    ) -> None:
        self._graph, self._journal, self._thread_id = graph, journal, thread_id
        self._filter, self._limit = dict(filter or {}), limit
        self._before = before["configurable"]["checkpoint_id"] if before else None

    async def all(self) -> list[StateSnapshot]:
        """All of them."""
        return [one async for one in self]

    def __await__(self) -> Generator[Any, None, list[StateSnapshot]]:
        return self.all().__await__()

    async def __aiter__(self) -> AsyncIterator[StateSnapshot]:
        picky = self._filter or self._before is not None
        checkpoints = await self._journal.history(
            self._thread_id, limit=None if picky else self._limit
        )
        ids = [checkpoint.checkpoint_id for checkpoint in checkpoints]
        found, run_id, updates = 0, "", NO_UPDATES
        for checkpoint_id in ids[ids.index(self._before) + 1 :] if self._before in ids else ids:
            if found == self._limit:
                return
            saved = await self._journal.load(self._thread_id, checkpoint_id=checkpoint_id)
            assert saved is not None
            if saved.checkpoint.run_id != run_id:
                run_id = saved.checkpoint.run_id
                updates = await self._journal.updates(run_id)
            shown = snapshot(self._graph, saved, with_done=False, updates=updates)
            if self._filter.items() <= shown.metadata.items():
                yield shown
                found += 1


async def update_state(
    graph: Graph,
    journal: Journal,
    thread_id: str,
    values: Any,
    *,
    as_node: str | None = None,
    checkpoint_id: str | None = None,
) -> Config:
    """Write `values` to a thread as if node `as_node` had just returned them, and answer the new
    checkpoint's config. Without `as_node`, as the node that ran last; InvalidUpdateError when
    several did. As START: as the input of a run. As END: nothing runs next. A superstep that had
    not ended gives way to this, with what its finished tasks wrote: the edges from the node say
    what runs, and all of that runs."""
    saved = await journal.load(thread_id, checkpoint_id=checkpoint_id)
    known = None if saved is None else restore(graph, saved.checkpoint, saved.chains, shown=True)
    lease = await new_run(journal, thread_id, SystemClock(), branches=checkpoint_id is not None)
    execution = Execution(graph=graph, journal=journal, lease=lease)
    position = begin(graph) if known is None else known
    node = as_text(as_node or await _last_node(graph, journal, saved))
    said = await _by_hand(execution, position, node, values)
    after = await commit(execution, position.at(_waiting(position)), [said], source="update")
    assert after.checkpoint is not None
    return config_of(after.checkpoint)


def _waiting(position: Position) -> Frontier:
    """What an update leaves of what was to run next: the edges that wait, and what is inside."""
    return Frontier(arrived=position.frontier.arrived, inside=position.frontier.inside)


async def _by_hand(execution: Execution, position: Position, node: str, values: Any) -> TaskWrites:
    graph, task_id = execution.graph, str(ids.uuid7())
    if node == END:
        if values is not None:
            raise InvalidUpdateError(
                "As END nothing is written: give None, and what is to be written as a node."
            )
        return TaskWrites(task_id=task_id, node=END)
    if node not in graph.nodes and node != START:
        raise InvalidUpdateError(
            f"There is no node {node!r} to update the state as. "
            f"The graph has {', '.join(map(repr, graph.nodes))}."
        )
    writes, goto = read_answer(graph, node, values, task_id)
    if node == START:
        writes += read_defaults(graph, writes, task_id, known=position.tails)
    said = TaskWrites(task_id=task_id, node=node, writes=tuple(writes))
    goto += await routes(execution, position, said, graph.branches.get(node, ()))
    return TaskWrites(task_id=task_id, node=node, writes=said.writes, goto=tuple(goto))


async def _last_node(graph: Graph, journal: Journal, saved: Saved | None) -> str:
    if len(graph.nodes) == 1:
        return next(iter(graph.nodes))
    while saved is not None and saved.checkpoint.source in ("update", "fork"):
        checkpoint = saved.checkpoint
        if checkpoint.parent_id is None:
            saved = None
            break
        saved = await journal.load(checkpoint.thread_id, checkpoint_id=checkpoint.parent_id)
    if saved is None or saved.checkpoint.parent_id is None or saved.checkpoint.source == "input":
        return START
    before = await journal.load(
        saved.checkpoint.thread_id, checkpoint_id=saved.checkpoint.parent_id
    )
    ran = set(before.checkpoint.frontier.next_nodes) if before else set()
    if len(ran) != 1:
        raise InvalidUpdateError(
            f"Several nodes ran last ({', '.join(sorted(ran))}): say whose update this is with "
            "as_node."
        )
    return ran.pop()
