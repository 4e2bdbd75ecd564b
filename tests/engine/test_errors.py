"""What goes wrong says where, and what to do."""

from __future__ import annotations

import math
import operator
from datetime import datetime
from typing import Annotated, Any, TypedDict

import pytest

from runs.engine import (
    START,
    Command,
    Context,
    InvalidUpdateError,
    NotStorableError,
    StateGraph,
    SyncContext,
    interrupt,
    serde,
)
from runs.engine.errors import NodeError
from runs.engine.execution.execution import Execution
from runs.engine.execution.loop import advance
from runs.engine.journal.memory import MemoryJournal
from tests.engine.mortal import LEASE


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    x: Any


def one(node: Any) -> Any:
    return StateGraph(State).add_node("n", node).add_edge(START, "n").compile()


def test_a_reducers_error_names_the_key_and_the_node() -> None:
    with pytest.raises(TypeError) as caught:
        one(lambda state: {"log": 3}).invoke({})
    assert caught.value.__notes__ == [
        "In the reducer of key 'log', with what node 'n' wrote. It is called with the present "
        "value and the new one."
    ]


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e15, "3", None])
async def test_a_sleep_is_a_number_of_seconds(seconds: Any) -> None:
    async def later(state: State, ctx: Context) -> None:
        await ctx.sleep(seconds)

    def later_sync(state: State, ctx: SyncContext) -> None:
        ctx.sleep(seconds)

    for node in (later, later_sync):
        with pytest.raises(ValueError, match=r"A sleep of .* of node 'n'; give seconds"):
            await one(node).ainvoke({})


@pytest.mark.parametrize("moment", [datetime(2030, 1, 1), "tomorrow"])
async def test_a_sleep_until_is_a_moment_with_its_timezone(moment: Any) -> None:
    async def later(state: State, ctx: Context) -> None:
        await ctx.sleep_until(moment)

    with pytest.raises(ValueError, match="of node 'n'; give a datetime with a timezone"):
        await one(later).ainvoke({})


def test_answers_by_id_are_not_mixed_with_other_keys() -> None:
    graph = one(lambda state: {"x": interrupt("?")})
    (asked,) = graph.invoke({}, thread_id="t")["__interrupt__"]
    with pytest.raises(InvalidUpdateError, match=r"ids of questions and other keys \('typo'\)"):
        graph.invoke(Command(resume={asked.id: 1, "typo": 2}), thread_id="t")
    assert graph.invoke(Command(resume={"typo": 2}), thread_id="t")["x"] == {"typo": 2}


def test_a_command_goes_to_the_parent_or_to_no_other_graph() -> None:
    command: Any = Command(graph="xyz", goto="n")  # type: ignore[arg-type]
    with pytest.raises(InvalidUpdateError, match=r"Node 'n' .* graph='xyz'.*Command\.PARENT"):
        one(lambda state: command).invoke({})


async def test_an_input_that_is_too_big_is_called_the_input() -> None:
    graph = one(lambda state: None).graph
    execution = Execution(graph=graph, journal=MemoryJournal(), lease=LEASE, max_value_bytes=20)
    with pytest.raises((NodeError, NotStorableError), match="Key 'x' of the input has 52 bytes"):
        await advance(execution, {"x": "y" * 50})


def test_text_that_is_no_text_is_refused_with_a_way_out() -> None:
    with pytest.raises(NotStorableError, match="store it as bytes"):
        serde.dumps({"text": "\ud800"})


def test_what_contains_itself_is_refused_with_a_way_out() -> None:
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(NotStorableError, match="flatten it"):
        serde.dumps(deep)
    nested: Any = 1
    for _ in range(300):
        nested = {"in": nested}
    with pytest.raises(NotStorableError, match="flatten it"):
        serde.dumps(nested)


def test_the_labels_of_destinations_are_drawn() -> None:
    builder = StateGraph(State).add_node(
        "a", lambda s: Command(goto="b"), destinations={"b": "yes"}
    )
    graph = builder.add_node("b", lambda s: None).add_edge(START, "a").compile()
    assert graph.to_json()["edges"][1] == {
        "source": "a",
        "target": "b",
        "conditional": True,
        "label": "yes",
    }
