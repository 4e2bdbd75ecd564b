"""Random graphs give the same answers here and in LangGraph."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.differential.libs import OURS, THEIRS, Lib, Story, tell
from tests.engine.differential.tales import State

#: Beyond so many words in the log every router leads to the end.
ENOUGH = 12


@dataclass(frozen=True)
class NodeRecipe:
    """`kind` is what the node does beside saying its name; `number` how often, or to how many."""

    kind: str
    number: int
    writes_x: bool
    defer: bool


@dataclass(frozen=True)
class Recipe:
    nodes: tuple[NodeRecipe, ...]
    edges: frozenset[tuple[int, int]]
    joins: tuple[tuple[frozenset[int], int], ...]
    routers: tuple[tuple[int, frozenset[int]], ...]

    def name(self, number: int) -> str:
        return f"n{number}"


def _runs_on(edge: tuple[int, int]) -> bool:
    return edge[0] < edge[1]


kinds = st.sampled_from(["plain"] * 5 + ["retry", "ask", "goto", "fan", "fail"])


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    size = draw(st.integers(1, 6))
    numbers = st.integers(0, size - 1)
    nodes = draw(
        st.lists(
            st.builds(
                NodeRecipe,
                kind=kinds,
                number=st.integers(1, 3),
                writes_x=st.integers(0, 5).map(lambda n: n == 0),
                defer=st.integers(0, 7).map(lambda n: n == 0),
            ),
            min_size=size,
            max_size=size,
        )
    )
    if any(node.kind == "fan" for node in nodes):  # a difference, see test_differences.py
        nodes = [replace(node, defer=False) for node in nodes]
    forward = st.tuples(numbers, numbers).filter(_runs_on)
    edges = draw(st.frozensets(forward, max_size=8)) if size > 1 else frozenset()
    several = st.frozensets(numbers, min_size=2, max_size=3)
    joins = draw(st.lists(st.tuples(several, numbers), max_size=2)) if size > 2 else []
    joins = [(sources, target) for sources, target in joins if target not in sources]
    routers = draw(
        st.lists(
            st.tuples(numbers, st.frozensets(numbers, min_size=1, max_size=3)),
            max_size=3,
            unique_by=lambda router: router[0],
        )
    )
    begun = {target for _, target in edges} | {target for _, target in joins}
    begun |= {target for _, targets in routers for target in targets}
    starts = {(-1, number) for number in range(size) if number not in begun} or {(-1, 0)}
    return Recipe(tuple(nodes), edges | starts, tuple(joins), tuple(routers))


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
            node(number, made),
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


@given(recipes())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_graphs_give_the_same_answers(recipe: Recipe) -> None:
    async def both() -> tuple[Story, Story]:
        return await told(recipe, OURS), await told(recipe, THEIRS)

    here, there = asyncio.run(both())
    assert here == there
