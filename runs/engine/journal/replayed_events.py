"""What a task had stated before it was cut short, so that the log says it once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from runs.engine import serde
from runs.engine.events import CHECKPOINT, NODE_STARTED, RETRY

_Said = tuple[str, bytes]


def forget_inside(
    heard: Mapping[str, dict[str, list[_Said]]], namespace: str, node: str, task_id: str
) -> None:
    """A task is called again, as its retry policy says: what the graphs inside it had stated since
    their last checkpoint is stated once more. `heard` is by namespace, and by task or checkpoint in
    the order of the log."""
    inside = f"{namespace}|{node}:{task_id}" if namespace else f"{node}:{task_id}"
    for place in [one for one in heard if one.startswith(inside)]:
        for about, told in reversed(list(heard[place].items())):
            if told[0][0] == CHECKPOINT:
                break
            del heard[place][about]


class ReplayedEvents:
    """The events of one task that are in the log. When the task is run again it is asked for each
    event whether that is one of them.

    A call of the node that failed, and was retried, need not fail again: the events then go on in
    the log with those of a later call, if that one began as the present call did.
    """

    def __init__(self, told: Iterable[_Said]) -> None:
        self._calls: deque[list[_Said]] = deque([[]])
        self._at = 0
        self._last: bytes | None = None
        for name, data in told:
            if name == RETRY:
                self._last = data
            self._calls[-1].append((name, data))
            if name in (NODE_STARTED, RETRY):
                self._calls.append([])
        self._newest = self._calls[-1]

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

    def retried(self) -> dict[str, Any] | None:
        """What the last retry in the log says, once; what comes now is compared with what the log
        has after it."""
        last, self._last = self._last, None
        if last is None:
            return None
        self._calls, self._at = deque([self._newest]), 0
        said: dict[str, Any] = serde.loads(last)
        return said

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
