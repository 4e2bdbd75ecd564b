"""How a graph is to be run: what a config and the options say, and what they may not say."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    CompiledGraph,
    InvalidGraphError,
    MemoryJournal,
    Send,
    StateGraph,
)


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    x: Any


def chain(*names: str, **options: Any) -> CompiledGraph:
    builder = StateGraph(State)
    builder.add_sequence([(n, lambda s, n=n: {"log": [n]}) for n in names])
    return builder.add_edge(START, names[0]).compile(**options)


def shows(path: list[str]) -> CompiledGraph:
    """A graph that answers what stands under `path` in its node's config."""

    def node(state: State, config: Any) -> State:
        for key in path:
            config = config[key]
        return {"x": config}

    builder = StateGraph(State).add_node("n", node, metadata={"owner": "ann", "kind": "node"})
    return builder.add_edge(START, "n").compile()


CONFIG = {
    "configurable": {"thread_id": "t", "user_id": "u"},
    "metadata": {"kind": "run", "night": True, "langgraph_node": "not this"},
    "tags": ["night"],
    "run_name": "mine",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["configurable", "user_id"], "u"),
        (["configurable", "thread_id"], "t"),
        (["metadata", "kind"], "node"),
        (["metadata", "night"], True),
        (["metadata", "owner"], "ann"),
        (["metadata", "langgraph_node"], "n"),
        (["tags"], ["night"]),
        (["run_name"], "mine"),
        (["recursion_limit"], 10_000),
    ],
)
def test_a_node_gets_the_config_of_its_run(path: list[str], value: object) -> None:
    assert shows(path).invoke({}, CONFIG)["x"] == value


def test_a_graph_in_a_node_gets_the_config_too() -> None:
    inner = shows(["configurable", "user_id"])
    graph = StateGraph(State).add_node("sub", inner).add_edge(START, "sub").compile()
    assert graph.invoke({}, CONFIG)["x"] == "u"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"thead_id": "t"}, "'thead_id' is not an option of a run; there are .*thread_id"),
        ({"thread_id": 7.5}, "thread_id is 7.5"),
        ({"thread_id": ""}, "thread_id is ''"),
        ({"recursion_limit": "5"}, "recursion_limit is '5'; give a whole number, at least 1"),
        ({"recursion_limit": float("nan")}, "recursion_limit is nan"),
        ({"recursion_limit": 0}, "recursion_limit is 0"),
        ({"recursion_limit": True}, "recursion_limit is True"),
        ({"interrupt_before": ["z"]}, "stop at 'z', which is not a node"),
        ({"journal": "file"}, "journal is 'file'"),
    ],
)
async def test_options_that_are_refused(options: Any, words: str) -> None:
    for call in (chain("a").ainvoke({}, **options), anext(chain("a").astream({}, **options))):
        with pytest.raises((TypeError, ValueError), match=words):
            await call


@pytest.mark.parametrize("config", [{"recursion_limit": 0}, {"recursion_limit": "5"}])
def test_a_limit_in_the_config_is_refused(config: Any) -> None:
    with pytest.raises(ValueError, match="recursion_limit is"):
        chain("a").invoke({}, config)


def test_stops_can_be_said_at_the_call() -> None:
    graph = chain("a", "b", "c")
    assert graph.invoke({}, thread_id="t", interrupt_before=["b"]) == {"log": ["a"]}
    assert graph.invoke(None, thread_id="t", interrupt_after="*") == {"log": ["a", "b"]}
    assert graph.invoke(None, thread_id="t") == {"log": ["a", "b", "c"]}


def test_stops_at_the_call_take_the_place_of_the_graphs() -> None:
    graph = chain("a", "b", interrupt_before=["b"])
    assert graph.invoke({}, thread_id="t", interrupt_before=[]) == {"log": ["a", "b"]}


def test_a_threads_id_may_be_a_number() -> None:
    graph = chain("a")
    config = {"configurable": {"thread_id": 7}}
    graph.invoke({}, config)
    assert graph.get_state(config).values == graph.get_state("7").values == {"log": ["a"]}
    assert len(graph.get_state_history(config)) == 2
    graph.update_state(config, {"x": 1})
    assert graph.invoke(None, thread_id=7) == {"log": ["a"], "x": 1}


def test_a_node_may_look_at_its_thread_with_its_config() -> None:
    seen = []

    def look(state: State, config: Any) -> State:
        seen.append((graph.get_state(config).values, config))
        return {"x": 1}

    builder = StateGraph(State).add_node("look", look).add_edge(START, "look")
    graph = builder.compile()
    graph.invoke({"log": ["a"]}, {"configurable": {"thread_id": "t"}})
    ((values, config),) = seen
    assert values == {"log": ["a"]}
    with pytest.raises(ValueError, match="names a graph inside the thread's own"):
        graph.get_state(config)  # in the node only


@pytest.mark.parametrize("config", [{}, {"configurable": {}}, {"configurable": {"thread_id": ""}}])
def test_a_thread_must_be_named(config: Any) -> None:
    with pytest.raises(ValueError, match="which thread"):
        chain("a").get_state(config)


async def test_a_thread_is_looked_at_in_its_own_journal() -> None:
    graph, journal = chain("a"), MemoryJournal()
    await graph.ainvoke({}, thread_id="t", journal=journal)
    assert graph.get_state("t").values == {}
    assert graph.get_state("t", journal=journal).values == {"log": ["a"]}
    assert (await graph.aget_state("t", journal=journal)).values == {"log": ["a"]}
    await graph.aupdate_state("t", {"x": 1}, journal=journal)
    graph.update_state("t", {"x": 2}, journal=journal)
    assert [one.values.get("x") for one in graph.get_state_history("t", journal=journal)][:2] == [
        2,
        1,
    ]
    assert len(await graph.aget_state_history("t", journal=journal)) == 4


def test_a_graph_may_be_compiled_with_its_journal() -> None:
    journal = MemoryJournal()
    chain("a", checkpointer=journal).invoke({}, thread_id="t")
    assert chain("a").get_state("t", journal=journal).values == {"log": ["a"]}
    assert chain("a", checkpointer=None).invoke({}) == {"log": ["a"]}
    with pytest.raises(InvalidGraphError, match="takes no str as its checkpointer"):
        chain("a", checkpointer="file")


async def test_history_can_be_gone_over_and_narrowed() -> None:
    graph = chain("a", "b")
    await graph.ainvoke({}, thread_id="t")
    steps = [one.metadata["step"] async for one in graph.aget_state_history("t")]
    assert steps == [2, 1, 0]
    second = graph.get_state_history("t")[1]
    older = graph.get_state_history("t", before=second.config)
    assert [one.metadata["step"] for one in older] == [0]
    inputs = graph.get_state_history("t", filter={"source": "input"}, limit=1)
    assert [one.metadata["step"] for one in inputs] == [0]


def test_a_thread_whose_next_node_was_removed_can_be_looked_at_and_moved() -> None:
    journal = MemoryJournal()
    chain("a", "b", interrupt_before=["b"]).invoke({}, thread_id="t", journal=journal)
    graph = chain("a", "c")
    stands = graph.get_state("t", journal=journal)
    assert (stands.values, stands.next, stands.tasks) == ({"log": ["a"]}, ("b",), ())
    assert [one.next for one in graph.get_state_history("t", journal=journal)] == [("b",), ("a",)]
    graph.update_state("t", None, as_node="a", journal=journal)
    assert graph.invoke(None, thread_id="t", journal=journal) == {"log": ["a", "c"]}


@pytest.mark.parametrize("most", [1, 3, None])
async def test_as_many_tasks_at_once_as_the_config_says(most: int | None) -> None:
    now, peak = 0, 0

    async def work(n: int) -> dict[str, Any]:
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1
        return {"log": [n]}

    class Log(TypedDict):
        log: Annotated[list[int], operator.add]

    inner = StateGraph(Log).add_node("work", work)
    inner.add_conditional_edges(START, lambda s: [Send("work", n) for n in range(9)], ["work"])
    outer = StateGraph(Log).add_node("sub", inner.compile()).add_edge(START, "sub").compile()
    config = {"max_concurrency": most}
    assert (await outer.ainvoke({"log": []}, config))["log"] == list(range(9))
    assert peak == (most or 9)


@pytest.mark.parametrize("most", [0, -1, True, "3", 1.5])
async def test_a_concurrency_that_makes_no_sense_is_refused(most: Any) -> None:
    class Log(TypedDict):
        log: list[int]

    graph = StateGraph(Log).add_node("a", lambda s: None).add_edge(START, "a").compile()
    with pytest.raises(ValueError, match="max_concurrency is"):
        await graph.ainvoke({}, {"max_concurrency": most})
