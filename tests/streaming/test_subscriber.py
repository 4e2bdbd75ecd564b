"""A subscriber between the log and the hub: no hole and no double where the two meet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from runs.queries.event_frames import Frame
from streaming.hub.frame_batch import FrameBatch
from streaming.hub.subscriber import QUEUE_FRAMES, Subscriber
from streaming.hub.websocket_bytes import PIECE_BYTES

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

    async def page(self, run_id: UUID, *, after: int, limit: int) -> FrameBatch:
        self.pages.append(after)
        last = min(self.end, after + limit)
        page = FrameBatch(frames(after + 1, last), more=last < self.end)
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
        if self.joined is not None and not self.joined.offer(FrameBatch(new)):
            self.joined = None


async def take(subscriber: Subscriber, last: int) -> list[int]:
    """The seqs up to `last`."""
    seqs: list[int] = []
    async with asyncio.timeout(90):
        while not seqs or seqs[-1] < last:
            seqs += [frame.seq for frame in await subscriber.next()]
    return seqs


async def turns() -> None:
    """Let every task go on until it waits: nothing here waits for more than the event loop."""
    for _ in range(10):
        await asyncio.sleep(0)


def subscribe(
    log: FakeLog, *, after: int = 0, direct_write: Callable[[bytes], bool] | None = None
) -> Subscriber:
    return Subscriber(
        log, RUN, after=after, committed=log.end, finished=False, direct_write=direct_write
    )


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


async def test_subscriber_that_caught_up_while_others_went_on_has_no_gap() -> None:
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


async def test_who_has_all_that_is_known_waits_without_a_page() -> None:
    log = FakeLog(5, head=5)
    subscriber = subscribe(log, after=5)
    task = asyncio.create_task(take(subscriber, 7))
    await turns()
    log.grow(2)
    assert await task == [6, 7]
    assert log.pages == []


async def test_who_has_all_that_was_known_reads_what_others_were_given_since() -> None:
    log = FakeLog(5, head=5)
    subscriber = subscribe(log, after=5)
    log.grow(2)
    assert await take(subscriber, 7) == [6, 7]


async def test_pages_are_small_when_events_are_big() -> None:
    class Big(FakeLog):
        limits: list[int] = []

        async def page(self, run_id: UUID, *, after: int, limit: int) -> FrameBatch:
            self.limits.append(limit)
            seqs = range(after + 1, after + 1 + limit)
            body = b"x" * 30_000
            big = (Frame(run_id=RUN, seq=s, event="custom", body=body) for s in seqs)
            return FrameBatch(big, more=True)

    log = Big(10**6)
    await take(subscribe(log), 80)
    assert log.limits[0] > 10 > log.limits[-1]


class Connection:
    """A direct write of a subscriber, while there is `room`."""

    def __init__(self) -> None:
        self.room = True
        self.written: list[bytes] = []

    def write(self, ready: bytes) -> bool:
        if self.room:
            self.written.append(ready)
        return self.room


async def waiting(subscriber: Subscriber) -> asyncio.Task[list[int]]:
    """Somebody who has sent all that there was, and waits for the next."""
    task = asyncio.create_task(take(subscriber, subscriber.cursor + 1))
    await turns()
    assert not task.done()
    return task


async def test_offered_frames_are_written_directly_to_a_waiting_client() -> None:
    log, connection = FakeLog(5, head=5), Connection()
    subscriber = subscribe(log, direct_write=connection.write)
    await take(subscriber, 5)
    await waiting(subscriber)
    log.grow(1)
    log.grow(2)
    assert connection.written == [b"\x81\x02{}", b"\x81\x02{}" * 2]
    assert (subscriber.cursor, subscriber.waiting) == (8, 0)


async def test_frames_that_cannot_be_written_directly_are_returned_later() -> None:
    log, connection = FakeLog(5, head=5), Connection()
    subscriber = subscribe(log, direct_write=connection.write)
    await take(subscriber, 5)
    task = await waiting(subscriber)
    log.grow(1)
    connection.room = False
    log.grow(1)
    connection.room = True
    log.grow(1)  # after the one that waits, though there would be room
    assert await task == [7, 8]
    log.grow(1)  # nobody waits: the two may not have been sent yet
    assert (await take(subscriber, 9), len(connection.written)) == ([9], 1)


async def test_more_than_one_write_may_hold_is_given_in_its_turn() -> None:
    log, connection = FakeLog(5, head=5), Connection()
    subscriber = subscribe(log, direct_write=connection.write)
    await take(subscriber, 5)
    task = await waiting(subscriber)
    body = b"x" * (PIECE_BYTES + 1)
    assert subscriber.offer(FrameBatch([Frame(run_id=RUN, seq=6, event="custom", body=body)]))
    assert (await task, connection.written) == ([6], [])


async def test_it_ends_when_the_last_event_was_written_directly() -> None:
    log, connection = FakeLog(5, head=5), Connection()
    subscriber = subscribe(log, direct_write=connection.write)
    await take(subscriber, 5)
    task = asyncio.create_task(subscriber.next())
    await turns()
    assert subscriber.offer(FrameBatch([Frame(run_id=RUN, seq=6, event="failed", body=b"{}")]))
    async with asyncio.timeout(90):
        assert not await task
    assert (subscriber.ended, len(connection.written)) == (True, 1)


async def test_a_hole_in_what_it_is_offered_is_read_from_the_log() -> None:
    log = FakeLog(5, head=5)
    subscriber = subscribe(log)
    await take(subscriber, 5)
    task = asyncio.create_task(take(subscriber, 8))
    await turns()
    log.end = 8
    assert not subscriber.offer(FrameBatch(frames(8, 8)))
    assert await task == [6, 7, 8]
