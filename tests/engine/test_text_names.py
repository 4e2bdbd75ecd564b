"""Names of nodes, keys, tasks and threads that are more, or other, than a plain short text."""

from __future__ import annotations

from enum import Enum, StrEnum
from functools import partial
from typing import Any, Literal, TypedDict
from uuid import UUID, uuid4

import pytest

from runs.engine import (
    START,
    Command,
    Context,
    InvalidGraphError,
    MemoryJournal,
    Send,
    StateGraph,
    entrypoint,
    task,
)
from runs.engine.names import MAX_NAME
from tests.engine.differential.libs import OURS, THEIRS


class State(TypedDict, total=False):
    a: Any
    b: Any


class Node(StrEnum):
    PLAN = "plan"
    WORK = "work"


class Mixed(str, Enum):  # noqa: UP042 - its str() is another text than its value
    PLAN = "plan"
    WORK = "work"


class Key(StrEnum):
    A = "a"


NAMES = pytest.mark.parametrize("names", [Node, Mixed], ids=["StrEnum", "str and Enum"])


def keys(name: str) -> Any:
    """A state with one key of that name."""
    make: Any = TypedDict
    return make("keys", {name: Any}, total=False)


def plan(names: Any, way: str) -> Any:
    answer: Any = {
        "goto": Command(goto=names.WORK),
        "send": Command(goto=Send(names.WORK, {Key.A: 1})),
    }.get(way, {Key.A: 1})
    return lambda state: answer


@pytest.mark.parametrize("way", ["goto", "send", "edge", "join", "route", "map"])
@NAMES
async def test_members_of_an_enum_name_what_their_texts_name(names: Any, way: str) -> None:
    graph = StateGraph(State).add_node(names.PLAN, plan(names, way), destinations=[names.WORK])
    graph.add_node(names.WORK, lambda state: {Key.A: 2}).add_edge(START, names.PLAN)
    if way == "edge":
        graph.add_edge(names.PLAN, names.WORK)
    if way == "join":
        graph.add_edge([names.PLAN], names.WORK)
    if way == "route":
        graph.add_conditional_edges(names.PLAN, lambda state: names.WORK)
    if way == "map":
        graph.add_conditional_edges(names.PLAN, lambda state: 1, {1: names.WORK})
    compiled = graph.compile()
    seen = [item async for item in compiled.astream({Key.A: 0}, stream_mode="updates")]
    assert repr(seen).replace("None", "{'a': 1}") == "[{'plan': {'a': 1}}, {'work': {'a': 2}}]"
    assert all(type(name) is str for name in compiled.graph.nodes)


@NAMES
async def test_annotations_may_name_members(names: Any) -> None:
    def go(state: State) -> Any:
        return Command(goto=names.WORK)

    one_of: Any = Literal
    go.__annotations__["return"] = Command[one_of[names.WORK]]
    graph = StateGraph(State).add_node("go", go).add_node("work", lambda state: {"a": 1})
    compiled = graph.add_edge(START, "go").compile()
    assert list(compiled.graph.nodes["go"].destinations) == ["work"]
    assert await compiled.ainvoke({}) == {"a": 1}


async def test_every_other_name_may_be_a_member() -> None:
    @task(name=Mixed.WORK)
    async def work() -> int:
        return 1

    async def run(state: State, ctx: Context) -> Any:
        ctx.emit(1, Mixed.PLAN)
        return {"a": [await work(), await ctx.step(Mixed.PLAN, lambda: 2, key=Mixed.WORK)]}

    graph = StateGraph(keys(Key.A)).add_node("n", run).add_edge(START, "n")
    compiled = graph.compile(name=Mixed.PLAN, interrupt_after=[Node.PLAN][:0])
    journal = MemoryJournal()
    assert await compiled.ainvoke({}, thread_id=Mixed.PLAN, journal=journal) == {"a": [1, 2]}
    state = await compiled.aget_state("plan", journal=journal)
    await compiled.aupdate_state("plan", {Key.A: 3}, Text("n"), journal=journal)
    assert state.config["configurable"]["thread_id"] == "plan"
    assert (await compiled.aget_state("plan", journal=journal)).values == {"a": 3}


class Text(str):
    """A text of the user's own."""


LONG = "n" * (MAX_NAME + 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda name: StateGraph(State).add_node(name, lambda state: None),
        lambda name: StateGraph(keys(name)),
        lambda name: task(name=name)(lambda: 1),
        lambda name: (
            StateGraph(State)
            .add_node("n", lambda state: None)
            .add_edge(START, "n")
            .compile(name=name)
        ),
    ],
    ids=["node", "key", "task", "graph"],
)
@pytest.mark.parametrize(
    ("name", "says"),
    [(LONG, "has 501 characters; use at most 500"), ("n\ud800", "half of a surrogate pair")],
    ids=["too long", "no Unicode"],
)
def test_a_name_that_some_journal_refuses_is_refused_by_all(
    make: Any, name: str, says: str
) -> None:
    with pytest.raises(InvalidGraphError, match=says):
        make(name)


class Callable:
    def __call__(self, state: Any) -> Any:
        return {"a": 1}


@pytest.mark.parametrize("lib", [OURS, THEIRS], ids=["ours", "theirs"])
def test_partials_and_objects_are_named_as_langgraph_names_them(lib: Any) -> None:
    graph = lib.StateGraph(State)
    graph.add_node(partial(lambda state: None)).add_node(Callable())
    assert list(graph.nodes if hasattr(graph, "nodes") else graph._nodes) == ["partial", "Callable"]


@pytest.mark.parametrize(
    "thread_id",
    [UUID(int=5), 5, "5", Text("5"), True],
    ids=["UUID", "number", "text", "subclass", "bool"],
)
async def test_a_thread_may_be_named_by_any_id(thread_id: Any) -> None:
    graph = StateGraph(State).add_node("n", lambda state: {"a": 1}).add_edge(START, "n").compile()
    await graph.ainvoke({"b": 2}, {"configurable": {"thread_id": thread_id}})
    expected = {"a": 1, "b": 2}
    plain = str(thread_id)
    for place in (plain, {"configurable": {"thread_id": thread_id}}):
        state = await graph.aget_state(place)
        assert (state.values, state.config["configurable"]["thread_id"]) == (expected, plain)
    begun = (await graph.aget_state_history(plain))[-1].config["configurable"]["checkpoint_id"]
    again = await graph.ainvoke({"b": 3}, thread_id=thread_id, checkpoint_id=UUID(begun))
    assert again == {"a": 1, "b": 3}


@pytest.mark.parametrize("thread_id", [1.5, b"x", ("a",)], ids=["float", "bytes", "tuple"])
async def test_a_thread_is_not_named_by_other_things(thread_id: Any) -> None:
    graph = StateGraph(State).add_node("n", lambda state: {"a": 1}).add_edge(START, "n").compile()
    for call in (graph.ainvoke({}, thread_id=thread_id), _state_of(graph, thread_id)):
        with pytest.raises(TypeError, match="give a text, a whole number or a UUID"):
            await call


async def _state_of(graph: Any, thread_id: Any) -> Any:
    return await graph.aget_state({"configurable": {"thread_id": thread_id}})


def test_a_uuid_is_a_thread_as_it_is() -> None:
    graph = StateGraph(State).add_node("n", lambda state: {"a": 1}).add_edge(START, "n").compile()
    thread_id: Any = uuid4()
    graph.invoke({}, thread_id=thread_id)
    assert graph.get_state(thread_id).values == {"a": 1}


def yields(state: Any) -> Any:
    yield {"a": 1}


async def yields_late(state: Any) -> Any:
    yield {"a": 1}


def test_a_task_of_a_partial_is_called_as_its_function() -> None:
    def add(first: int, second: int) -> int:
        return first + second

    one_more = task(partial(add, 1))

    @entrypoint()
    def flow(number: int) -> int:
        return int(one_more(number).result())

    assert list(flow.stream(2, stream_mode="updates")) == [{"add": 3}, {"flow": 3}]


@pytest.mark.parametrize(
    "run", [yields, yields_late, partial(yields)], ids=["sync", "async", "partial"]
)
@pytest.mark.parametrize("make", [entrypoint(), task], ids=["entrypoint", "task"])
def test_a_generator_is_no_workflow_and_no_task(make: Any, run: Any) -> None:
    with pytest.raises(InvalidGraphError, match="is a generator: return what it gives, once"):
        make(run)


SEEN = {
    "Arabic": "\u062a\u062d\u0642\u0642",
    "Hebrew": "\u05d1\u05d3\u05d9\u05e7\u05d4 1",
    "Persian, with a joiner": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Hindi, with a joiner": "\u0915\u094d\u200d\u0937",
    "emoji of several": "\U0001f469\u200d\U0001f4bb",
    "emoji with a selector": "\u2764\ufe0f",
    "Arabic sign of numbers": "\u0600 7",
    "decomposed": "cafe\u0301",
    "Thai, with the end of a word": "\u0e01\u200b\u0e02",
    "Khmer, with the end of a word": "\u1797\u17b6\u179f\u17b6\u200b\u1781\u17d2\u1798\u17c2\u179a",
    "Hebrew, with a mark behind it": "\u05e0\u05e7\u05d5\u05d3\u05d4\u200f (a)",
    "Hebrew, with a mark before it": "(a) \u200e\u05e0",
    "Arabic, with its own mark": "\u062a\u061c 1",
    "flag of England": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "spaces inside": "write the report",
    "one sign": "?",
    "of one's own": "\ue000",
    "new line": "a\nb",
    "escape": "a\x1b[31m",
    "NUL": "a\x00",
    "NUL alone": "\x00",
}
HIDDEN = {
    "empty": ("", "nothing that can be seen"),
    "space": (" ", "nothing that can be seen"),
    "spaces of other kinds": ("\u00a0\u3000\t", "nothing that can be seen"),
    "blank letter": ("\u3164", "nothing that can be seen"),
    "joiner alone": ("\u200d", "nothing that can be seen"),
    "no width": ("\u200b", "nothing that can be seen"),
    "override": ("ab\u202ecd", r"invisible character U\+202E"),
    "isolate": ("ab\u2066cd", r"invisible character U\+2066"),
    "override in Hebrew": ("\u05d1\u202e\u05d1", r"invisible character U\+202E"),
    "isolate in Arabic": ("\u062a\u2067\u062a", r"invisible character U\+2067"),
    "mark of direction": ("a\u200f", r"invisible character U\+200F"),
    "mark of Arabic": ("a\u061cb", r"invisible character U\+061C"),
    "two marks of direction": ("\u05d1\u200f\u200f", r"invisible character U\+200F"),
    "mark away from letters": ("\u05d1 \u200f 1", r"invisible character U\+200F"),
    "end of a word at the end": ("\u0e01\u200b", r"invisible character U\+200B"),
    "end of a word before Latin": ("\u0e01\u200ba", r"invisible character U\+200B"),
    "two ends of a word": ("\u0e01\u200b\u200b\u0e02", r"invisible character U\+200B"),
    "no width inside": ("a\u200bb", r"invisible character U\+200B"),
    "joiner between Latin letters": ("a\u200db", r"invisible character U\+200D"),
    "two joiners": ("\u0915\u200d\u200d\u0937", r"invisible character U\+200D"),
    "soft hyphen": ("a\u00adb", r"invisible character U\+00AD"),
    "byte order mark": ("\ufeffab", r"invisible character U\+FEFF"),
    "tag": ("a\U000e0041", r"invisible character U\+E0041"),
    "tags without an end": ("\U0001f3f4\U000e0067", r"invisible character U\+E0067"),
    "tags of another sign": ("\u2764\U000e0067\U000e007f", r"invisible character U\+E0067"),
    "text in tags": (
        "\U0001f3f4" + "\U000e0067" * 7 + "\U000e007f",
        r"invisible character U\+E0067",
    ),
}


def named(place: str, name: str) -> None:
    def work(state: State) -> State:
        return {"a": 1}

    builder = StateGraph(State)
    if place == "node":
        builder.add_node(name, work)
    elif place == "graph":
        builder.add_node(work).add_edge(START, "work").compile(name=name)
    else:
        task(name=name)(work)


PLACES = pytest.mark.parametrize("place", ["node", "graph", "task"])


@PLACES
@pytest.mark.parametrize("name", SEEN.values(), ids=SEEN)
def test_names_of_every_script_and_control_characters_are_taken(place: str, name: str) -> None:
    named(place, name)


@PLACES
@pytest.mark.parametrize(("name", "says"), HIDDEN.values(), ids=HIDDEN)
def test_names_that_cannot_be_seen_are_refused(place: str, name: str, says: str) -> None:
    if place == "task" and not name:
        return  # as no name: it goes by that of its function
    with pytest.raises(InvalidGraphError, match=f"A {place} cannot be called .*{says}"):
        named(place, name)
