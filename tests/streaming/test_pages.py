"""Pages of the log: read once for all who want them, and never older than the question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from runs.queries.event_frames import Frame, Page
from streaming.hub.hub import Hub
from streaming.hub.log_pages import PAGE_READS, Pages
from streaming.hub.reader import Closed
from tests.streaming.journal_rows import append, committed, create_run
from tests.streaming.test_hub import NEVER, follow

RUN = uuid4()


class Log:
    """A log of `end` events, whose reads see what is there when they begin, and end when `let`."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.reads = 0
        self.gate = asyncio.Event()

    async def once(
        self, query: Callable[..., Any], after: dict[Any, int], *, limit: int, size: int
    ) -> Page:
        self.reads += 1
        first, last, end = after[RUN] + 1, min(self.end, after[RUN] + limit), self.end
        await self.gate.wait()
        seqs = range(first, last + 1)
        found = [Frame(run_id=RUN, seq=s, event="custom", body=b"{}") for s in seqs]
        return Page(found, more=last < end)

    def pages(self) -> Pages:
        return Pages(self)  # type: ignore[arg-type]  # what it needs of a Reader


async def turn() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def asked(pages: Pages, count: int = 1, *, after: int = 0) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(pages.page(RUN, after=after, limit=5)) for _ in range(count)]


async def seqs(tasks: list[asyncio.Task[Any]]) -> list[list[int]]:
    async with asyncio.timeout(90):
        return [[frame.seq for frame in page] for page in await asyncio.gather(*tasks)]


async def test_a_full_page_is_read_once_for_all_who_ask_before_it_is_there() -> None:
    log = Log(10)
    pages = log.pages()
    tasks = asked(pages, 50)
    await turn()
    tasks += asked(pages, 50)
    log.gate.set()
    assert await seqs(tasks) == [[1, 2, 3, 4, 5]] * 100
    assert log.reads == 1


async def test_a_page_that_somebody_holds_is_not_read_again() -> None:
    log = Log(10)
    log.gate.set()
    pages = log.pages()
    page = await pages.page(RUN, after=0, limit=5)
    assert await pages.page(RUN, after=0, limit=5) is page
    assert log.reads == 1
    del page
    await turn()
    await pages.page(RUN, after=0, limit=5)
    assert log.reads == 2


async def test_what_is_there_when_somebody_asks_is_in_its_page() -> None:
    log = Log(3)
    pages = log.pages()
    early = asked(pages)
    await turn()
    log.end = 4
    late = asked(pages, 20)
    await turn()
    log.gate.set()
    assert await seqs(early) == [[1, 2, 3]]
    assert await seqs(late) == [[1, 2, 3, 4]] * 20
    assert log.reads == 2


async def test_who_leaves_takes_the_page_from_nobody() -> None:
    log = Log(10)
    pages = log.pages()
    first, second = asked(pages, 2)
    await turn()
    first.cancel()
    await turn()
    log.gate.set()
    assert await seqs([second]) == [[1, 2, 3, 4, 5]]
    assert first.cancelled()


async def test_what_nobody_wants_any_more_is_not_read() -> None:
    log = Log(1000)
    pages = log.pages()
    tasks = [task for after in range(0, 500, 5) for task in asked(pages, after=after)]
    await turn()
    for task in tasks:
        task.cancel()
    again = asked(pages, after=495)
    await turn()
    log.gate.set()
    assert await seqs(again) == [[496, 497, 498, 499, 500]]
    assert log.reads == PAGE_READS + 1


async def test_failure_is_raised_for_all_and_forgotten() -> None:
    log = Log(10)
    pages = log.pages()

    async def refuse(*_: Any, **__: Any) -> Any:
        raise Closed

    log.once, once = refuse, log.once  # type: ignore[method-assign]
    for outcome in await asyncio.gather(*asked(pages, 3), return_exceptions=True):
        assert isinstance(outcome, Closed)
    log.once = once  # type: ignore[method-assign]
    log.gate.set()
    assert await seqs(asked(pages)) == [[1, 2, 3, 4, 5]]


async def test_different_pages_take_turns() -> None:
    log = Log(100)
    pages = log.pages()
    tasks = [task for after in range(0, 50, 5) for task in asked(pages, after=after)]
    await turn()
    assert log.reads == PAGE_READS
    log.gate.set()
    await seqs(tasks)
    assert log.reads == 10


async def test_a_crowd_that_comes_back_reads_each_page_about_once() -> None:
    run_id = await committed(create_run, "started", *["custom"] * 400)
    await committed(append, run_id, "completed")
    own = Hub(slow_poll=NEVER)
    alone = await follow(own, run_id)
    pages = own.page_reads
    crowd = await asyncio.gather(*(follow(own, run_id) for _ in range(100)))
    assert crowd == [alone] * 100
    assert alone == list(range(1, 404))
    assert own.page_reads - pages < 10 * pages  # of 100 times as many
    await own.close()


async def test_an_empty_page_is_read_again_though_there_is_more() -> None:
    """Its events were deleted between the two questions for them."""

    class Deleted(Log):
        async def once(self, query: Callable[..., Any], *args: Any, **kwargs: Any) -> Page:
            page = await super().once(query, *args, **kwargs)
            return page if self.reads > 1 else Page(more=True)

    log = Deleted(3)
    log.gate.set()
    pages = log.pages()
    first = await pages.page(RUN, after=0, limit=5)
    assert (list(first), first.more) == ([], True)
    assert await seqs(asked(pages)) == [[1, 2, 3]]
