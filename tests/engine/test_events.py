"""The event vocabulary is one table, and an event says which node of which graph it is of."""

from __future__ import annotations

from typing import TypedDict

import pytest

from runs.engine import START, MemoryJournal, StateGraph, events, task
from runs.engine.events import KINDS, NAMES, TERMINAL
from runs.engine.views import MODES


class State(TypedDict, total=False):
    word: str


def test_each_name_has_one_row() -> None:
    written = {
        value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)
    }
    assert written == set(NAMES)
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_row_is_complete(kind: events.EventKind) -> None:
    assert kind.meaning.endswith(".")
    if kind.terminal:
        assert kind.status == kind.name
    if kind.status is not None:
        assert not kind.modes, "every mode shows how the run itself fares"
    assert kind.status is not None or not kind.replaces


def test_the_last_events_are_the_terminal_ones() -> None:
    assert {"completed", "failed", "cancelled"} == TERMINAL


def test_the_engine_knows_the_modes_of_the_table() -> None:
    named = {mode for kind in KINDS for mode in kind.modes}
    assert named - {"artifacts"} == set(MODES) - {"debug"}
    assert named | {"debug"} == set(events.STREAM_MODES)


def test_a_pause_makes_pending_only_what_ran() -> None:
    (paused,) = [kind for kind in KINDS if kind.name == events.PAUSED]
    assert (paused.status, paused.replaces) == ("pending", ("running",))


async def test_a_call_of_a_task_names_its_caller() -> None:
    @task
    async def work(word: str) -> str:
        return word

    async def outer(state: State) -> State:
        return {"word": await work("x")}

    journal = MemoryJournal()
    graph = StateGraph(State).add_node("outer", outer).add_edge(START, "outer").compile()
    await graph.ainvoke({}, thread_id="t", journal=journal)
    (*_, newest) = await journal.history("t")
    began = [e for e in await journal.events(newest.run_id) if e["event"] == "node_started"]
    node, call = (event["data"] for event in began)
    assert [event["node"] for event in began] == ["outer", "work"]
    assert call["called_by"] == node["task_id"]
    assert "called_by" not in node


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("custom", "custom"),
        ("custom:mine", "custom"),
        ("custom:messages", "custom:messages"),
        ("customs", "customs"),
        ("node_update", "node_update"),
        ("adjourned", "adjourned"),
    ],
)
def test_event_name_is_looked_up_by_its_row(event: str, name: str) -> None:
    assert events.kind_name(event) == name
