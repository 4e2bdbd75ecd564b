"""Retry policies: how often, how long, and for what."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest

from runs.engine import START, InvalidUpdateError, MemoryJournal, RetryPolicy, StateGraph
from runs.engine.graph.retry import delay


class State(TypedDict, total=False):
    x: int


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (RetryPolicy(jitter=False), [0.5, 1.0, None]),
        (
            RetryPolicy(jitter=False, max_attempts=5, backoff_factor=10),
            [0.5, 5.0, 50.0, 128.0, None],
        ),
        (RetryPolicy(max_attempts=1), [None]),
        (RetryPolicy(jitter=False, initial_interval=0, max_attempts=2), [0, None]),
    ],
)
def test_delays(policy: RetryPolicy, delays: list[float | None]) -> None:
    error = ConnectionError()
    assert [delay(policy, n + 1, error) for n in range(len(delays))] == delays


def test_jitter_adds_up_to_a_second() -> None:
    found = [delay(RetryPolicy(), 1, ConnectionError()) for _ in range(100)]
    assert all(wait is not None and 0.5 <= wait < 1.5 for wait in found)
    assert len(set(found)) > 1


@pytest.mark.parametrize(
    ("retry_on", "error", "again"),
    [
        (None, ConnectionError(), True),
        (None, TimeoutError(), False),
        (None, ValueError(), False),
        (None, KeyError(), False),
        (None, InvalidUpdateError(), False),
        (ValueError, ValueError(), True),
        (ValueError, UnicodeError(), True),
        (ValueError, KeyError(), False),
        ((ValueError, KeyError), KeyError(), True),
        ([ValueError, KeyError], KeyError(), True),
        (lambda error: "again" in str(error), ValueError("again"), True),
        (lambda error: "again" in str(error), ValueError("no"), False),
    ],
)
def test_what_is_retried(retry_on: Any, error: Exception, again: bool) -> None:
    assert (delay(RetryPolicy(retry_on=retry_on), 1, error) is not None) is again


async def test_each_retry_is_an_event_and_the_last_error_comes_out() -> None:
    tries: list[int] = []

    def fails(state: State) -> None:
        tries.append(1)
        raise ConnectionError(f"try {len(tries)}")

    policy = RetryPolicy(initial_interval=0, jitter=False)
    graph = (
        StateGraph(State).add_node("n", fails, retry_policy=policy).add_edge(START, "n").compile()
    )
    journal = MemoryJournal()
    with pytest.raises(ConnectionError, match="try 3"):
        await graph.ainvoke({"x": 1}, thread_id="t", journal=journal)
    (checkpoint,) = await journal.history("t")
    told = await journal.events(checkpoint.run_id)
    assert [(e["event"], (e["data"] or {}).get("error")) for e in told if e["node"] == "n"] == [
        ("node_started", None),
        ("retry", "ConnectionError: try 1"),
        ("retry", "ConnectionError: try 2"),
    ]


def test_the_first_policy_that_takes_the_error_is_used() -> None:
    tries: list[int] = []

    def fails(state: State) -> State:
        tries.append(1)
        if len(tries) < 4:
            raise KeyError if len(tries) % 2 else OSError
        return {"x": len(tries)}

    policies = [
        RetryPolicy(initial_interval=0, jitter=False, retry_on=OSError, max_attempts=3),
        RetryPolicy(initial_interval=0, jitter=False, retry_on=KeyError, max_attempts=5),
    ]
    graph = StateGraph(State).add_node("n", fails, retry_policy=policies).add_edge(START, "n")
    assert graph.compile().invoke({}) == {"x": 4}
