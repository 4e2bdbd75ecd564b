"""The workflows of the runs in `dumps/`: what their makers ran, and what goes on with them.

Every version since the first must be able to load this module, so a workflow is left out where the
engine lacks a word of it. A change of a node is a change of the workflow under runs that wait."""

from __future__ import annotations

import operator
import os
import time
from pathlib import Path
from typing import Annotated, Any, TypedDict

from runs import engine, workflows
from runs.engine import END, START, Context, Send, StateGraph, SyncContext

interrupt: Any = getattr(engine, "interrupt", None)
task: Any = getattr(engine, "task", None)
entrypoint: Any = getattr(engine, "entrypoint", None)
Message = getattr(engine, "add_messages", operator.add)

#: Which version does it. What an old one did is not done once more.
BY = os.environ.get("UPGRADES_BY", "new")


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    word: str


class Talk(TypedDict, total=False):
    messages: Annotated[list[Any], Message]


def effect(name: str) -> str:
    return f"{name} by {BY}"


def begin(state: State, ctx: SyncContext) -> State:
    ctx.save_artifact("note.txt", "a note")
    return {"log": [effect("begin")]}


def end(state: State) -> State:
    return {"log": ["end"]}


def fail(state: State) -> State:
    raise ValueError("told to fail")


def hang(state: State) -> State:
    """Never ends where a dump is made: its worker is killed meanwhile."""
    if sign := os.environ.get("UPGRADES_HANG"):
        Path(sign).touch()
        time.sleep(600)
    return {"log": ["hung"]}


def ask(state: State) -> State:
    return {"log": [interrupt("sure?")]}


def ask_twice(state: State) -> State:
    return {"log": [[interrupt({"n": 1}), interrupt({"n": 2})]]}


def work(state: State) -> State:
    return {"log": [effect("work")]}


def ask_word(state: State) -> State:
    return {"log": [f"{state['word']}={interrupt(state['word'])}"]}


async def step_and_ask(state: State, ctx: Context) -> State:
    first = await ctx.step("first", effect, "first")
    answer = interrupt("after a step?")
    second = await ctx.step("second", effect, "second")
    return {"log": [first, answer, interrupt("and again?"), second]}


async def sleep(state: State, ctx: Context) -> State:
    before = await ctx.step("before", effect, "before")
    await ctx.sleep(60)
    return {"log": [before, "slept"]}


def say(state: Talk) -> Talk:
    return {"messages": [{"role": "assistant", "content": f"answer {len(state['messages'])}"}]}


def _line(*nodes: Any, state: Any = State, **options: Any) -> Any:
    graph = StateGraph(state)
    for node in nodes:
        graph.add_node(node.__name__, node)
    for before, after in zip([START, *nodes], [*nodes, END], strict=True):
        graph.add_edge(getattr(before, "__name__", before), getattr(after, "__name__", after))
    return graph.compile(**options)


def _at_once(*nodes: Any) -> Any:
    graph = StateGraph(State).add_node("end", end)
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(START, node.__name__)
        graph.add_edge(node.__name__, "end")
    return graph.compile()


def _sends() -> Any:
    graph = StateGraph(State).add_node("ask_word", ask_word).add_node("end", end)
    graph.add_conditional_edges(
        START, lambda state: [Send("ask_word", {"word": word}) for word in "ab"], ["ask_word"]
    )
    return graph.add_edge("ask_word", "end").compile()


def _subgraph() -> Any:
    graph = StateGraph(State).add_node("begin", begin)
    graph.add_node("inner", _line(work, ask)).add_node("end", end)
    graph.add_edge(START, "begin").add_edge("begin", "inner").add_edge("inner", "end")
    return graph.compile()


def _function() -> Any:
    @task  # type: ignore[untyped-decorator]
    def ask_for(word: str) -> Any:
        return f"{word}={interrupt(word)}"

    @task  # type: ignore[untyped-decorator]
    def note(word: str) -> str:
        return effect(word)

    @entrypoint()  # type: ignore[untyped-decorator]
    async def flow(given: Any) -> Any:
        noted = await note("noted")
        asked = [ask_for("a"), ask_for("b")]
        return [noted, *[await one for one in asked], interrupt("own?")]

    return flow


def _register() -> None:
    """Register all workflows that this version of the engine can have."""
    found = {"chain": _line(begin, work, end), "failing": _line(begin, fail)}
    found |= {"hanging": _line(begin, hang, end), "talking": _line(say, state=Talk)}
    if interrupt is not None:
        found |= {
            "asking": _line(begin, ask, end),
            "asking_at_once": _at_once(ask, ask_twice, work),
        }
        found |= {"asking_after_steps": _line(step_and_ask, end), "sending": _sends()}
        found |= {"asking_inside": _subgraph(), "sleeping": _line(begin, sleep, end)}
        found |= {"stopping": _line(begin, end, interrupt_before=["end"])}
    if entrypoint is not None:
        found["asking_in_tasks"] = getattr(_function(), "compiled", None) or _function()
    for name, graph in found.items():
        workflows.register(f"upgrade_{name}", graph, input_schema={"type": "object"})


_register()
