"""The event vocabulary is one table, and an event says which node of which graph it is of."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TypedDict

import pytest

from runs.engine import START, MemoryJournal, StateGraph, events, task
from runs.engine.calls.views import MODES
from runs.engine.events import KINDS, NAMES, TERMINAL

ROOT = Path(__file__).parents[2]


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


#: How the names of what builds an event end.
EVENT_BUILDERS = ("Event", "Told", "_event")
PRODUCT = ("runs", "streaming", "artifacts", "fastgraph_site")


def _event_names(node: ast.AST) -> list[str]:
    """The literal event names in a value or a collection of values."""
    items = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return [
        str(item.value)
        for item in items
        if isinstance(item, ast.Constant) and item.value in events.NAMES
    ]


def _is_event_name(node: ast.AST) -> bool:
    """Whether it is an event's name: `frame.event`, `event.name` or `row["event"]`."""
    if isinstance(node, ast.Attribute):
        return node.attr == "event" or (node.attr == "name" and ast.unparse(node.value) == "event")
    return isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "'event'"


def literal_event_names(source: str) -> list[str]:
    """Event names that a module writes as literals: compared with the name of an event, or given
    to an event as its name."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and _is_event_name(node.left):
            for value in node.comparators:
                names += _event_names(value)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("Event", "Told", "_event")
        ):
            for value in (*node.args, *(keyword.value for keyword in node.keywords)):
                names += _event_names(value)
    return names


def test_literal_event_names_are_seen() -> None:
    source = 'event.name == "retry"; row["event"] in ("failed", "x"); Event(name="created")'
    assert literal_event_names(source) == ["retry", "failed", "created"]
    assert literal_event_names('step.name == "retry"; Event(name=events.RETRY)') == []


def test_product_code_names_events_by_their_constants() -> None:
    files = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    literal = {str(path): literal_event_names(path.read_text()) for path in files}
    assert {path: names for path, names in literal.items() if names} == {}
