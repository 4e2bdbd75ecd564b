"""Random graphs as data: what Hypothesis draws, and tests build."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

#: All but explaining a failure, which takes minutes here.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
SLOW = (HealthCheck.too_slow,)

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


@st.composite
def recipes(draw: st.DrawFn, kinds: tuple[str, ...]) -> Recipe:
    """A graph of up to six nodes, each reachable; the first of `kinds` is the most frequent."""
    size = draw(st.integers(1, 6))
    numbers = st.integers(0, size - 1)
    nodes = draw(
        st.lists(
            st.builds(
                NodeRecipe,
                kind=st.sampled_from([kinds[0]] * 4 + list(kinds)),
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
    starts = _starts(size, edges, joins, routers)
    return Recipe(tuple(nodes), edges | starts, tuple(joins), tuple(routers))


def _starts(
    size: int,
    edges: frozenset[tuple[int, int]],
    joins: list[tuple[frozenset[int], int]],
    routers: list[tuple[int, frozenset[int]]],
) -> frozenset[tuple[int, int]]:
    """Edges from START to the first node, and to every one that nothing else leads to."""
    leads = set(edges)
    leads |= {(source, target) for sources, target in joins for source in sources}
    leads |= {(source, target) for source, targets in routers for target in targets}
    starts: set[int] = set()
    reached: set[int] = set()
    for number in range(size):
        if number in reached:
            continue
        starts.add(number)
        todo = [number]
        while todo:
            here = todo.pop()
            if here not in reached:
                reached.add(here)
                todo += [target for source, target in leads if source == here]
    return frozenset((-1, number) for number in starts)
