"""How many requests of this process wait for a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runs.conf import conf
from runs.errors import Problem

_waiting = 0


@contextmanager
def counted() -> Iterator[None]:
    """A block that waits for a run. Problem 503 when `max_waits` requests do so already."""
    global _waiting
    most = conf().max_waits
    if _waiting >= most:
        detail = (
            f"{most:,} requests wait for runs at the moment (FASTGRAPH_MAX_WAITS). Try again in a"
            " few seconds, or ask without waiting."
        )
        raise Problem(503, "too_many_waits", detail)
    _waiting += 1
    try:
        yield
    finally:
        _waiting -= 1
