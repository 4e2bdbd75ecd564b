"""Interrupts: asking, answering by id or in order, and what is not done twice."""

from __future__ import annotations

import copy
import operator
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest

from runs.engine import (
    END,
    START,
    Command,
    Context,
    EmptyInputError,
    InvalidUpdateError,
    MemoryJournal,
    NotStorableError,
    RetryPolicy,
    Send,
    StateGraph,
    interrupt,
)


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    x: int


def asks(*questions: Any, calls: list[str] | None = None, name: str = "ask") -> Any:
    def node(state: State) -> State:
        if calls is not None:
            calls.append(name)
        return {"log": [interrupt(question) for question in questions]}

    return node


def one(node: Any, **options: Any) -> Any:
    return StateGraph(State).add_node("n", node, **options).add_edge(START, "n").compile()


def values(result: dict[str, Any]) -> list[Any]:
    return [interrupt.value for interrupt in result.get("__interrupt__", [])]


@pytest.mark.parametrize("answer", ["yes", 0, False, [1], {"a": 1}, "", None, [], {}])
def test_an_answer_is_what_interrupt_returns(answer: Any) -> None:
    graph = one(asks("sure?"))
    result = graph.invoke({"log": ["in"]}, thread_id="t")
    assert values(result) == ["sure?"]
    assert result["log"] == ["in"]
    assert graph.invoke(Command(resume=answer), thread_id="t") == {"log": ["in", answer]}


def test_none_answers_by_id_and_in_a_stream_and_only_what_was_asked() -> None:
    graph = one(asks("a", "b", "c"))
    (asked,) = graph.invoke({}, thread_id="t")["__interrupt__"]
    graph.invoke(Command(resume={asked.id: None}), thread_id="t")
    assert list(graph.stream(Command(resume=None), thread_id="t"))
    assert graph.invoke(Command(resume=None), thread_id="t") == {"log": [None, None, None]}
    with pytest.raises(InvalidUpdateError, match="has not asked anything"):
        graph.invoke(Command(resume=None), thread_id="t")


def test_a_command_without_an_answer_answers_nothing() -> None:
    graph = one(asks("a"))
    graph.invoke({}, thread_id="t")
    one_more: Command[Any] = Command(update={"x": 2})
    for said in (Command(update={"x": 1}), copy.deepcopy(one_more)):
        assert values(graph.invoke(said, thread_id="t")) == ["a"]
    assert graph.invoke(Command(resume=None), thread_id="t") == {"log": [None], "x": 2}


def test_none_answers_what_is_asked_again_after_an_edit() -> None:
    graph = one(asks("a"))
    graph.invoke({}, thread_id="t")
    graph.update_state("t", {"log": ["edited"]}, as_node=START)
    assert graph.invoke(Command(resume=None), thread_id="t") == {"log": ["edited", None]}


def test_a_mapping_of_other_ids_is_refused_and_the_refusal_says_how_to_give_it() -> None:
    graph = one(asks("a"))
    (asked,) = graph.invoke({}, thread_id="t")["__interrupt__"]
    mapping = {str(uuid4()): "ok"}
    for given in (mapping, {**mapping, "more": 1}):
        with pytest.raises(InvalidUpdateError, match=f'{{"{asked.id}": {{...}}}}'):
            graph.invoke(Command(resume=given), thread_id="t")
    final = graph.invoke(Command(resume={asked.id: mapping}), thread_id="t")
    assert final == {"log": [mapping]}


def test_several_in_a_row_are_answered_in_a_row() -> None:
    calls: list[str] = []
    graph = one(asks("a", "b", "c", calls=calls))
    seen = [values(graph.invoke({}, thread_id="t"))]
    for answer in (1, 2, 3):
        seen.append(values(graph.invoke(Command(resume=answer), thread_id="t")))
    assert seen == [["a"], ["b"], ["c"], []]
    assert graph.get_state("t").values == {"log": [1, 2, 3]}
    assert len(calls) == 4


def parallel(calls: list[str]) -> Any:
    builder = StateGraph(State)
    for name in "abc":
        builder.add_node(name, asks(name, calls=calls, name=name)).add_edge(START, name)

    def free(state: State) -> State:
        calls.append("free")
        return {"log": ["free"]}

    builder.add_node(free)
    return builder.add_edge(START, "free").compile()


def test_parallel_ones_are_answered_in_order() -> None:
    calls: list[str] = []
    graph = parallel(calls)
    result = graph.invoke({}, thread_id="t")
    assert values(result) == ["a", "b", "c"]
    assert result["log"] == ["free"], "what has finished is there"
    assert values(graph.invoke(Command(resume=1), thread_id="t")) == ["b", "c"]
    assert values(graph.invoke(Command(resume=2), thread_id="t")) == ["c"]
    assert graph.invoke(Command(resume=3), thread_id="t") == {"log": [1, 2, 3, "free"]}
    assert sorted(calls) == ["a", "a", "b", "b", "c", "c", "free"], "nobody runs who still waits"


def test_parallel_ones_are_answered_by_id() -> None:
    graph = parallel([])
    asked = {i.value: i.id for i in graph.invoke({}, thread_id="t")["__interrupt__"]}
    some = graph.invoke(Command(resume={asked["c"]: 3, asked["a"]: 1}), thread_id="t")
    assert values(some) == ["b"]
    last = graph.invoke(Command(resume={asked["b"]: 2}), thread_id="t")
    assert last == {"log": [1, 2, 3, "free"]}


def test_an_id_that_nothing_waits_for_is_refused() -> None:
    graph = one(asks("a"))
    asked = graph.invoke({}, thread_id="t")["__interrupt__"][0]
    other = asked.id[:-1] + ("0" if asked.id[-1] != "0" else "1")
    with pytest.raises(InvalidUpdateError, match=f"{other} waits.*What waits: {asked.id}"):
        graph.invoke(Command(resume={other: 1}), thread_id="t")
    graph.invoke(Command(resume=1), thread_id="t")
    with pytest.raises(InvalidUpdateError, match="has not asked anything"):
        graph.invoke(Command(resume=1), thread_id="t")


def test_there_must_be_a_thread_to_answer() -> None:
    with pytest.raises(EmptyInputError):
        one(asks("a")).invoke(Command(resume=1), thread_id="unknown")


def test_sends_wait_each_for_itself() -> None:
    def ask(arg: Any) -> State:
        return {"log": [f"{arg}:{interrupt(arg)}"]}

    builder = StateGraph(State).add_node("ask", ask)
    builder.add_conditional_edges(START, lambda s: [Send("ask", i) for i in (3, 1)], ["ask"])
    graph = builder.compile()
    assert values(graph.invoke({}, thread_id="t")) == [3, 1]
    graph.invoke(Command(resume="first"), thread_id="t")
    assert graph.invoke(Command(resume="second"), thread_id="t") == {"log": ["3:first", "1:second"]}


def test_update_and_goto_beside_an_answer() -> None:
    def ask(state: State) -> State:
        return {"log": [("ask", state["x"], interrupt("?"))]}

    builder = StateGraph(State).add_edge(START, "ask")
    builder.add_node("ask", ask, destinations=("side",))
    builder.add_node("side", lambda s: {"log": ["side"], "x": s["x"] + 1})
    graph = builder.add_edge("side", END).compile()
    graph.invoke({"x": 1}, thread_id="t")
    final = graph.invoke(
        Command(resume="a", update={"x": 5, "log": ["cmd"]}, goto="side"), thread_id="t"
    )
    assert final == {"x": 6, "log": ["cmd", ("ask", 5, "a"), "side"]}
    assert graph.get_state("t").values == final, "what was stored is what was returned"


def test_a_command_moves_a_finished_thread() -> None:
    builder = StateGraph(State).add_node("a", lambda s: {"log": ["a"]}).add_edge(START, "a")
    graph = builder.compile()
    graph.invoke({}, thread_id="t")
    assert graph.invoke(Command(goto="a"), thread_id="t") == {"log": ["a", "a"]}
    assert graph.invoke(Command(update={"x": 1}), thread_id="t") == {"log": ["a", "a"], "x": 1}
    assert graph.get_state("t").values["x"] == 1


async def test_steps_before_an_interrupt_are_done_once() -> None:
    done: list[str] = []

    async def pay(amount: int) -> tuple[str, int]:
        done.append("pay")
        return ("paid", amount)

    async def node(state: State, ctx: Context) -> State:
        first = await ctx.step("pay", pay, 1)
        answer = interrupt("ok?")
        second = await ctx.step("pay", pay, 2)
        return {"log": [first, answer, second]}

    graph = one(node)
    await graph.ainvoke({}, thread_id="t")
    final = await graph.ainvoke(Command(resume="y"), thread_id="t")
    assert final == {"log": [("paid", 1), "y", ("paid", 2)]}
    assert done == ["pay", "pay"]


def test_neither_retry_nor_except_swallows_an_interrupt() -> None:
    tries: list[int] = []

    def node(state: State) -> State:
        tries.append(1)
        try:
            return {"log": [interrupt("?")]}
        except Exception:
            return {"log": ["swallowed"]}

    graph = one(node, retry_policy=RetryPolicy(retry_on=Exception, initial_interval=0))
    assert values(graph.invoke({}, thread_id="t")) == ["?"]
    assert tries == [1]


def test_a_question_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(NotStorableError, match="Interrupt value of node 'n'"):
        one(asks(object())).invoke({})


def test_asking_outside_of_a_node_is_refused() -> None:
    with pytest.raises(RuntimeError, match="only be called inside a node"):
        interrupt("?")


@pytest.mark.parametrize("where", [["b"], "*"])
def test_stopping_before_a_node(where: Any) -> None:
    builder = StateGraph(State)
    builder.add_sequence([(n, lambda s, n=n: {"log": [n]}) for n in "ab"]).add_edge(START, "a")
    graph = builder.compile(interrupt_before=where)
    seen = [graph.invoke({}, thread_id="t")["log"]]
    while graph.get_state("t").next:
        seen.append(graph.invoke(None, thread_id="t")["log"])
    assert seen == [["a"], ["a", "b"]] if where != "*" else [[], ["a"], ["a", "b"]]


def test_stopping_after_a_node_and_answering_with_an_update() -> None:
    builder = StateGraph(State)
    builder.add_sequence([(n, lambda s, n=n: {"log": [n]}) for n in "ab"]).add_edge(START, "a")
    graph = builder.compile(interrupt_after=["a", "b"])
    assert graph.invoke({}, thread_id="t") == {"log": ["a"]}
    assert graph.get_state("t").next == ("b",)
    final = graph.invoke(Command(update={"log": ["c"]}), thread_id="t")
    assert final == {"log": ["a", "c", "b"]}, "nothing is left to stop before at the end"


async def test_the_stream_and_the_log_say_what_is_waited_for() -> None:
    journal = MemoryJournal()
    graph = one(asks("a"))
    chunks = [c async for c in graph.astream({}, thread_id="t", journal=journal)]
    (asked,) = chunks[-1]["__interrupt__"]
    assert asked.value == "a"
    (checkpoint,) = await journal.history("t")
    await graph.ainvoke(Command(resume=1), thread_id="t", journal=journal)
    told = [event["event"] for event in await journal.events(checkpoint.run_id)]
    assert told == ["checkpoint", "node_started", "interrupted", "node_update", "checkpoint"]


def test_to_go_on_with_none_calls_what_waits_again() -> None:
    calls: list[str] = []
    builder = StateGraph(State).add_node("a", asks("a?", "b?", calls=calls, name="a"))
    builder.add_node("b", lambda state: calls.append("b")).add_edge(START, "a").add_edge(START, "b")
    inner = builder.compile()
    for graph in (inner, StateGraph(State).add_node("n", inner).add_edge(START, "n").compile()):
        calls.clear()
        first = graph.invoke({}, thread_id="t")
        assert graph.invoke(None, thread_id="t")["__interrupt__"] == first["__interrupt__"]
        assert calls in (["a", "b", "a"], ["b", "a", "a"])
        assert values(graph.invoke(Command(resume=1), thread_id="t")) == ["b?"]
        assert values(graph.invoke(None, thread_id="t")) == ["b?"]
        assert graph.invoke(Command(resume=2), thread_id="t")["log"] == [1, 2]
        assert (calls.count("a"), calls.count("b")) == (5, 1)


def test_what_need_not_ask_any_more_goes_on_with_none() -> None:
    known: dict[str, str] = {}

    def node(state: State) -> State:
        return {"log": [known["name"] if known else interrupt("name?")]}

    graph = one(node)
    assert values(graph.invoke({}, thread_id="t")) == ["name?"]
    known["name"] = "x"
    assert graph.invoke(None, thread_id="t") == {"log": ["x"]}
    assert graph.get_state("t").interrupts == ()
