"""Frames of one run that its subscribers get together."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from runs.queries.event_frames import Page
from streaming.hub.websocket_bytes import PIECE_BYTES, messages

PAGE_BYTES = 32 * 1024  # of a page, unless it is one frame; a client that does not read keeps one
MAX_PAGE_FRAMES = 500
MIN_PAGE_FRAMES = 4

T = TypeVar("T")


class FrameBatch(Page):
    """Frames of one run without a gap between them; it does not change. What all its subscribers
    derive from it is computed once. `first`, `last` and `terminal` need at least one frame."""

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
    def websocket_bytes(self) -> bytes | None:
        """The frames as WebSocket messages; None if they are too long for one write."""
        return b"".join(self.cached(messages)) if self.size <= PIECE_BYTES else None

    def cached(self, make: Callable[[FrameBatch], T]) -> T:
        """The result of `make` for these frames, computed once and kept as long as they are."""
        if make not in self._cache:
            self._cache[make] = make(self)
        value: T = self._cache[make]
        return value

    @cached_property
    def _cache(self) -> dict[Callable[[FrameBatch], Any], Any]:
        return {}

    @property
    def page_limit(self) -> int:
        """How many frames the next page may have, by the mean size of these."""
        mean = self.size // len(self) + 1
        return max(MIN_PAGE_FRAMES, min(PAGE_BYTES // mean, MAX_PAGE_FRAMES))
