"""A subscriber between the log and the hub: no hole and no double where the two meet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from runs.frames import Frame
from streaming.subscriber import QUEUE_FRAMES, Subscriber

RUN = uuid4()


def frames(first: int, last: int) -> list[Frame]:
    return [
        Frame(run_id=RUN, seq=seq, event="custom", body=b"{}") for seq in range(first, last + 1)
    ]


class FakeLog:
    """A log of `end` events, of which the hub has handed out those up to `head`. `meanwhile` is
    called once, after a page was read and before the subscriber has it."""

    def __init__(self, end: int, *, head: int = 0) -> None:
        self.end = end
        self.head = head
        self.pages: list[int] = []
        self.joined: Subscriber | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    async def page(self, run_id: UUID, *, after: int, limit: int) -> list[Frame]:
        self.pages.append(after)
        page = frames(after + 1, min(self.end, after + limit))
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return page

    def join(self, subscriber: Subscriber) -> int:
        self.joined = subscriber
        return self.head

    def grow(self, count: int) -> None:
        """Commit events; the hub hands them out at once."""
        new = frames(self.head + 1, self.end + count)
        self.end = self.head = self.end + count
        if self.joined is not None and not self.joined.offer(new):
            self.joined = None


async def take(subscriber: Subscriber, last: int) -> list[int]:
    """The seqs up to `last`."""
    seqs: list[int] = []
    async with asyncio.timeout(5):
        while not seqs or seqs[-1] < last:
            seqs += [frame.seq for frame in await subscriber.next()]
    return seqs


def subscribe(log: FakeLog, *, after: int = 0) -> Subscriber:
    return Subscriber(log, RUN, after=after, committed=log.end, finished=False)


async def test_events_between_its_page_and_its_joining_are_read_from_the_log() -> None:
    log = FakeLog(5, head=5)
    subscriber = subscribe(log)
    log.meanwhile = lambda: log.grow(3)  # handed out to others only
    first = await take(subscriber, 5)
    second = asyncio.create_task(take(subscriber, 9))
    while log.joined is None:
        await asyncio.sleep(0)
    log.grow(1)
    assert first + await second == list(range(1, 10))


@pytest.mark.parametrize("count", [1, QUEUE_FRAMES, QUEUE_FRAMES + 1])
async def test_events_during_its_second_page_are_not_given_twice(count: int) -> None:
    log = FakeLog(5, head=5)
    subscriber = subscribe(log)
    log.meanwhile = lambda: log.grow(3)
    seqs = await take(subscriber, 5)
    log.meanwhile = lambda: log.grow(count)  # it has joined: this comes into its queue as well
    seqs += await take(subscriber, 8 + count)
    assert seqs == list(range(1, 9 + count))


async def test_one_that_fell_behind_while_others_went_on_closes_the_hole() -> None:
    log = FakeLog(5, head=5)
    subscriber = subscribe(log)
    seqs = await take(subscriber, 5)
    log.grow(QUEUE_FRAMES + 1)
    assert log.joined is None
    assert subscriber.waiting == 0
    log.meanwhile = lambda: log.grow(2)
    seqs += await take(subscriber, log.end)
    log.grow(1)
    seqs += await take(subscriber, log.end)
    assert seqs == list(range(1, log.end + 1))


async def test_pages_are_small_when_events_are_big() -> None:
    class Big(FakeLog):
        limits: list[int] = []

        async def page(self, run_id: UUID, *, after: int, limit: int) -> list[Frame]:
            self.limits.append(limit)
            seqs = range(after + 1, after + 1 + limit)
            return [Frame(run_id=RUN, seq=s, event="custom", body=b"x" * 30_000) for s in seqs]

    log = Big(10**6)
    await take(subscribe(log), 80)
    assert log.limits[0] > 10 > log.limits[-1]
