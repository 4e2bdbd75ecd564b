"""Every write is folded once, and what a node does in place stays in the node."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from runs.engine import (
    END,
    START,
    CachePolicy,
    Command,
    Context,
    InMemoryCache,
    MemoryJournal,
    RetryPolicy,
    Send,
    StateGraph,
    SyncContext,
    entrypoint,
    interrupt,
    serde,
    task,
)

AGAIN = RetryPolicy(initial_interval=0.001, jitter=False)


def extend(left: list[Any], right: list[Any]) -> list[Any]:
    left.extend(right)
    return left


def take_right(left: list[Any], right: list[Any]) -> list[Any]:
    return right


def insert_left(left: list[Any], right: list[Any]) -> list[Any]:
    right[:0] = left
    return right


def update_in_place(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    for key, value in right.items():
        left.setdefault(key, []).extend(value)
    return left


class State(TypedDict, total=False):
    n: int
    items: list[Any]
    deep: dict[str, Any]
    log: Annotated[list[Any], operator.add]
    extended: Annotated[list[Any], extend]
    inserted: Annotated[list[Any], insert_left]
    taken: Annotated[list[Any], take_right]
    grouped: Annotated[dict[str, list[Any]], update_in_place]


def reduced(reduce: Callable[[Any, Any], Any]) -> Any:
    make: Any = TypedDict
    return make("Log", {"log": Annotated[list[Any], reduce]}, total=False)


def chain(state: Any, *nodes: tuple[str, Any], **options: Any) -> StateGraph:
    builder, before = StateGraph(state), START
    for name, function in nodes:
        builder.add_node(name, function, **options).add_edge(before, name)
        before = name
    return builder


@pytest.mark.parametrize("reduce", [operator.iadd, extend, insert_left])
async def test_in_place_reducer_with_router_folds_each_write_once(reduce: Any) -> None:
    builder = StateGraph(reduced(reduce)).add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("b", lambda s: {"log": ["b"]}).add_edge(START, "a")
    seen: list[Any] = []

    def route(state: Any) -> str:
        seen.append(list(state["log"]))
        state["log"].append("router")
        return "b"

    builder.add_conditional_edges("a", route, ["b"])
    out = await builder.compile().ainvoke({"log": ["in"]})

    assert (out["log"], seen) == (["in", "a", "b"], [["in", "a"]])


async def test_in_place_reducer_with_parallel_nodes_folds_each_write_once() -> None:
    builder = StateGraph(State)
    for name in "abc":
        builder.add_node(name, lambda s, name=name: {"grouped": {"all": [name]}})
        builder.add_edge(START, name).add_conditional_edges(name, lambda s: END)
    out = await builder.compile().ainvoke({"grouped": {"all": ["in"]}})

    assert out["grouped"] == {"all": ["in", "a", "b", "c"]}


async def test_in_place_reducer_with_a_pause_beside_it_folds_each_write_once() -> None:
    builder = StateGraph(State).add_node("a", lambda s: {"extended": ["a"]})
    builder.add_node("b", lambda s: {"extended": [interrupt("?")]})
    builder.add_edge(START, "a").add_edge(START, "b")
    graph = builder.compile()
    waits = await graph.ainvoke({"extended": ["in"]}, thread_id="t")
    shown = (await graph.aget_state("t")).values["extended"]
    out = await graph.ainvoke(Command(resume="b", update={"extended": ["u"]}), thread_id="t")

    assert (waits["extended"], shown) == (["in", "a"], ["in", "a"])
    assert out["extended"] == (await graph.aget_state("t")).values["extended"]
    assert out["extended"] == ["in", "u", "a", "b"]


async def test_reducer_that_returns_its_right_value_does_not_share_it_with_the_node() -> None:
    mine: list[Any] = [1]

    def a(state: State) -> State:
        mine.append(2)
        return {"taken": mine, "items": mine}

    def b(state: State) -> None:
        mine.append("later")
        state["taken"].append("b")

    out = await chain(State, ("a", a), ("b", b)).compile().ainvoke({})

    assert (out["taken"], out["items"]) == ([1, 2], [1, 2])


async def test_reducer_that_keeps_and_changes_its_result_does_not_change_the_state() -> None:
    kept: list[list[str]] = []

    def reduce(left: list[str], right: list[str]) -> list[str]:
        for one in kept:
            one.append("kept")
        kept.append([*left, *right])
        return kept[-1]

    nodes = [(name, lambda s, name=name: {"log": [name]}) for name in "ab"]
    out = await chain(reduced(reduce), *nodes).compile().ainvoke({})

    assert out["log"] == ["a", "b"]


@pytest.mark.parametrize("awaits", [True, False])
async def test_second_attempt_sees_the_state_as_it_was(awaits: bool) -> None:
    seen: list[Any] = []

    def change(state: State) -> State:
        seen.append((state["n"], list(state["items"]), state["deep"]["in"][0].copy()))
        state["n"] += 1
        state["items"].append("failed")
        state["deep"]["in"][0]["x"] = "failed"
        if len(seen) < 3:
            raise ConnectionError
        return {"n": state["n"]}

    async def change_async(state: State) -> State:
        return change(state)

    graph = chain(State, ("a", change_async if awaits else change), retry_policy=AGAIN).compile()
    out = await graph.ainvoke({"n": 0, "items": [], "deep": {"in": [{}]}}, thread_id="t")

    assert seen == [(0, [], {})] * 3
    assert out == {"n": 1, "items": [], "deep": {"in": [{}]}} | {
        key: value for key, value in out.items() if key not in ("n", "items", "deep")
    }
    assert (await graph.aget_state("t")).values["deep"] == {"in": [{}]}


async def test_second_attempt_of_a_send_sees_what_was_sent() -> None:
    seen: list[Any] = []

    def work(sent: dict[str, Any]) -> State:
        seen.append((sent["who"], list(sent["l"])))
        sent["l"].append("failed")
        if len(seen) < 3:
            raise ConnectionError
        return {"log": [sent["who"]]}

    shared: list[Any] = []
    builder = StateGraph(State).add_node("w", work, retry_policy=AGAIN)
    builder.add_conditional_edges(
        START, lambda s: [Send("w", {"who": who, "l": shared}) for who in "ab"], ["w"]
    )
    await builder.compile().ainvoke({})

    assert all(held == [] for _, held in seen)
    assert shared == []


async def test_tasks_of_one_superstep_do_not_see_each_other() -> None:
    builder = StateGraph(State)
    for name in "abc":

        def node(state: State, name: str = name) -> State:
            state["items"].append(name)
            state["deep"].setdefault("who", []).append(name)
            return {"log": [[state["items"], state["deep"]["who"]]]}

        builder.add_node(name, node).add_edge(START, name)
    out = await builder.compile().ainvoke({"items": [], "deep": {}})

    assert out["log"] == [[[name], [name]] for name in "abc"]
    assert (out["items"], out["deep"]) == ([], {})


async def test_router_that_changes_the_state_changes_nothing() -> None:
    seen: list[Any] = []

    async def first(state: State) -> str:
        seen.append(list(state["items"]))
        state["items"].append("first")
        return "b"

    def second(state: State) -> str:
        seen.append(list(state["items"]))
        state["items"].append("second")
        if len(seen) < 4:
            raise ConnectionError
        return "b"

    builder = StateGraph(State).add_node("a", lambda s: None, retry_policy=AGAIN)
    builder.add_node("b", lambda s: {"log": s["items"]}).add_edge(START, "a")
    builder.add_conditional_edges("a", first, ["b"]).add_conditional_edges("a", second, ["b"])
    out = await builder.compile().ainvoke({"items": ["in"]})

    assert seen == [["in"]] * 4
    assert (out["log"], out["items"]) == (["in"], ["in"])


async def test_router_after_start_that_changes_the_input_changes_nothing() -> None:
    builder = StateGraph(State).add_node("a", lambda s: {"log": s["items"]})
    builder.add_conditional_edges(START, lambda s: [s["items"].append(1), "a"][1], ["a"])
    given: State = {"items": ["in"]}
    out = await builder.compile().ainvoke(given)

    assert (out["log"], given) == (["in"], {"items": ["in"]})


async def test_caller_and_run_do_not_share_input_or_result() -> None:
    given: State = {"items": [["in"]], "log": [["in"]]}
    graph = chain(State, ("a", lambda s: [s["items"][0].append("a"), None][1])).compile()
    out = await graph.ainvoke(given, thread_id="t")
    out["items"][0].append("caller")
    out["log"][0].append("caller")
    given["items"].append("late")

    again = (await graph.aget_state("t")).values
    assert (again["items"], again["log"]) == ([["in"]], [["in"]])
    assert (await graph.ainvoke({}, thread_id="t"))["log"] == [["in"]]


async def test_values_of_a_stream_are_the_consumers_own() -> None:
    graph = chain(
        State,
        ("a", lambda s: {"log": ["a"], "extended": ["a"]}),
        ("b", lambda s: {"log": [len(s["log"])], "extended": [len(s["extended"])]}),
    ).compile()
    items = []
    async for mode, item in graph.astream(
        {"log": [], "items": [[]]}, stream_mode=["values", "tasks", "checkpoints"], thread_id="t"
    ):
        held = item.get("values", item) if mode != "tasks" else item.get("input") or {}
        for key in ("log", "extended", "items"):
            if key in held:
                items.append((mode, key, list(held[key])))
                held[key].append("consumer")
    final = (await graph.aget_state("t")).values

    assert (final["log"], final["extended"], final["items"]) == (["a", 1], ["a", 1], [[]])
    assert not [item for item in items if "consumer" in item[2]]
    assert ("values", "log", ["a"]) in items and ("tasks", "log", ["a"]) in items


async def test_state_snapshot_is_the_callers_own() -> None:
    builder = StateGraph(State).add_node("a", lambda s: {"items": ["a"]})
    builder.add_node("b", lambda s: {"log": [interrupt({"ask": []})]})
    builder.add_edge(START, "a").add_edge(START, "b")
    graph = builder.compile()
    out = await graph.ainvoke({"items": []}, thread_id="t")
    out["__interrupt__"][0].value["ask"].append("caller")
    state = await graph.aget_state("t")
    state.values["items"].append("caller")
    results = [one.result for one in state.tasks if one.result]

    assert results == [{"items": ["a"]}]
    assert (await graph.aget_state("t")).values["items"] == ["a"]
    assert (await graph.aget_state("t")).interrupts[0].value == {"ask": []}


async def test_value_given_to_update_state_may_be_changed_later() -> None:
    graph = chain(State, ("a", lambda s: None)).compile()
    mine: list[Any] = ["by hand"]
    await graph.aupdate_state("t", {"items": mine, "extended": mine})
    mine.append("later")
    await graph.aupdate_state("t", {"extended": ["more"]})

    values = (await graph.aget_state("t")).values
    assert (values["items"], values["extended"]) == (["by hand"], ["by hand", "more"])


async def test_command_that_a_node_keeps_and_changes_is_taken_as_it_was() -> None:
    kept: list[Any] = []

    async def a(state: State) -> Any:
        arg: dict[str, Any] = {"l": []}
        kept[:] = [{"items": ["a"]}, arg]
        return Command(update=kept[0], goto=[Send("w", arg)])

    async def beside(state: State) -> None:
        while not kept:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        kept[0]["items"].append("later")
        kept[1]["l"].append("later")

    builder = StateGraph(State).add_node("a", a, destinations=["w"]).add_node("beside", beside)
    builder.add_node("w", lambda s: {"log": [list(s["l"])]})
    out = await builder.add_edge(START, "a").add_edge(START, "beside").compile().ainvoke({})

    assert (out["items"], out["log"]) == (["a"], [[]])


async def test_answer_changed_by_a_failed_attempt_is_whole_in_the_next_one() -> None:
    seen: list[Any] = []

    def node(state: State) -> State:
        answer = interrupt("?")
        seen.append(list(answer["l"]))
        answer["l"].append("failed")
        if len(seen) < 2:
            raise ConnectionError
        return {"log": answer["l"]}

    graph = chain(State, ("n", node), retry_policy=AGAIN).compile()
    await graph.ainvoke({}, thread_id="t")
    out = await graph.ainvoke(Command(resume={"l": []}), thread_id="t")

    assert (seen, out["log"]) == ([[], []], ["failed"])


async def test_question_is_recorded_as_it_was_asked() -> None:
    mine: dict[str, Any] = {"ask": []}
    asked = asyncio.Event()

    async def a(state: State) -> State:
        asked.set()
        return {"log": [interrupt(mine)]}

    async def b(state: State) -> None:
        await asked.wait()
        await asyncio.sleep(0)
        mine["ask"].append("later")

    builder = StateGraph(State).add_node("a", a).add_node("b", b)
    graph = builder.add_edge(START, "a").add_edge(START, "b").compile()
    out = await graph.ainvoke({}, thread_id="t")

    assert out["__interrupt__"][0].value == {"ask": []}
    assert (await graph.aget_state("t")).interrupts[0].value == {"ask": []}


async def test_results_of_steps_tasks_and_caches_are_not_poisoned() -> None:
    calls: list[str] = []

    @task(cache_policy=CachePolicy())
    async def fetch(what: list[str]) -> list[str]:
        calls.append("fetch")
        return what

    async def node(state: State, ctx: Context) -> State:
        steps = await ctx.step("step", lambda: ["step"])
        found = await fetch(["task"])
        shown = [list(steps), list(found)]
        steps.append("changed")
        found.append("changed")
        return {"log": [*shown, interrupt("?")]}

    graph = chain(State, ("n", node)).compile()
    for thread in ("t", "u"):
        await graph.ainvoke({}, thread_id=thread)
        out = await graph.ainvoke(Command(resume="go"), thread_id=thread)
        assert out["log"] == [["step"], ["task"], "go"]
    assert len(calls) <= 2  # what was called before is part of its identity


async def test_arguments_of_a_task_are_those_of_the_call() -> None:
    seen: list[Any] = []

    @task(retry_policy=AGAIN)
    async def change(given: list[Any], *, more: dict[str, Any]) -> list[Any]:
        seen.append((list(given), dict(more)))
        given.append("failed")
        more["x"] = "failed"
        if len(seen) < 2:
            raise ConnectionError
        return given

    @entrypoint()
    async def flow(given: list[Any]) -> Any:
        running = change(given, more={})
        given.append("late")
        return [await running, given]

    out = await flow.ainvoke([1])

    assert seen == [([1], {}), ([1], {})]
    assert out == [[1, "failed"], [1, "late"]]


@dataclass
class Basket:
    items: list[Any]
    lock: Any = None


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_arguments_that_a_step_changes_are_the_same_when_it_is_on_record(sync: bool) -> None:
    seen: list[Any] = []

    def change(given: list[Any], *, more: dict[str, Any], basket: Basket) -> int:
        given.append("changed")
        more["x"] = "changed"
        basket.items.append("changed")
        return len(given)

    def blocking(state: State, ctx: SyncContext) -> State:
        given, more, basket = ["one"], {"in": ["one"]}, Basket([])
        counts = [ctx.step("change", change, given, more=more, basket=basket)]
        counts.append(ctx.step("change", partial(change, given, basket=basket), more=more))
        seen.append([given, more, basket, counts])
        return {"log": [interrupt("?")]}

    async def waiting(state: State, ctx: Context) -> State:
        given, more, basket = ["one"], {"in": ["one"]}, Basket([])
        counts = [await ctx.step("change", change, given, more=more, basket=basket)]
        counts.append(await ctx.step("change", partial(change, given, basket=basket), more=more))
        seen.append([given, more, basket, counts])
        return {"log": [interrupt("?")]}

    graph = chain(State, ("n", blocking if sync else waiting)).compile()
    await graph.ainvoke({}, thread_id="t")
    await graph.ainvoke(Command(resume="go"), thread_id="t")

    assert seen == [[["one"], {"in": ["one"]}, Basket([]), [2, 2]]] * 2


class Box(BaseModel):
    items: list[Any]


@pytest.mark.parametrize("cls", [Basket, Box], ids=["dataclass", "model"])
@pytest.mark.parametrize("cached", [False, True], ids=["plain", "key_func"])
async def test_record_that_a_task_changes_stays_as_it_was_for_the_next_attempt(
    cls: Any, cached: bool
) -> None:
    seen: list[Any] = []

    def key_func(given: Any) -> str:
        given.items.append("key")
        return "key"

    policy = CachePolicy(key_func=key_func) if cached else None

    @task(retry_policy=AGAIN, cache_policy=policy)
    async def change(given: Any) -> list[Any]:
        seen.append(list(given.items))
        given.items.append("failed")
        if len(seen) < 2:
            raise ConnectionError
        return list(given.items)

    @entrypoint(cache=InMemoryCache())
    async def flow(given: list[Any]) -> Any:
        held = cls(items=given)
        running = change(held)
        held.items.append("late")
        return [await running, held.items]

    out = await flow.ainvoke([1])

    assert seen == [[1], [1]]
    assert out == [[1, "failed"], [1, "late"]]


async def test_config_that_a_node_changes_stays_as_it_was_for_the_others_and_the_caller() -> None:
    seen: list[Any] = []
    client = object()

    async def change(state: State, config: dict[str, Any]) -> State:
        held, more = config["configurable"]["x"], config["metadata"]["deep"]["y"]
        seen.append((list(held), list(more), config["configurable"]["client"] is client))
        held.append("changed")
        more.append("changed")
        return {}

    config: Any = {
        "configurable": {"x": [1], "client": client},
        "metadata": {"deep": {"y": [2]}},
    }
    await chain(State, ("a", change), ("b", change)).compile().ainvoke({"n": 1}, config)

    assert seen == [([1], [2], True)] * 2
    assert config["configurable"]["x"] == [1]
    assert config["metadata"] == {"deep": {"y": [2]}}


async def test_objects_in_the_arguments_of_a_task_are_shared() -> None:
    class Client:
        calls = 0

    @task
    async def use(client: Client) -> int:
        client.calls += 1
        return client.calls

    client = Client()

    @entrypoint()
    async def flow(given: int) -> Any:
        return await use(client)

    assert (await flow.ainvoke(1), client.calls) == (1, 1)


async def test_nested_graph_does_not_share_its_state_with_the_graph_around() -> None:
    inner = chain(State, ("i", lambda s: [s["items"].append("inner"), {"log": ["i"]}][1])).compile()

    async def calls(state: State) -> State:
        out = await inner.ainvoke({"items": state["items"]})
        out["items"].append("outer")
        return {"log": [state["items"], out["items"]]}

    builder = StateGraph(State).add_node("sub", inner).add_node("calls", calls)
    out = (
        await builder.add_edge(START, "sub")
        .add_edge("sub", "calls")
        .compile()
        .ainvoke({"items": ["in"]})
    )

    assert (out["items"], out["log"]) == (["in"], ["i", ["in"], ["in", "outer"]])


@serde.allow
@dataclass
class Message:
    text: str
    tags: list[str] = field(default_factory=list)


@serde.allow
class Model(BaseModel):
    text: str
    tags: list[str] = []


@dataclass
class Fields:
    held: Any = None
    items: list[Any] = field(default_factory=list)
    log: Annotated[list[Any], operator.add] = field(default_factory=list)


class Pydantic(BaseModel):
    held: Any = None
    items: list[Any] = []
    log: Annotated[list[Any], operator.add] = []


@pytest.mark.parametrize("state", [Fields, Pydantic])
@pytest.mark.parametrize("made", [Message("x", ["in"]), Model(text="x", tags=["in"])])
async def test_objects_in_the_state_are_each_nodes_own(state: Any, made: Any) -> None:
    def a(given: Any) -> None:
        given.held.tags.append("a")
        given.held.text = "a"
        given.items.append("default")

    def b(given: Any) -> dict[str, Any]:
        given.held.tags.append("b")
        return {"log": [[given.held.text, *given.held.tags, *given.items]]}

    builder = StateGraph(state).add_node("a", a).add_node("b", b).add_edge(START, "a")
    out = await builder.add_edge("a", "b").compile().ainvoke({"held": made})

    assert out["log"] == [["x", "in", "b"]]
    assert made.tags == out["held"].tags == ["in"]


async def test_context_is_the_callers_own_object() -> None:
    context: dict[str, Any] = {"calls": []}

    async def node(state: State, ctx: Context) -> None:
        ctx.context["calls"].append(1)

    await chain(State, ("a", node), ("b", node)).compile().ainvoke({}, context=context)

    assert context == {"calls": [1, 1]}


async def test_result_is_what_is_read_back() -> None:
    """A run that goes on in this process sees what one that is resumed would see."""

    @serde.allow
    @dataclass
    class Computed:
        n: int
        note: str = field(default="", init=False)

    seen: list[Any] = []

    def make(state: State) -> State:
        made = Computed(1)
        made.note = "not a field of __init__"
        return {"items": [made]}

    builder = chain(State, ("a", make), ("b", lambda s: seen.append(s["items"][0].note)))
    journal = MemoryJournal()
    await builder.compile().ainvoke({}, thread_id="t", journal=journal)

    stored = (await builder.compile().aget_state("t", journal=journal)).values["items"][0]
    assert seen == [stored.note]


async def test_state_that_refuses_its_values_fails_the_node_that_asks_for_it() -> None:
    class Strict(BaseModel):
        n: int = 0

    builder = StateGraph(State).add_node("a", lambda s: {"n": "no number"})
    builder.add_node("b", lambda s: None, input_schema=Strict).add_edge(START, "a")
    graph = builder.add_edge("a", "b").compile()
    with pytest.raises(ValueError, match="valid integer"):
        await graph.ainvoke({})
    shown = []
    with pytest.raises(ValueError, match="valid integer"):
        async for item in graph.astream({}, stream_mode="tasks"):
            shown.append(item["name"])
    assert shown == ["a", "a", "b"]
