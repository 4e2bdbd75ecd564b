"""Doorbells are listened to while somebody wants to hear them, and a little longer."""

from __future__ import annotations

import asyncio

import pytest

from streaming import doorbell
from streaming.doorbell import Doorbells, Ring
from tests.streaming.sockets import until


def _unheard(*, ended: bool = True) -> None:
    pass


class Bell:
    """Counts who begins and who stops to listen to it; `ring` is heard by those who do."""

    def __init__(self) -> None:
        self.begun = self.stopped = 0
        self.ring: Ring = _unheard

    async def listen(self, ring: Ring) -> None:
        self.begun += 1
        self.ring = ring
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped += 1


async def visit(doorbells: Doorbells, bell: Bell) -> None:
    """Come, hear it ring, and go."""
    event = asyncio.Event()
    with doorbells.heard_by(event):
        await until(lambda: bell.begun > bell.stopped, "it is listened to")
        bell.ring()
        assert event.is_set()


async def test_who_waits_for_ends_hears_nothing_else() -> None:
    bell = Bell()
    doorbells = Doorbells([bell])
    anything, ends = asyncio.Event(), asyncio.Event()
    with doorbells.heard_by(anything), doorbells.heard_by(ends, ends_only=True):
        await until(lambda: bell.begun, "it is listened to")
        bell.ring(ended=False)
        assert (anything.is_set(), ends.is_set()) == (True, False)
        bell.ring(ended=True)
        assert ends.is_set()
    await doorbells.close()


async def test_who_comes_soon_after_another_finds_them_listened_to() -> None:
    bell = Bell()
    doorbells = Doorbells([bell])
    for _ in range(3):
        await visit(doorbells, bell)
    assert (bell.begun, bell.stopped) == (1, 0)
    await doorbells.close()
    assert bell.stopped == 1


async def test_after_a_while_they_are_left_and_begun_again_when_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doorbell, "LINGER", 0.01)
    bell = Bell()
    doorbells = Doorbells([bell])
    for visits in (1, 2):
        await visit(doorbells, bell)
        await until(lambda: bell.stopped == bell.begun, "nobody listens")
        assert bell.begun == visits
    await doorbells.close()


async def test_one_of_several_who_leaves_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "LINGER", 0.0)
    bell = Bell()
    doorbells = Doorbells([bell])
    with doorbells.heard_by(asyncio.Event()):
        await visit(doorbells, bell)
        await asyncio.sleep(0)
        await visit(doorbells, bell)
        assert (bell.begun, bell.stopped) == (1, 0)
    await doorbells.close()
