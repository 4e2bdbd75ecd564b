"""The same words in both libraries, and one way to run a graph on either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import langgraph.types as theirs
from langgraph import graph as their_graph
from langgraph.checkpoint.memory import InMemorySaver

from runs import engine as ours

Story = list[Any]


@dataclass(frozen=True, kw_only=True)
class Lib:
    """What a graph is written with."""

    name: str
    StateGraph: Any
    Send: Any
    Command: Any
    RetryPolicy: Any
    interrupt: Callable[[Any], Any]
    compile: Callable[..., Any]
    START: str = "__start__"
    END: str = "__end__"


OURS = Lib(
    name="fastgraph",
    StateGraph=ours.StateGraph,
    Send=ours.Send,
    Command=ours.Command,
    RetryPolicy=ours.RetryPolicy,
    interrupt=ours.interrupt,
    compile=lambda builder, **options: builder.compile(**options),
)
THEIRS = Lib(
    name="langgraph",
    StateGraph=their_graph.StateGraph,
    Send=theirs.Send,
    Command=theirs.Command,
    RetryPolicy=theirs.RetryPolicy,
    interrupt=theirs.interrupt,
    compile=lambda builder, **options: builder.compile(checkpointer=InMemorySaver(), **options),
)

#: A graph to be told in either library, with what is said to it one after another: an input, None,
#: a function from library to Command, or a list of answers by value of the question.
Tale = Callable[[Lib], tuple[Any, Sequence[Any]]]

LIMIT = 25


async def tell(lib: Lib, tale: Tale) -> Story:
    """What comes of each thing that is said: the final values and the questions, or the class of
    the error; and what would run next."""
    graph, said = tale(lib)
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": LIMIT}
    story: Story = []
    open_ids: dict[Any, str] = {}
    for given in said:
        at, given = (given.next, given.said) if isinstance(given, From) else (None, given)
        if isinstance(given, Answers):
            ids = {open_ids[question]: answer for question, answer in given.by_question.items()}
            given = lib.Command(resume=ids)
        elif callable(given):
            given = given(lib)
        try:
            if isinstance(given, Edit):
                await graph.aupdate_state(config, given.values, as_node=given.as_node)
                state = await graph.aget_state(config, subgraphs=True)
                story.append((dict(state.values), [], sorted(state.next), *inside(state)))
                continue
            begin = config if at is None else await _before(graph, config, at)
            result = dict(await graph.ainvoke(given, begin))
        except Exception as error:
            story.append(type(error).__name__)
            continue
        asked = result.pop("__interrupt__", [])
        open_ids = {str(one.value): one.id for one in asked}
        state = await graph.aget_state(config, subgraphs=True)
        story.append((result, sorted(open_ids), sorted(state.next), *inside(state)))
    return story


def inside(state: Any) -> list[Any]:
    """Where the graphs in the tasks of a thread stand, and those in theirs."""
    found = [(task.name, task.state) for task in state.tasks if task.state is not None]
    shown = [(name, dict(s.values), sorted(s.next), inside(s)) for name, s in found]
    return sorted(shown, key=str)


async def _before(graph: Any, config: Any, nodes: Sequence[str]) -> Any:
    """The first checkpoint of the thread before which those nodes were to run."""
    history = graph.aget_state_history(config)
    found = await history if asyncio.iscoroutine(history) else [one async for one in history]
    return next(one.config for one in found[::-1] if set(nodes) <= set(one.next))


@dataclass(frozen=True)
class From:
    """Something that is said to the oldest checkpoint at which the nodes `next` were to run."""

    next: Sequence[str]
    said: Any


@dataclass(frozen=True)
class Edit:
    """An update of the state by hand."""

    values: Any
    as_node: str | None = None


@dataclass(frozen=True)
class Answers:
    """Answers to open questions, by their text."""

    by_question: dict[str, Any]


def answer(value: Any, **more: Any) -> Callable[[Lib], Any]:
    """A Command that answers."""
    return lambda lib: lib.Command(resume=value, **more)
