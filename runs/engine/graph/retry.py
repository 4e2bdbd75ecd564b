"""When a failed node runs again."""

from __future__ import annotations

import random
import sys
from datetime import datetime, timedelta

from runs.engine.concurrency.outside_calls import NoNode
from runs.engine.errors import GraphError, NodeTimeoutError
from runs.engine.types import RetryPolicy

#: Errors of the program, or of the place it runs in, rather than of the moment: running the node
#: again gives the same. The list is LangGraph's.
_PERMANENT = (
    ArithmeticError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    ReferenceError,
    RuntimeError,
    StopAsyncIteration,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
)


def delay(policy: RetryPolicy, attempt: int, error: Exception) -> float | None:
    """Seconds to wait before attempt number `attempt + 1`; None when `error` is final."""
    if attempt >= policy.max_attempts or not _retryable(policy, error):
        return None
    try:
        seconds = policy.initial_interval * float(policy.backoff_factor) ** (attempt - 1)
    except OverflowError:
        seconds = policy.max_interval if policy.initial_interval else 0.0
    seconds = min(policy.max_interval, seconds)
    return seconds + random.random() if policy.jitter else seconds  # noqa: S311


def moment(now: datetime, seconds: float) -> datetime:
    """When a wait of so many seconds is over."""
    return now + timedelta(seconds=seconds)


def _retryable(policy: RetryPolicy, error: Exception) -> bool:
    wanted = policy.retry_on
    if wanted is None:
        return _may_pass(error)
    if isinstance(wanted, type):
        return isinstance(error, wanted)
    if not callable(wanted):
        return isinstance(error, tuple(wanted))
    with NoNode("the retry_on of a policy"):
        return bool(wanted(error))


def _may_pass(error: Exception) -> bool:
    """Whether it may go better next time, for all that is known of the class of `error`."""
    if isinstance(error, (ConnectionError, NodeTimeoutError)):
        return True
    if isinstance(error, GraphError):
        return False
    # Looked up, not imported: who raises their errors has imported them.
    for module, name in (("httpx", "HTTPStatusError"), ("requests", "HTTPError")):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            response = getattr(error, "response", None)
            return response is None or 500 <= response.status_code < 600
    return not isinstance(error, _PERMANENT)
