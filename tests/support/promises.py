"""A broken promise of the product is a failure of its own kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class PromiseBroken(AssertionError):
    """Something was lost or doubled, a log has a gap, or an answer is wrong. A test that raises
    this is never run again: the gate fails."""


@contextmanager
def promise(what: str) -> Iterator[None]:
    """Raises PromiseBroken, which names `what`, instead of any AssertionError from the block.
    Wait before the block, not in it: a slow machine breaks no promise."""
    try:
        yield
    except AssertionError as error:
        raise PromiseBroken(f"{what}: {error}") from error


def breaks_promise(error: BaseException | None) -> bool:
    """Whether `error`, what caused it or one of a group of errors is a PromiseBroken."""
    if error is None or isinstance(error, PromiseBroken):
        return error is not None
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return any(map(breaks_promise, (*inner, error.__cause__, error.__context__)))
