"""Looking at threads and editing them: snapshots, history, updates by hand."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import END, START, Command, InvalidUpdateError, Send, StateGraph, interrupt
from runs.engine.clock import SystemClock


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    x: int


def says(name: str) -> Any:
    return lambda state: {"log": [name]}


def chain(*names: str, **options: Any) -> Any:
    builder = StateGraph(State).add_sequence([(name, says(name)) for name in names])
    return builder.add_edge(START, names[0]).compile(**options)


def asking() -> Any:
    builder = StateGraph(State).add_node("free", says("free")).add_edge(START, "free")
    builder.add_node("ask", lambda s: {"log": [interrupt("?")]}).add_edge(START, "ask")
    return builder.add_edge("free", END).compile()


def test_an_unknown_thread_is_empty() -> None:
    state = chain("a").get_state("nobody")
    assert (state.values, state.next, state.tasks, state.created_at) == ({}, (), (), None)


def test_where_a_thread_stands_with_what_has_finished() -> None:
    graph = asking()
    graph.invoke({"x": 1}, thread_id="t")
    state = graph.get_state("t")
    assert state.values == {"x": 1, "log": ["free"]}
    assert state.next == ("ask",)
    assert {task.name: task.result for task in state.tasks} == {
        "ask": None,
        "free": {"log": ["free"]},
    }
    assert [i.value for i in state.interrupts] == ["?"]
    graph.invoke(Command(resume="!"), thread_id="t")
    assert graph.get_state("t").interrupts == ()


def test_the_history_is_newest_first_and_leads_back() -> None:
    graph = chain("a", "b")
    graph.invoke({}, thread_id="t")
    history = graph.get_state_history("t")
    assert [state.values["log"] for state in history] == [["a", "b"], ["a"], []]
    assert [state.next for state in history] == [(), ("b",), ("a",)]
    assert [state.metadata["source"] for state in history] == ["loop", "loop", "input"]
    parents = [state.parent_config for state in history]
    assert parents == [history[1].config, history[2].config, None]
    assert graph.get_state(history[1].config) == history[1]
    assert graph.get_state_history("t", limit=1) == history[:1]


def test_going_on_from_an_older_checkpoint_is_a_branch() -> None:
    graph = chain("a", "b")
    graph.invoke({"x": 1}, thread_id="t")
    older = graph.get_state_history("t")[1].config
    assert graph.invoke(None, older) == {"x": 1, "log": ["a", "b"]}
    history = graph.get_state_history("t")
    assert [state.metadata["source"] for state in history] == [
        "loop",
        "fork",
        "loop",
        "loop",
        "input",
    ]
    assert history[1].parent_config == older


def test_a_branch_is_newer_than_what_was_made_in_the_same_millisecond() -> None:
    class Stopped(SystemClock):
        def now(self) -> datetime:
            return datetime(2030, 1, 1, tzinfo=UTC)

    graph = chain("a", "b", "c")
    for _ in range(10):  # what follows the millisecond in an id is chance
        graph.invoke({"x": 1}, thread_id="t", clock=Stopped())
        older = graph.get_state_history("t")[2].config
        graph.invoke(None, older, clock=Stopped())
        assert graph.get_state_history("t")[2].parent_config == older
        older = graph.get_state_history("t")[1].config
        graph.invoke({"x": 2}, older, clock=Stopped())
        assert graph.get_state_history("t")[3].parent_config == older
        graph.update_state(older, {"x": 3}, "a")
        assert graph.get_state_history("t")[0].parent_config == older


def test_an_update_is_made_as_the_last_node() -> None:
    graph = chain("a", "b", "c", interrupt_before=["b"])
    graph.invoke({}, thread_id="t")
    graph.update_state("t", {"log": ["edited"], "x": 3})
    state = graph.get_state("t")
    assert (state.values, state.next) == ({"log": ["a", "edited"], "x": 3}, ("b",))
    assert state.metadata["source"] == "update"
    assert graph.invoke(None, thread_id="t")["log"] == ["a", "edited", "b", "c"]


def test_an_update_is_made_as_any_node() -> None:
    graph = chain("a", "b", "c")
    graph.invoke({}, thread_id="t")
    graph.update_state("t", {"log": ["b2"]}, as_node="b")
    assert graph.invoke(None, thread_id="t")["log"] == ["a", "b", "c", "b2", "c"]
    with pytest.raises(InvalidUpdateError, match="As END nothing is written"):
        graph.update_state("t", {"x": 1}, as_node=END)
    graph.update_state("t", None, as_node=END)
    assert graph.get_state("t").next == ()
    graph.update_state("new", {"log": ["in"]}, as_node=START)
    assert graph.get_state("new").next == ("a",)


def test_an_update_of_a_past_checkpoint_is_a_branch() -> None:
    graph = chain("a", "b")
    graph.invoke({}, thread_id="t")
    older = graph.get_state_history("t")[1].config
    fork = graph.update_state(older, {"log": ["fork"]})
    assert graph.invoke(None, thread_id="t")["log"] == ["a", "fork", "b"]
    assert graph.get_state(fork).parent_config == older


def test_an_update_takes_routers_along() -> None:
    builder = StateGraph(State).add_node("a", says("a")).add_node("w", lambda i: {"log": [i]})
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda s: [Send("w", s["x"]), END], ["w", END])
    graph = builder.compile(interrupt_before="*")
    graph.update_state("t", {"x": 7}, as_node="a")
    assert [task.name for task in graph.get_state("t").tasks] == ["w"]
    assert graph.invoke(None, thread_id="t") == {"log": [7], "x": 7}


def test_whose_update_it_is_must_be_clear() -> None:
    graph = asking()
    graph.invoke({}, thread_id="t")
    graph.invoke(Command(resume=1), thread_id="t")
    with pytest.raises(InvalidUpdateError, match=r"Several nodes ran last \(ask, free\).*as_node"):
        graph.update_state("t", {"x": 1})
    with pytest.raises(InvalidUpdateError, match=r"no node 'nobody'.*'free', 'ask'"):
        graph.update_state("t", {"x": 1}, as_node="nobody")
    with pytest.raises(InvalidUpdateError, match="'typo'"):
        graph.update_state("t", {"typo": 1}, as_node="ask")


async def test_in_a_running_loop_scripts_may_look_too() -> None:
    graph = chain("a")
    await graph.ainvoke({}, thread_id="t")
    assert graph.get_state("t") == await graph.aget_state("t")
