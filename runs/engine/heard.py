"""What a task had stated before it was cut short, so that the log says it once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from . import serde
from .events import NODE_STARTED, RETRY

_Said = tuple[str, bytes]


class Heard:
    """The events of one task that are in the log. When the task is run again it is asked for each
    event whether that is one of them.

    A call of the node that failed, and was retried, need not fail again: the events then go on in
    the log with those of a later call, if that one began as the present call did.
    """

    def __init__(self, told: Iterable[_Said]) -> None:
        self._calls: deque[list[_Said]] = deque([[]])
        self._at = 0
        for name, data in told:
            self._calls[-1].append((name, data))
            if name in (NODE_STARTED, RETRY):
                self._calls.append([])

    def again(self, name: str, data: bytes) -> bool:
        """Whether this event, the next one, is in the log. From the first that is not on, the task
        has taken another way, and all it says is new."""
        said = self._calls[0][: self._at] if self._calls else []
        while self._calls:
            call = self._calls[0]
            fits = call[: self._at] == said and self._at < len(call)
            if fits and _same(call[self._at], (name, data)):
                self._step(call)
                return True
            self._calls.popleft()
        return False

    def _step(self, call: list[_Said]) -> None:
        self._at += 1
        if self._at == len(call):
            self._calls.popleft()
            self._at = 0


def _same(one: _Said, other: _Said) -> bool:
    if one == other:
        return True
    return one[0] == other[0] == RETRY and _failure(one[1]) == _failure(other[1])


def _failure(data: bytes) -> tuple[object, object]:
    """What a retry is about, without the wait before it, which may be random."""
    said = serde.loads(data)
    return said.get("attempt"), said.get("error")
