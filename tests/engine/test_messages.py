"""add_messages: a conversation that is merged by id."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypedDict

import langgraph.graph.message as langgraph_message
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core import messages
from pydantic import BaseModel

from runs.engine import (
    END,
    REMOVE_ALL_MESSAGES,
    START,
    CachePolicy,
    Command,
    Context,
    InMemoryCache,
    MemoryJournal,
    MessagesState,
    Position,
    RemoveMessage,
    Send,
    StateGraph,
    add_messages,
    interrupt,
    serde,
)
from runs.engine.checkpoint import Saved
from runs.engine.graph.channels import folding
from runs.engine.superstep.restore import restore
from runs.engine.values import allowed


def msg(id: str, content: str = "") -> dict[str, Any]:
    return {"role": "user", "content": content, "id": id}


@dataclass(frozen=True)
class Spoken:
    id: str | None
    text: str


def test_known_ids_are_replaced_and_new_ones_follow() -> None:
    merged = add_messages([msg("1", "a"), msg("2", "b")], [msg("3", "c"), msg("1", "A")])
    assert [(m["id"], m["content"]) for m in merged] == [("1", "A"), ("2", "b"), ("3", "c")]


def test_objects_with_an_id_are_messages_too() -> None:
    assert add_messages([Spoken("1", "a")], Spoken("1", "b")) == [Spoken("1", "b")]


def test_removing() -> None:
    assert add_messages([msg("1"), msg("2")], RemoveMessage("1")) == [msg("2")]
    assert add_messages([msg("1")], [RemoveMessage(REMOVE_ALL_MESSAGES), msg("9")]) == [msg("9")]
    assert add_messages([msg("1")], [RemoveMessage(id="1"), msg("1", "back")]) == [msg("1", "back")]
    with pytest.raises(ValueError, match="no message '7' to remove"):
        add_messages([], RemoveMessage("7"))


def test_removing_without_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="without an id"):
        RemoveMessage(id=None)  # type: ignore[arg-type]
    pair = ("remove", "1")
    for removal in (removed(None), {"type": "remove", "id": None}, {"role": "remove"}, pair):
        with pytest.raises(ValueError, match="without an id"):
            add_messages([Spoken(None, "a")], [removal])


@pytest.mark.parametrize("key", ["type", "role"])
async def test_a_dict_that_removes_says_so_by_its_type_or_its_role(key: str) -> None:
    assert add_messages([msg("1"), msg("2")], {key: "remove", "id": "1"}) == [msg("2")]
    every = {key: "remove", "content": "", "id": REMOVE_ALL_MESSAGES}
    assert add_messages([msg("1")], [every, msg("2")]) == [msg("2")]

    builder = StateGraph(MessagesState)
    builder.add_node("trim", lambda state: {"messages": [{key: "remove", "id": "1"}]})
    graph = builder.add_edge(START, "trim").compile()
    await graph.ainvoke({"messages": [msg("1"), msg("2")]}, thread_id="t")

    assert (await graph.aget_state("t")).values == {"messages": [msg("2")]}


def test_what_an_earlier_version_kept_as_a_message_stays_one() -> None:
    kept = {"role": "remove", "content": "", "id": "1"}
    reset = folding.set(True)
    try:
        assert add_messages([msg("0")], [kept]) == [msg("0"), kept]
    finally:
        folding.reset(reset)


def test_all_before_the_last_removal_of_all_is_gone() -> None:
    update = [RemoveMessage("unknown"), msg("1"), RemoveMessage(REMOVE_ALL_MESSAGES), msg("2")]
    assert add_messages([msg("0")], update) == [msg("2")]


@pytest.mark.parametrize("given", [1, None, [], True, b"x", ["user"]])
def test_what_is_no_message_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="is no message"):
        add_messages([], [given])


def test_pairs_texts_dicts_and_objects_get_ids_without_being_changed() -> None:
    spoken, said = Spoken(None, "a"), {"role": "user", "content": "b"}
    merged = add_messages([spoken], [said, "c", ("ai", "d"), ["ai", "e"], (spoken, spoken)[0]])
    assert len({one["id"] if isinstance(one, dict) else one.id for one in merged}) == 6
    assert (spoken.id, said) == (None, {"role": "user", "content": "b"})


def removed(id: str | None) -> Any:
    return messages.RemoveMessage(id=id)  # type: ignore[arg-type]


@serde.allow
@dataclass
class Note:
    content: str
    id: str | None = None


def ids_in(value: Any) -> list[Any]:
    if isinstance(value, dict) and "content" not in value:
        return [found for one in value.values() for found in ids_in(one)]
    if isinstance(value, list):
        return [found for one in value for found in ids_in(one)]
    return [value["id"] if isinstance(value, dict) else value.id]


@pytest.fixture
def _langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowed, "_allowed", dict(allowed._allowed))
    monkeypatch.setattr(allowed, "_names", dict(allowed._names))
    for cls in (messages.HumanMessage, messages.AIMessage):
        serde.allow(cls)


MADE: list[Any] = [
    "hello",
    ("user", "hello"),
    {"role": "user", "content": "hello"},
    Note("hello"),
    messages.HumanMessage("hello"),
    messages.AIMessageChunk(content="hello"),
    [messages.AIMessage("one"), Note("two"), "three"],
]


@pytest.mark.usefixtures("_langchain")
@pytest.mark.parametrize("made", MADE, ids=repr)
async def test_message_has_one_id_in_state_streams_and_store(made: Any) -> None:
    def say(state: MessagesState) -> Any:
        return [{"messages": made}, Command(update={"messages": made})]

    graph = StateGraph(MessagesState).add_node(say).add_edge(START, "say").compile()
    journal, seen = MemoryJournal(), []
    async for mode, shown in graph.astream(
        {"messages": made}, thread_id="t", journal=journal, stream_mode=["values", "updates"]
    ):
        seen.append((mode, ids_in(shown)))
    number = len(made) if isinstance(made, list) else 1
    (_, first), (_, update), (_, last) = seen
    assert None not in last
    assert len(set(last)) == 3 * number
    assert last == first + update
    saved = await journal.load("t")
    assert saved is not None
    assert ids_in(_restored(graph, saved).values["messages"]) == last
    if isinstance(made, messages.BaseMessage):
        assert made.id is None


@pytest.mark.usefixtures("_langchain")
async def test_trim_of_all_but_the_last_two() -> None:
    def trim(state: MessagesState) -> Any:
        return {"messages": [removed(one.id) for one in state["messages"][:-2]]}

    graph = StateGraph(MessagesState).add_node(trim).add_edge(START, "trim").compile()
    given = {"messages": [messages.HumanMessage(str(number)) for number in range(5)]}
    final = await graph.ainvoke(given, thread_id="t", journal=MemoryJournal())
    assert [one.content for one in final["messages"]] == ["3", "4"]


@pytest.mark.usefixtures("_langchain")
async def test_update_by_hand_a_send_and_a_command_give_ids() -> None:
    got: list[Any] = []

    def ask(state: MessagesState) -> Any:
        interrupt("?")
        return Command(goto=Send("take", {"messages": [Note("sent"), "as it is"], "n": 1}))

    def take(state: Any) -> None:
        got.append(state)

    builder = StateGraph(MessagesState).add_node(ask, destinations=["take"]).add_node(take)
    graph, journal = builder.add_edge(START, "ask").compile(), MemoryJournal()
    place = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"messages": []}, place, journal=journal)
    command: Command[Any] = Command(resume=1, update={"messages": Note("said")})
    final = await graph.ainvoke(command, place, journal=journal)
    await graph.aupdate_state(place, {"messages": Note("by hand")}, as_node="take", journal=journal)
    state = await graph.aget_state(place, journal=journal)
    assert None not in ids_in(final)
    assert len(set(ids_in(dict(state.values)))) == 2
    assert got[0]["messages"][0].id is not None
    assert got[0]["messages"][1] == "as it is"


@serde.allow
@dataclass(frozen=True)
class SentFields:
    messages: list[Any]


@serde.allow
class SentModel(BaseModel):
    messages: list[Any]


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", [dict, SentFields, SentModel], ids=["dict", "fields", "model"])
async def test_send_of_any_state_gives_ids_also_from_a_kept_result(
    kind: Any, inside: bool, kept: bool
) -> None:
    got: list[Any] = []
    given = kind(messages=[{"role": "user", "content": "x"}])

    def send(state: MessagesState) -> Any:
        graph = Command.PARENT if inside else None
        return Command(goto=[Send("take", given)] * 2, graph=graph)

    def take(state: Any) -> None:
        got.append(state)

    node: Any = send
    if inside:
        node = StateGraph(MessagesState).add_node(send).add_edge(START, "send").compile()
    policy = CachePolicy() if kept else None
    builder = StateGraph(MessagesState).add_node("a", node, cache_policy=policy)
    graph = builder.add_node(take).add_edge(START, "a").compile(cache=InMemoryCache())
    for thread_id in "uv":
        await graph.ainvoke({"messages": []}, thread_id=thread_id, journal=MemoryJournal())
    states = [one if kind is dict else vars(one) for one in got]
    found = [message.get("id") for state in states for message in state["messages"]]
    assert len(found) == len(set(found) - {None}) == 4
    assert type(got[0]) is kind
    assert given == kind(messages=[{"role": "user", "content": "x"}])


async def test_two_updates_before_one_superstep_keep_both_messages() -> None:
    def ask(state: MessagesState) -> None:
        interrupt("a")
        interrupt("b")

    graph = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask").compile()
    journal = MemoryJournal()
    await graph.ainvoke({"messages": []}, thread_id="t", journal=journal)
    for answer in "ab":
        command: Command[Any] = Command(resume=answer, update={"messages": "same"})
        await graph.ainvoke(command, thread_id="t", journal=journal)
    assert len((await graph.aget_state("t", journal=journal)).values["messages"]) == 2


@pytest.mark.parametrize("kept", [False, True])
async def test_message_of_a_loop_is_added_each_time(kept: bool) -> None:
    """Also when the node's result is a kept one, and in a graph that keeps its state."""

    class State(MessagesState):
        n: Annotated[int, operator.add]

    def inner(state: MessagesState) -> Any:
        return {"messages": Note("again")}

    memory = StateGraph(MessagesState).add_node(inner).add_edge(START, "inner")
    remembers = memory.compile(checkpointer=True)

    async def call(state: State) -> Any:
        got = await remembers.ainvoke({"messages": [Note("asked")]})
        return {"n": len(got["messages"])}

    policy = CachePolicy(key_func=lambda state: "same") if kept else None
    builder = StateGraph(State).add_node("say", inner, cache_policy=policy).add_node(call)
    builder.add_edge(START, "say").add_edge("say", "call")
    builder.add_conditional_edges("call", lambda s: "say" if len(s["messages"]) < 3 else END)
    graph = builder.compile(cache=InMemoryCache())
    final = await graph.ainvoke({"messages": []}, thread_id="t", journal=MemoryJournal())
    assert len(set(ids_in(final["messages"]))) == 3
    assert final["n"] == 2 + 4 + 6


async def test_message_of_an_earlier_version_gets_the_same_id_whenever_it_is_read() -> None:
    graph = StateGraph(MessagesState).add_node("n", lambda s: None).add_edge(START, "n").compile()
    journal = MemoryJournal()
    await graph.ainvoke({"messages": [Note("a"), Note("b")]}, thread_id="t", journal=journal)
    saved = await journal.load("t")
    assert saved is not None
    (change, *more) = saved.chains["messages"]
    stored = b"[%b]" % b",".join(map(serde.dumps, [Note("a"), Note("a")]))
    older = replace(saved, chains={"messages": [replace(change, value=stored), *more]})
    first, second = (_restored(graph, older).values["messages"] for _ in range(2))
    assert first == second
    assert len(set(ids_in(first))) == 2
    assert add_messages(first, removed(first[0].id)) == [first[1]]


@given(
    st.lists(st.sampled_from(["1", "2", "3", None]), max_size=4),
    st.lists(st.sampled_from(["1", "2", "3", None, "-1", "-2", REMOVE_ALL_MESSAGES]), max_size=5),
)
def test_it_merges_as_langgraph_does(left: list[Any], right: list[Any]) -> None:
    def said(given: list[Any]) -> list[Any]:
        return [
            removed(one.lstrip("-"))
            if one and one[0] in "-_"
            else messages.HumanMessage(str(number), id=one)
            for number, one in enumerate(given)
        ]

    def merged(add: Any) -> Any:
        try:
            found = add(add([], said(left)), said(right))
        except ValueError:
            return "refused"
        return [(one.content, one.id if one.id in ("1", "2", "3") else None) for one in found]

    if REMOVE_ALL_MESSAGES in right:  # LangGraph does not merge what follows, not even removals
        last = len(right) - right[::-1].index(REMOVE_ALL_MESSAGES)
        rest = right[last:]
        if len(set(rest)) < len(rest) or any(one and one[0] == "-" for one in rest):
            return
    assert merged(add_messages) == merged(langgraph_message.add_messages)


def test_what_was_there_is_not_changed() -> None:
    left = [msg("1")]
    add_messages(left, [msg("1", "x"), msg("2")])
    assert left == [msg("1")]


@given(st.lists(st.sampled_from(["a", "b"]), max_size=8), st.sets(st.integers(0, 7)))
def test_messages_without_an_id_get_their_own(said: list[str], removed: set[int]) -> None:
    first = add_messages([], said)
    left = add_messages(first, [RemoveMessage(first[i]["id"]) for i in removed if i < len(first)])
    both = add_messages(left, [("assistant", "a"), "a", "a"])
    assert [m["content"] for m in both] == [m["content"] for m in left] + ["a", "a", "a"]
    assert len({m["id"] for m in both}) == len(both)
    again = add_messages(left, [("assistant", "a"), "a", "a"])
    assert again[: len(left)] == left
    assert not {m["id"] for m in again[len(left) :]} & {m["id"] for m in both}


async def test_a_conversation_is_stored_as_what_was_added() -> None:
    class State(TypedDict):
        messages: Annotated[list[Any], add_messages]

    def reply(state: State) -> dict[str, Any]:
        number = len(state["messages"])
        return {"messages": [("assistant", "x" * 10), msg("first", f"edit {number}")]}

    graph = StateGraph(State).add_node(reply).add_edge(START, "reply").compile()
    journal = MemoryJournal()
    live: dict[str, Any] = {}
    for number in range(6):
        said = {"messages": [msg("first" if number == 0 else str(number), "y" * 200)]}
        live = await graph.ainvoke(said, thread_id="t", journal=journal)
    saved = await journal.load("t")
    assert saved is not None and len(saved.chains["messages"]) > 1
    assert graph.output(_restored(graph, saved)) == live


def _restored(graph: Any, saved: Saved) -> Position:
    return restore(graph.graph, saved.checkpoint, saved.chains)


def test_a_conversation_as_a_state() -> None:
    class State(MessagesState):
        n: int

    def node(state: State) -> dict[str, Any]:
        return {"messages": {"role": "ai", "content": "hi", "id": "2"}, "n": 1}

    graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
    final = graph.invoke({"messages": [{"role": "user", "content": "hello", "id": "1"}]})
    assert [one["content"] for one in final["messages"]] == ["hello", "hi"]
    assert final["n"] == 1


def direct(state: MessagesState) -> Any:
    return {"messages": add_messages([{"role": "system", "content": "be kind"}], ["ping", "ping"])}


async def test_messages_that_nodes_and_runs_make_by_calling_the_reducer_are_all_kept() -> None:
    builder = StateGraph(MessagesState).add_node("a", direct).add_node("b", direct)
    graph = builder.add_edge(START, "a").add_edge("a", "b").compile()
    journal = MemoryJournal()
    for number in (1, 2):
        final = await graph.ainvoke({"messages": []}, thread_id="t", journal=journal)
        assert len(set(ids_in(final["messages"]))) == len(final["messages"]) == 6 * number


async def test_ids_of_messages_a_node_makes_are_the_same_when_it_is_called_again() -> None:
    """So that a step which is given them is known again; but a recorded step keeps its own."""
    sent: list[Any] = []

    async def node(state: MessagesState, ctx: Context) -> Any:
        said = await ctx.step("say", add_messages, [], "same")
        asked = add_messages(said, "same")
        await ctx.step("send", sent.append, asked[-1]["id"])
        interrupt("?")
        return {"messages": add_messages(asked, "same")}

    graph, journal = StateGraph(MessagesState).add_node(node), MemoryJournal()
    made = graph.add_edge(START, "node").compile()
    await made.ainvoke({"messages": []}, thread_id="t", journal=journal)
    final = await made.ainvoke(Command(resume=1), thread_id="t", journal=journal)
    assert len(sent) == 1
    assert sent[0] == final["messages"][1]["id"]
    assert len(set(ids_in(final["messages"]))) == 3


def merge(left: Any, right: Any) -> Any:
    return add_messages(left, right)


class Merged(TypedDict):
    said: Annotated[list[Any], merge]


async def test_ids_that_a_reducer_gives_in_a_fold_are_the_same_in_each_fold() -> None:
    seen: list[Any] = []

    def route(state: Merged) -> str:
        seen.append(ids_in(state["said"]))
        return END

    builder = StateGraph(Merged).add_node("n", lambda s: {"said": "x"}).add_edge(START, "n")
    graph = builder.add_conditional_edges("n", route, [END]).compile()
    final = await graph.ainvoke({"said": "y"}, thread_id="t", journal=MemoryJournal())
    assert seen == [ids_in(final["said"])]
    assert len(set(seen[0])) == 2
