"""What `astream` gives has LangGraph's shape, chunk for chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import langgraph.func as their_func
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from runs import engine as ours
from tests.engine.differential.libs import OURS, THEIRS, Lib
from tests.engine.differential.tales.questions import asking
from tests.engine.differential.tales.words import Private, State, chain, says

Maker = Callable[[Lib], Any]


class Inner(State):
    p: Any


def three(lib: Lib) -> Any:
    builder = chain(lib, "a").add_node("b", lambda s: None).add_node("c", says(x=1))
    return lib.compile(builder.add_edge("a", "b").add_edge("b", "c"))


def asks(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a").add_node("q", asking(lib, "?")).add_edge("a", "q"))


def stops(lib: Lib) -> Any:
    return lib.compile(chain(lib, "a", "b"), interrupt_before=["b"])


def around(lib: Lib) -> Any:
    inner = lib.StateGraph(Inner).add_node("i", says("i", p=3)).add_edge(lib.START, "i")
    builder = chain(lib, "a").add_node("sub", inner.compile()).add_edge("a", "sub")
    return lib.compile(builder)


def commands(lib: Lib) -> Any:
    def a(state: State) -> Any:
        return [lib.Command(update={"log": [1], "x": 1}), lib.Command(update={"log": [2]})]

    return lib.compile(lib.StateGraph(State).add_node("a", a).add_edge(lib.START, "a"))


def commands_of_their_own(lib: Lib) -> Any:
    def a(state: State) -> Any:
        return [lib.Command(update={"log": [1]}), lib.Command(update={"x": 2})]

    return lib.compile(lib.StateGraph(State).add_node("a", a).add_edge(lib.START, "a"))


def private(lib: Lib) -> Any:
    def b(state: Private) -> Any:
        return {"log": [state["secret"]]}

    builder = lib.StateGraph(State).add_node("a", lambda s: {"secret": 1}).add_node("b", b)
    return lib.compile(builder.add_edge(lib.START, "a").add_edge("a", "b"))


def plain(given: Any) -> Any:
    """`given` without ids that are drawn, and without what is only LangGraph's."""
    if isinstance(given, dict):
        kept = {key: plain(value) for key, value in given.items() if key not in DRAWN}
        return kept | {"task": bool(kept)} if "id" in given else kept
    if isinstance(given, (list, tuple)):
        return type(given)(plain(item) for item in given)
    if isinstance(given, str):
        return given.partition(":")[0]
    return ("?", given.value) if hasattr(given, "value") else given


DRAWN = ("id", "triggers", "checkpoint_id", "timestamp", "source")


async def shown(graph: Any, given: Any, **options: Any) -> list[Any]:
    config = {"configurable": {"thread_id": "t"}}
    return [plain(item) async for item in graph.astream(given, config, **options)]


@pytest.mark.parametrize("mode", ["values", "updates", ["values", "updates"]])
@pytest.mark.parametrize(
    "make", [three, asks, stops, around, commands, commands_of_their_own, private]
)
@pytest.mark.parametrize("subgraphs", [False, True])
async def test_values_and_updates(make: Maker, mode: Any, subgraphs: bool) -> None:
    here, there = make(OURS), make(THEIRS)
    how = {"stream_mode": mode, "subgraphs": subgraphs}
    given = {"log": ["in"]}
    assert await shown(here, given, **how) == await shown(there, given, **how)


@pytest.mark.parametrize("given", [{}, {"x": None}, {"log": []}], ids=["none", "x", "log"])
async def test_input_is_shown_when_it_writes_a_key(given: Any) -> None:
    for make in (three, around):
        here, there = make(OURS), make(THEIRS)
        for _ in range(2):  # a thread begins, and goes on
            seen = [await shown(one, given, stream_mode="values") for one in (here, there)]
            assert seen[0] == seen[1]


def telling(lib: Lib) -> Any:
    def tell(state: State, config: RunnableConfig) -> Any:
        place = config["configurable"]["checkpoint_ns"]
        assert place == config["metadata"]["langgraph_checkpoint_ns"]
        return {"log": [[part.split(":")[0] for part in place.split("|")]]}

    inner = lib.StateGraph(State).add_node("q", tell).add_edge(lib.START, "q").compile()
    builder = chain(lib, "a").add_node("sub", inner).add_node("t", tell)
    return lib.compile(builder.add_edge("a", "sub").add_edge("sub", "t"))


async def test_a_config_says_where_its_node_is() -> None:
    here, there = [await shown(telling(lib), {"x": 1}) for lib in (OURS, THEIRS)]
    assert here == there
    assert str(here).count("sub") > 1


def asks_inside(lib: Lib) -> Any:
    inner = lib.StateGraph(State).add_node("q", asking(lib, "?")).add_edge(lib.START, "q").compile()
    return lib.compile(chain(lib, "a").add_node("sub", inner).add_edge("a", "sub"))


def two_ask(lib: Lib) -> Any:
    builder = chain(lib, "a")
    for word in "qr":
        builder.add_node(word, asking(lib, word)).add_edge("a", word)
    return lib.compile(builder)


def two_ask_inside(lib: Lib) -> Any:
    inner = lib.StateGraph(State)
    for word in "qr":
        inner.add_node(word, asking(lib, word)).add_edge(lib.START, word)
    return lib.compile(chain(lib, "a").add_node("sub", inner.compile()).add_edge("a", "sub"))


@pytest.mark.parametrize("mode", ["values", "updates", ["values", "updates"]])
@pytest.mark.parametrize("make", [two_ask, two_ask_inside])
async def test_the_questions_of_each_task_are_an_item(make: Maker, mode: Any) -> None:
    given = {"log": ["in"]}
    here, there = [await shown(make(lib), given, stream_mode=mode) for lib in (OURS, THEIRS)]
    for item in [*here, *there]:  # LangGraph's order inside an item is any
        about = item[1] if isinstance(item, tuple) else item
        if "__interrupt__" in about:
            about["__interrupt__"] = sorted(about["__interrupt__"])
    assert here == there


GOING_ON: dict[str, Callable[[Lib], Any]] = {
    "answer": lambda lib: lib.Command(resume="yes"),
    "answer and update": lambda lib: lib.Command(resume="yes", update={"x": 5}),
    "answer and goto": lambda lib: lib.Command(resume="yes", goto="a"),
    "update": lambda lib: lib.Command(update={"x": 5}),
    "nothing": lambda lib: None,
}


@pytest.mark.parametrize("mode", ["values", "checkpoints"])
@pytest.mark.parametrize(
    ("make", "going_on"), [*((asks, how) for how in GOING_ON), (stops, "nothing")]
)
async def test_a_run_that_goes_on_shows_first_where(make: Maker, going_on: str, mode: str) -> None:
    here, there = make(OURS), make(THEIRS)
    for graph in (here, there):
        await graph.ainvoke({"log": ["in"]}, {"configurable": {"thread_id": "t"}})
    say = GOING_ON[going_on]
    shows = [
        await shown(graph, say(lib), stream_mode=mode)
        for lib, graph in ((OURS, here), (THEIRS, there))
    ]
    if mode == "values":
        assert shows[0] == shows[1]
    for first, *_ in shows if mode == "checkpoints" else ():
        for task in first["tasks"]:
            del task["interrupts"]  # LangGraph says here what was asked
    assert shows[0][0] == shows[1][0]


async def test_so_does_a_subgraph() -> None:
    shows = []
    for lib in (OURS, THEIRS):
        graph = asks_inside(lib)
        await shown(graph, {"log": ["in"]})
        how = {"stream_mode": "values", "subgraphs": True}
        shows.append(await shown(graph, lib.Command(resume="yes"), **how))
    assert shows[0] == shows[1]


@pytest.mark.parametrize("mode", ["values", "checkpoints"])
async def test_a_run_that_has_ended_shows_where_it_stands(mode: str) -> None:
    shows = []
    for lib in (OURS, THEIRS):
        graph = three(lib)
        await shown(graph, {"log": ["in"]})
        shows.append(await shown(graph, None, stream_mode=mode))
    assert shows[0] == shows[1]


@pytest.mark.parametrize("make", [three, commands, private])
async def test_tasks(make: Maker) -> None:
    how = {"stream_mode": "tasks"}
    assert await shown(make(OURS), {}, **how) == await shown(make(THEIRS), {}, **how)


@pytest.mark.parametrize("mode", ["checkpoints", "debug"])
async def test_checkpoints_after_the_first(mode: str) -> None:
    """LangGraph has one more at the beginning, before the input is a part of the state."""
    first, *here = await shown(three(OURS), {}, stream_mode=mode)
    assert first.get("payload", first)["parent_config"] is None
    _, second, *there = await shown(three(THEIRS), {}, stream_mode=mode)
    assert here == there
    assert first.keys() == second.keys()


def flow(lib: Lib) -> Any:
    func: Any = ours if lib is OURS else their_func

    @func.task()  # type: ignore[untyped-decorator]
    def square(number: int) -> int:
        return number * number

    def run(number: int) -> int:
        return int(square(number).result())

    saver: Any = ours.MemoryJournal() if lib is OURS else InMemorySaver()
    return func.entrypoint(checkpointer=saver)(run)


@pytest.mark.parametrize("mode", ["values", "updates", ["values", "updates"]])
def test_an_entrypoint(mode: Any) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    here, there = (list(flow(lib).stream(3, config, stream_mode=mode)) for lib in (OURS, THEIRS))
    assert here == there


@pytest.mark.parametrize("mode", ["values", "updates"])
def test_streams_of_sync_code(mode: Any) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    here, there = (
        [plain(item) for item in make.stream({"log": ["in"]}, config, stream_mode=mode)]
        for make in (asks(OURS), asks(THEIRS))
    )
    assert here == there
