"""Random graphs give the same answers here and in LangGraph."""

from __future__ import annotations

import asyncio
import operator
from functools import partial
from typing import Annotated, Any, TypedDict

from hypothesis import given, settings

from tests.engine.differential.libs import OURS, THEIRS, Lib, Story, tell
from tests.engine.differential.tales.words import State
from tests.engine.recipes import ENOUGH, PHASES, SLOW, NodeRecipe, Recipe, recipes

#: How often LangGraph is asked again. Where two tasks of one superstep fail, it raises the error of
#: either, as its threads happen to run: ours has to be one of its answers.
TRIES = 50
KINDS = ("plain", "retry", "ask", "goto", "fan", "fail", "graph")


def inside(name: str, made: NodeRecipe, lib: Lib) -> Any:
    """A graph in a node: two nodes in a row, of which the first may ask or send to the second."""

    def first(state: Any) -> Any:
        said = [f"{name}.1", lib.interrupt(f"{name}.1?")] if made.number == 2 else [f"{name}.1"]
        return {"log": said, "total": 1}

    def second(state: Any) -> Any:
        return {"log": [f"{name}.2" if isinstance(state, dict) else f"{name}<{state}"]}

    def way(state: State) -> Any:
        return [lib.Send("2", number) for number in range(made.number)]

    builder = lib.StateGraph(State, output_schema=Told).add_node("1", first).add_node("2", second)
    builder.add_edge(lib.START, "1")
    if made.number == 3:
        builder.add_conditional_edges("1", way, ["2"])
    else:
        builder.add_edge("1", "2")
    return builder.compile()


class Told(TypedDict):
    total: Annotated[int, operator.add]
    x: Any


def build(recipe: Recipe, lib: Lib) -> Any:
    builder = lib.StateGraph(State)
    tries: dict[int, int] = {}
    size = len(recipe.nodes)

    def node(number: int, made: NodeRecipe) -> Any:
        name = recipe.name(number)

        def run(state: Any) -> Any:
            said: list[Any] = [name]
            if not isinstance(state, dict):
                return {"log": [f"{name}<{state}"]}
            if made.kind == "retry":
                tries[number] = tries.get(number, 0) + 1
                if tries[number] % 2:
                    raise ConnectionError
            if made.kind == "fail" and len(state["log"]) > 2 + made.number:
                raise KeyError(name)
            if made.kind == "ask":
                said += [lib.interrupt(f"{name}?{i}") for i in range(made.number)]
            update: dict[str, Any] = {"log": said, "total": 1}
            if made.writes_x:
                update["x"] = name
            if made.kind == "goto" and len(state["log"]) < ENOUGH:
                return lib.Command(update=update, goto=recipe.name((number + 1) % size))
            return update

        return run

    for number, made in enumerate(recipe.nodes):
        policy = (
            lib.RetryPolicy(initial_interval=0.0, jitter=False) if made.kind == "retry" else None
        )
        follows = (recipe.name((number + 1) % size),) if made.kind == "goto" else ()
        builder.add_node(
            recipe.name(number),
            inside(recipe.name(number), made, lib) if made.kind == "graph" else node(number, made),
            retry_policy=policy,
            defer=made.defer,
            destinations=follows or None,
        )
        if made.kind == "fan":
            target = recipe.name((number + made.number) % size)

            def fan(state: State, target: str = target, many: int = made.number) -> Any:
                enough = len(state["log"]) >= ENOUGH
                return [] if enough else [lib.Send(target, i) for i in range(many)]

            builder.add_conditional_edges(recipe.name(number), fan, [target])
    for before, after in sorted(recipe.edges):
        builder.add_edge(lib.START if before < 0 else recipe.name(before), recipe.name(after))
    for sources, joined in recipe.joins:
        builder.add_edge([recipe.name(source) for source in sorted(sources)], recipe.name(joined))
    for source, targets in recipe.routers:
        names = [recipe.name(target) for target in sorted(targets)]

        def route(state: State, names: list[str] = names) -> Any:
            return (
                lib.END if len(state["log"]) >= ENOUGH else names[len(state["log"]) % len(names) :]
            )

        builder.add_conditional_edges(recipe.name(source), route, [*names, lib.END])
    return lib.compile(builder)


async def told(recipe: Recipe, lib: Lib) -> Story:
    """The story of the graph, all questions answered until there are none, or for five rounds."""
    questions: list[str] = []
    story: Story = []
    graph = build(recipe, lib)
    said: Any = {"log": ["in"]}
    for _ in range(5):
        story += await tell(lib, partial(_told_before, graph, said))
        questions = story[-1][1] if isinstance(story[-1], tuple) else []
        if not questions:
            break
        state = await graph.aget_state({"configurable": {"thread_id": "t"}})
        ids = {str(one.value): one.id for one in state.interrupts}
        said = lib.Command(resume={ids[question]: f"!{question}" for question in questions})
    return story


def _told_before(graph: Any, said: Any, lib: Lib) -> Any:
    return graph, [said]


@given(recipes(KINDS))
@settings(max_examples=150, deadline=None, phases=PHASES, suppress_health_check=SLOW)
def test_random_graphs_give_the_same_answers(recipe: Recipe) -> None:
    async def answers() -> tuple[Story, Story]:
        here = await told(recipe, OURS)
        there = await told(recipe, THEIRS)
        for _ in range(TRIES):
            if here == there or not (_has_failed(here) and _has_failed(there)):
                break
            there = await told(recipe, THEIRS)
        return here, there

    here, there = asyncio.run(answers())
    assert here == there


def _has_failed(story: Story) -> bool:
    return isinstance(story[-1], str)
