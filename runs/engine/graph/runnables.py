"""LangChain's Runnables (`prompt | model`) as nodes and routers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Protocol


class Runnable(Protocol):
    """One of LangChain's, as far as type checkers need to know it."""

    def get_name(self) -> str: ...


class RunnableCall:
    """A Runnable as a function of a state and a config."""

    def __init__(self, runnable: Any) -> None:
        self.runnable = runnable
        self.__name__ = str(runnable.get_name())

    async def __call__(self, state: Any, config: Any) -> Any:
        return await self.runnable.ainvoke(state, config)


def as_function(given: Any) -> Any:
    """`given`, or a function that does what it does if it is a Runnable, or a dict of what makes
    one for each key. LangChain is not imported for that: without it there are none."""
    chains = sys.modules.get("langchain_core.runnables")
    if chains and isinstance(given, dict):
        given = chains.RunnableParallel(given)
    return RunnableCall(given) if chains and isinstance(given, chains.Runnable) else given


def parts(value: Any) -> Iterator[Any]:
    """What one of LangChain's Runnables is made of, directly; nothing of any other value, and of
    models and prompts."""
    if isinstance(value, RunnableCall):
        yield value.runnable
    elif type(value).__module__.startswith("langchain_core.runnables"):
        todo = [*getattr(value, "__dict__", {}).values()]
        while todo:
            one = todo.pop()
            if isinstance(one, (list, tuple, dict)):
                todo += one.values() if isinstance(one, dict) else one
            else:
                yield one
