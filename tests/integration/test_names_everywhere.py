"""Names of every kind, at every place that takes one: a run does the same in memory and on the
database, or nobody can build its graph."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Annotated, Any, TypedDict

import pytest
from rest_framework.test import APIClient

from runs import workflows
from runs.engine import (
    START,
    Command,
    CompiledGraph,
    Context,
    InvalidGraphError,
    MemoryJournal,
    Send,
    StateGraph,
    interrupt,
    task,
)
from runs.engine.graph.validation import MAX_DEPTH
from runs.journal.reading import read_state
from runs.models import Event, Run
from runs.operations.create import create_run
from runs.operations.new_run import NewRun
from runs.operations.resume import resume_run
from runs.validation import printable
from tests.engine.mortal import Files
from tests.integration.counting import Register

pytestmark = pytest.mark.django_db(transaction=True)


class State(TypedDict, total=False):
    a: Any
    log: Annotated[list[str], operator.add]


class Plain(StrEnum):
    NAME = "plain"


class Mixed(str, Enum):  # noqa: UP042 - its str() is another text than its value
    NAME = "mixed"


class Text(str):
    """A text of the user's own."""


NAMES = {
    "plain": "plain",
    "member of a StrEnum": Plain.NAME,
    "member of a str Enum": Mixed.NAME,
    "subclass of str": Text("text"),
    "201 characters": "n" * 201,
    "500 characters": "n" * 500,
    "500 of four bytes": "".join(chr(0x10000 + 37 * i) for i in range(500)),
    "501 characters": "n" * 501,
    "NUL": "n\x00m",
    "two NULs": "\x00\x00",
    "escape of NUL": "\x01n\x01\x02m",
    "control characters": "n\x01\x02\x1b\x7fm",
    "half of a pair": "n\ud800m",
    "empty": "",
    "space": " ",
    "new line": "n\nm",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "upper case": "PLAIN",
    "signs": "n/m%s?q=1&x#+,;'\"\\{}[]$@!~`^<>.*",
    "pipe": "n|m",
    "colon": "n:m",
    "tag": "$type",
    "dunder": "__n__",
    "start": "__start__",
    "end": "__end__",
    "from right to left": "\u202en\u2028",
    "not a character": "\ufeffn\uffff",
}


def note(state: State) -> State:
    return {"a": 1, "log": ["noted"]}


def of(name: Any, run: Any = note, **options: Any) -> CompiledGraph:
    graph = StateGraph(State).add_node(name, run, **options)
    return graph.add_edge(START, name).compile()


def a_node(name: str) -> CompiledGraph:
    return of(name)


def an_edge(name: str) -> CompiledGraph:
    graph = StateGraph(State).add_node("n", note).add_node("other", note).add_node(name, note)
    graph.add_edge(START, "n").add_edge(START, "other").add_edge(["n", "other"], name)
    return graph.add_edge(name, "last").add_node("last", note).compile()


def an_edge_from_it(name: str) -> CompiledGraph:
    graph = StateGraph(State).add_node("n", note).add_node("last", note).add_node(name, note)
    graph.add_edge(START, name).add_edge(START, "n").add_edge([name, "n"], "last")
    return graph.compile(interrupt_after=())


def a_goto(name: str) -> CompiledGraph:
    def go(state: State) -> Any:
        return Command(goto=[name, Send(name, {"a": 2})], update={"a": 1})

    graph = StateGraph(State).add_node("go", go, destinations=[name]).add_node(name, note)
    return graph.add_edge(START, "go").compile()


def a_router(name: str) -> CompiledGraph:
    graph = StateGraph(State).add_node("n", note).add_node(name, note).add_node("o", note)
    graph.add_edge(START, "n").add_conditional_edges("n", lambda state: name, [name])
    return graph.add_conditional_edges(name, lambda state: 1, {1: "o"}).compile()


def a_key(name: str) -> CompiledGraph:
    keys: Any = TypedDict("keys", {name: Any}, total=False)  # type: ignore[misc]
    graph = StateGraph(keys).add_node("n", lambda state: {name: 1})
    graph.add_node("m", lambda state: {name: state[str.__str__(name)] + 1})
    return graph.add_edge(START, "n").add_edge("n", "m").compile()


def a_reduced_key(name: str) -> CompiledGraph:
    kind = Annotated[list[Any], operator.add]
    keys: Any = TypedDict("keys", {name: kind}, total=False)  # type: ignore[misc]
    graph = StateGraph(keys).add_node("n", lambda state: {name: ["x" * 100]})
    graph.add_node("m", lambda state: Command(update={name: ["y"]}))
    return graph.add_edge(START, "n").add_edge("n", "m").compile()


def a_key_that_is_sent(name: str) -> CompiledGraph:
    keys: Any = TypedDict("keys", {name: Any, "got": Any}, total=False)  # type: ignore[misc]
    graph = StateGraph(keys).add_node("n", lambda state: Command(goto=Send("m", {name: 1})))
    graph.add_node("m", lambda state: {"got": list(state.values())})
    return graph.add_edge(START, "n").compile()


def a_graph_in_it(name: str) -> CompiledGraph:
    return of(name, of(name, of(name)))


def a_graph_that_keeps(name: str) -> CompiledGraph:
    inner = StateGraph(State).add_node(name, note).add_edge(START, name)
    return of(name, inner.compile(checkpointer=True))


def a_graph_name(name: str) -> CompiledGraph:
    inner = StateGraph(State).add_node("n", note).add_edge(START, "n").compile(name=name)

    async def call(state: State) -> Any:
        return await inner.ainvoke({"a": 1})

    return of("n", call)


def a_task(name: str) -> CompiledGraph:
    @task(name=name)
    async def double(n: int) -> int:
        return 2 * n

    async def call(state: State) -> Any:
        return {"a": await double(2)}

    return of("n", call)


def a_step(name: str) -> CompiledGraph:
    async def call(state: State, ctx: Context) -> Any:
        found = [await ctx.step(name, lambda n: n, n) for n in (1, 2)]
        return {"a": [*found, interrupt("?")]}

    return of("n", call)


def a_key_of_calls(name: str) -> CompiledGraph:
    async def call(state: State, ctx: Context) -> Any:
        await ctx.step("s", lambda: 1, key=name)
        await ctx.sleep(0, key=name)
        return {"a": interrupt("?", key=name)}

    return of("n", call)


def a_node_that_asks(name: str) -> CompiledGraph:
    return of(name, lambda state: {"a": interrupt({"by": str.__str__(name)})})


def a_stop(name: str) -> CompiledGraph:
    graph = StateGraph(State).add_node(name, note).add_edge(START, name)
    return graph.compile(interrupt_before=[name])


def an_event(name: str) -> CompiledGraph:
    def call(state: State, ctx: Any) -> Any:
        ctx.emit({"a": 1}, name)
        return {"a": 1}

    return of("n", call)


def an_artifact(name: str) -> CompiledGraph:
    async def call(state: State, ctx: Context) -> Any:
        ref = await ctx.save_artifact(name, b"x")
        return {"a": ref.name}

    return of("n", call)


def a_node_that_fails(name: str) -> CompiledGraph:
    def fail(state: State) -> Any:
        raise ValueError(str.__str__(name))

    return of(name, fail)


def an_atomic_node(name: str) -> CompiledGraph:
    def call(state: State, ctx: Any) -> Any:
        ctx.emit(1)
        ctx.save_artifact("a.txt", "x")
        return {"a": 1}

    return of(name, call, atomic=True)


PLACES: list[Callable[[str], CompiledGraph]] = [
    a_node,
    an_edge,
    an_edge_from_it,
    a_goto,
    a_router,
    a_key,
    a_reduced_key,
    a_key_that_is_sent,
    a_graph_in_it,
    a_graph_that_keeps,
    a_graph_name,
    a_task,
    a_step,
    a_key_of_calls,
    a_node_that_asks,
    a_stop,
    an_event,
    an_artifact,
    a_node_that_fails,
    an_atomic_node,
]


def built(place: Callable[[str], CompiledGraph], name: str) -> CompiledGraph | None:
    """The graph, or None where nobody can build it."""
    try:
        return place(name)
    except InvalidGraphError as error:
        assert str(error).endswith(".")
        assert len(str(error)) < 1500
        return None


def seen(events: Any) -> list[tuple[str, str, list[str]]]:
    """What events say of names: without the ids of tasks in namespaces."""
    return sorted(
        (name, node or "", [part.split(":")[0] for part in namespace.split("|")])
        for name, node, namespace in events
        if name.startswith(("node_", "custom"))
    )


def nested(depth: int, name: str, run: Any = note, **options: Any) -> CompiledGraph:
    """A graph in a graph in a graph."""
    graph = of(name, run)
    for _ in range(depth - 1):
        builder = StateGraph(State).add_node(name, graph).add_edge(START, name)
        graph = builder.compile(**options)
    return graph


Outcome = tuple[str, Any, Any]


async def in_memory(graph: CompiledGraph) -> Outcome:
    """How a run ends, what its state is, or its error; and what its events say."""
    journal = MemoryJournal()
    options: Any = {"thread_id": "t", "journal": journal, "artifacts": Files()}
    result: Any
    try:
        result = await graph.ainvoke({}, **options)
        if (await graph.aget_state("t", journal=journal)).next:
            result = await graph.ainvoke(Command(resume="yes"), **options)
        status = "completed"
    except Exception as error:
        status, result = "failed", (type(error).__name__, printable(str(error)))
    (run_id,) = {checkpoint.run_id for checkpoint in await journal.history("t")}
    events = await journal.events(run_id)
    return status, result, seen((e["event"], e["node"], e["namespace"]) for e in events)


def on_the_database(
    graphs: Mapping[str, CompiledGraph], drain: Callable[[], None]
) -> dict[str, Outcome]:
    """The same, of runs of all graphs at once."""
    for label, graph in graphs.items():
        workflows.register(label, graph, input_schema={"type": "object"})
    runs = {label: create_run(NewRun(workflow=label)) for label in graphs}
    drain()
    for run in Run.objects.filter(status="interrupted"):
        resume_run(run.id, Command(resume="yes"))
    drain()
    return {label: outcome(graphs[label], run) for label, run in runs.items()}


def outcome(graph: CompiledGraph, run: Run) -> Outcome:
    run.refresh_from_db()
    rows = Event.objects.filter(run=run).values_list("name", "node", "namespace")
    if run.status == "failed":
        error = run.error or {}
        return run.status, (error["type"], error["message"]), seen(rows)
    assert run.checkpoint_id is not None
    view = read_state(graph.graph, run.thread_id, run.checkpoint_id)
    assert view is not None
    return run.status, dict(view.values), seen(rows)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_it_is_the_same_everywhere(
    place: Callable[[str], CompiledGraph], drain: Callable[[], None], register: Register
) -> None:
    graphs = {label: graph for label, name in NAMES.items() if (graph := built(place, name))}
    assert "member of a StrEnum" in graphs
    expected = {label: asyncio.run(in_memory(graph)) for label, graph in graphs.items()}
    assert on_the_database(graphs, drain) == expected


DEPTHS: dict[str, Callable[[], CompiledGraph]] = {
    "13 deep": lambda: nested(13, "level"),
    "as deep as may be": lambda: nested(MAX_DEPTH, "level"),
    "deep, with long names": lambda: nested(6, NAMES["500 of four bytes"]),
    "deep, with NULs": lambda: nested(6, "\x00" * 500),
    "asked deep inside": lambda: nested(20, "n" * 200, lambda state: {"a": interrupt("?")}),
    "kept deep inside": lambda: nested(
        20, "n" * 200, lambda state: {"a": interrupt("?")}, checkpointer=True
    ),
}


def test_paths_of_any_length_are_the_same_everywhere(
    drain: Callable[[], None], register: Register, api: APIClient
) -> None:
    graphs = {label: build() for label, build in DEPTHS.items()}
    expected = {label: asyncio.run(in_memory(graph)) for label, graph in graphs.items()}
    assert on_the_database(graphs, drain) == expected
    assert {status for status, _, _ in expected.values()} == {"completed"}
    for run in Run.objects.all():  # their paths are shown in full
        url = f"/api/runs/{run.id}/checkpoints?page_size=200"
        shown = {row["namespace"] for row in api.get(url).json()["results"]}
        told = {frame["namespace"] for frame in events_of(api, run) if "namespace" in frame}
        assert shown == {"", *told}


def events_of(api: APIClient, run: Run) -> list[Any]:
    return list(api.get(f"/api/runs/{run.id}/events?limit=1000").json()["results"])


def test_a_graph_that_is_too_deep_is_refused() -> None:
    with pytest.raises(InvalidGraphError, match=f"at most {MAX_DEPTH} are possible"):
        nested(MAX_DEPTH + 1, "level")
