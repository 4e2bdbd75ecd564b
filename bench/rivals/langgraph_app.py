"""LangGraph with a saver of its own, in the process that serves; its default durability, which
writes a checkpoint while the next step is under way.
`python -m bench.rivals.langgraph_app PORT [URL]`, in memory without one."""

from __future__ import annotations

import asyncio
import operator
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from bench.rivals.asking import STEPS, Rival, line, serve


class State(TypedDict, total=False):
    number: int
    steps: int
    seconds: float
    lines: Annotated[list[str], operator.add]


async def count(state: State) -> State:
    return {"number": state["number"] + 1}


async def nap(state: State) -> State:
    await asyncio.sleep(state["seconds"])
    return {"number": state["number"] + 1}


async def add_line(state: State) -> State:
    return {"number": state["number"] + 1, "lines": [line()]}


def more(state: State) -> str:
    return "node" if state["number"] < state["steps"] else END


class LangGraph:
    def __init__(self, saver: Any) -> None:
        self._graphs = {node: self._loop(node, saver) for node in (count, nap, add_line)}
        self._begun: list[asyncio.Task[None]] = []

    def _loop(self, node: Any, saver: Any) -> Any:
        graph = StateGraph(State).add_node("node", node).add_edge(START, "node")
        graph.add_conditional_edges("node", more, ["node", END])
        return graph.compile(checkpointer=saver)

    async def _run(self, node: Any, steps: int, **state: Any) -> None:
        config = {
            "configurable": {"thread_id": uuid.uuid4().hex},
            "recursion_limit": steps + 5,
        }
        given = {"number": 0, "steps": steps, **state}
        ended = await self._graphs[node].ainvoke(given, config)
        assert ended["number"] == steps

    async def chain(self) -> None:
        await self._run(count, STEPS)

    async def start(self) -> None:
        self._begun.append(asyncio.create_task(self.chain()))

    async def join(self) -> None:
        await asyncio.gather(*self._begun)

    async def long(self, steps: int) -> None:
        await self._run(count, steps)

    async def sleepers(self, runs: int, steps: int, seconds: float) -> None:
        await asyncio.gather(*(self._run(nap, steps, seconds=seconds) for _ in range(runs)))

    async def append(self, lines: int, steps: int) -> None:
        await self._run(add_line, steps, lines=[line() for _ in range(lines)])


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Rival]:
    async with AsyncExitStack() as stack:
        yield LangGraph(await _saver(url, stack))


async def _saver(url: str, stack: AsyncExitStack) -> Any:
    if not url:
        from langgraph.checkpoint.memory import InMemorySaver

        return InMemorySaver()
    if url.startswith("sqlite"):
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        path = url.removeprefix("sqlite:///")
        return await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(path))
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    more = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool = AsyncConnectionPool(url, min_size=4, max_size=20, kwargs=more, open=False)
    await stack.enter_async_context(pool)
    saver = AsyncPostgresSaver(pool)
    await saver.setup()
    return saver


if __name__ == "__main__":
    serve(lambda: opened(sys.argv[2] if len(sys.argv) > 2 else ""), int(sys.argv[1]))
