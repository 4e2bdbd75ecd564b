"""When a failed node runs again."""

from __future__ import annotations

import random

from .errors import GraphError
from .types import RetryPolicy

#: Errors of the program rather than of the moment: running the node again gives the same.
_PERMANENT = (
    GraphError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    SyntaxError,
    RuntimeError,
    ReferenceError,
    StopIteration,
    StopAsyncIteration,
    TypeError,
    ValueError,
)


def delay(policy: RetryPolicy, attempt: int, error: Exception) -> float | None:
    """Seconds to wait before attempt number `attempt + 1`; None when `error` is final."""
    if attempt >= policy.max_attempts or not _retryable(policy, error):
        return None
    seconds = min(
        policy.max_interval, policy.initial_interval * policy.backoff_factor ** (attempt - 1)
    )
    return seconds + random.random() if policy.jitter else seconds  # noqa: S311


def _retryable(policy: RetryPolicy, error: Exception) -> bool:
    wanted = policy.retry_on
    if wanted is None:
        return not isinstance(error, _PERMANENT)
    if isinstance(wanted, type):
        return isinstance(error, wanted)
    return wanted(error) if callable(wanted) else isinstance(error, tuple(wanted))
