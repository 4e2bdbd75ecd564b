"""What a retry policy repeats when it does not say for what: the same as in LangGraph."""

from __future__ import annotations

import httpx
import pytest
import requests
from langgraph._internal._retry import default_retry_on

from runs.engine import InvalidUpdateError, NodeTimeoutError, RetryPolicy, RunTimeoutError
from runs.engine.graph.retry import delay


def answered(status: int) -> Exception:
    request = httpx.Request("GET", "http://localhost")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(status))


def fetched(status: int) -> Exception:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


ERRORS = [
    *(kind("") for kind in (ConnectionError, ConnectionResetError, BrokenPipeError, TimeoutError)),
    *(kind("") for kind in (FileNotFoundError, OSError, AssertionError, AttributeError)),
    *(kind("") for kind in (MemoryError, EOFError, ValueError, KeyError, RuntimeError)),
    *(kind("") for kind in (NotImplementedError, ZeroDivisionError, ImportError, Exception)),
    *(kind("") for kind in (StopIteration, StopAsyncIteration, NameError, ReferenceError)),
    *map(answered, (404, 500, 503)),
    *map(fetched, (500, 503)),
    requests.HTTPError(),
]


def test_the_same_is_retried() -> None:
    assert [(e, delay(RetryPolicy(), 1, e) is not None) for e in ERRORS] == [
        (e, default_retry_on(e)) for e in ERRORS
    ]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NodeTimeoutError(), True),
        (RunTimeoutError(), False),
        (InvalidUpdateError(), False),
        (fetched(404), False),
    ],
    ids=repr,
)
def test_errors_of_our_own_and_what_was_not_found(error: Exception, again: bool) -> None:
    """LangGraph takes every answer of requests that is an error for no answer, and asks again."""
    assert (delay(RetryPolicy(), 1, error) is not None) is again


def test_a_policy_may_be_given_in_order() -> None:
    policy = RetryPolicy(0.1, 3.0, 9.0, 4, False, KeyError)
    assert [delay(policy, attempt, KeyError()) for attempt in (1, 2, 3, 4)] == pytest.approx(
        [0.1, 0.3, 0.9, None]
    )
