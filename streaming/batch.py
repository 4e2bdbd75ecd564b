"""Frames of one run that are handed out together, to everybody who follows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from runs.frames import Page
from streaming import wire

PAGE_BYTES = 32 * 1024  # what a page may weigh, unless it is one frame; who does not read holds one
LONGEST_PAGE = 500
SHORTEST_PAGE = 4

T = TypeVar("T")


class Batch(Page):
    """Frames of one run, which follow each other without a gap and do not change. What is the same
    for all who are given them is worked out once. Only of one that is not empty can be asked which
    is the `first`, the `last`, and whether that is `terminal`."""

    @property
    def first(self) -> int:
        return self[0].seq

    @property
    def last(self) -> int:
        return self[-1].seq

    @property
    def terminal(self) -> bool:
        return self[-1].terminal

    @cached_property
    def size(self) -> int:
        return sum(len(frame.body) for frame in self)

    @cached_property
    def ready(self) -> bytes | None:
        """WebSocket messages, when they are not too much for one write."""
        return b"".join(self.once(wire.messages)) if self.size <= wire.PIECE else None

    def once(self, make: Callable[[Batch], T]) -> T:
        """What `make` makes of these frames, made once for all who ask, and held as long as they
        are."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    @cached_property
    def _made(self) -> dict[Callable[[Batch], Any], Any]:
        return {}

    @property
    def page_limit(self) -> int:
        """How many frames the next page may have, when these weigh so much."""
        mean = self.size // len(self) + 1
        return max(SHORTEST_PAGE, min(PAGE_BYTES // mean, LONGEST_PAGE))
