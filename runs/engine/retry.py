"""When a failed node runs again."""

from __future__ import annotations

import random
import sys

from .errors import GraphError, NodeTimeoutError
from .types import RetryPolicy

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
    seconds = min(
        policy.max_interval, policy.initial_interval * policy.backoff_factor ** (attempt - 1)
    )
    return seconds + random.random() if policy.jitter else seconds  # noqa: S311


def _retryable(policy: RetryPolicy, error: Exception) -> bool:
    wanted = policy.retry_on
    if wanted is None:
        return _may_pass(error)
    if isinstance(wanted, type):
        return isinstance(error, wanted)
    return wanted(error) if callable(wanted) else isinstance(error, tuple(wanted))


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
