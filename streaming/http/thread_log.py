"""The events of a thread's runs, in the order in which they were recorded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from heapq import heapify, heappop, heappush
from itertools import takewhile
from operator import or_
from uuid import UUID

from django.db.models import Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from runs.models import TERMINAL, Event, Run, Thread
from runs.queries.event_frames import Frame, Page
from streaming.http.thread_cursor import ParsedCursor, ThreadCursor
from streaming.hub import hub

PIECE = 32 * 1024  # bytes that are given at once
PAGE = 64  # events of one run that are read at once
KEPT = 4 * 2**20  # bytes of events that wait for the turns of their runs
HEADS = 200  # runs that are asked for in one query
LATE_RUN = 60_000  # milliseconds by which a run may become visible after one that is newer


class ForeignCursor(Exception):
    """A cursor of an earlier version that this thread cannot have issued."""


@dataclass(frozen=True, kw_only=True)
class ThreadPosition:
    """Where a client with `cursor` stands: the place of each run, and which have more already.
    `ends` has the last seq of those that have ended, `fence` is the newest event that there was.
    Not `counted`: the client came with a cursor of an earlier version, which counts nothing."""

    fence: int
    cursor: ThreadCursor
    counted: bool
    places: Mapping[UUID, int]
    incomplete: frozenset[UUID]
    ends: Mapping[UUID, int]
    newest_run: UUID

    def is_finished(self, run_id: UUID, place: int) -> bool:
        """Whether everything of the run was sent, when it was sent up to `place`."""
        return run_id in self.ends and place >= self.ends[run_id]


def read_position(thread_id: UUID, parsed: ParsedCursor) -> ThreadPosition | None:
    """Where a client with that cursor stands; None when there is no such thread. ForeignCursor when
    the cursor is not of this thread."""
    if not Thread.objects.filter(id=thread_id).exists():
        return None
    fence = Event.objects.aggregate(newest=Max("id"))["newest"] or 0  # before the runs are read
    cursor = cursor_at(thread_id, parsed.last)
    if cursor.total > parsed.count:
        cursor = cursor_at(thread_id, max(cursor.floor - 1, 0))
    elif parsed.last > fence:  # deleted since, or of a later state of the database
        cursor = cursor_at(thread_id, fence)
    runs = _places(thread_id, cursor.last)
    if parsed.places:
        runs = _old_places(thread_id, runs, parsed.places)
    return ThreadPosition(
        fence=fence,
        cursor=cursor,
        counted=not parsed.places,
        places={run_id: place for run_id, _, _, place in runs},
        incomplete=frozenset(run_id for run_id, _, seq, place in runs if place < seq),
        ends={run_id: seq for run_id, status, seq, _ in runs if status in TERMINAL},
        newest_run=max((run_id for run_id, *_ in runs), default=UUID(int=0)),
    )


def cursor_at(thread_id: UUID, last: int) -> ThreadCursor:
    """The cursor of a client that was sent all events up to the one with the id `last`."""
    cursor = ThreadCursor(thread_id, last)
    if last:
        events = Event.objects.filter(run__thread_id=thread_id, id__gte=cursor.floor)
        cursor.count(events.filter(id__lte=last).values_list("id", flat=True))
    return cursor


def newer_runs(thread_id: UUID, newest: UUID) -> list[UUID]:
    """The runs of the thread that may have become visible since `newest` did."""
    horizon = UUID(int=max((newest.int >> 80) - LATE_RUN, 0) << 80)
    runs = Run.objects.filter(thread_id=thread_id, id__gt=horizon)
    return list(runs.order_by("id").values_list("id", flat=True))


_Place = tuple[UUID, str, int, int]


def _places(thread_id: UUID, last: int) -> list[_Place]:
    """Each run of the thread: its status, its newest seq, and that of its newest event up to the
    one with the id `last`."""
    if not last:
        runs = Run.objects.filter(thread_id=thread_id).order_by("id")
        return [(*row, 0) for row in runs.values_list("id", "status", "seq")]
    before = Event.objects.filter(run_id=OuterRef("id"), id__lte=last).order_by("-seq")
    place = Coalesce(Subquery(before.values("seq")[:1]), 0)
    placed = Run.objects.filter(thread_id=thread_id).annotate(place=place).order_by("id")
    return list(placed.values_list("id", "status", "seq", "place"))


def _old_places(
    thread_id: UUID, runs: Sequence[_Place], listed: Mapping[UUID, int]
) -> list[_Place]:
    """The places of the runs by a cursor of an earlier version. A run that has ended, is older than
    the newest that it lists, and is not listed, is over. What it lists and is deleted counts for
    nothing."""
    if Run.objects.filter(id__in=listed).exclude(thread_id=thread_id).exists():
        raise ForeignCursor
    newest = max((run_id.int for run_id, *_ in runs if run_id in listed), default=0)
    horizon = max((newest >> 80) - LATE_RUN, 0) << 80
    places: list[_Place] = []
    for run_id, status, seq, _ in runs:
        over = status in TERMINAL and run_id.int <= horizon
        place = listed.get(run_id, seq if over else 0)
        if place > seq:
            raise ForeignCursor
        places.append((run_id, status, seq, place))
    return places


async def in_order(places: Mapping[UUID, int], fence: int) -> AsyncGenerator[Sequence[Frame]]:
    """What the runs have beyond their `places`, up to the event `fence`, in pieces. Of each run a
    page is read when it is its turn; of what is left of the pages no more than `KEPT` bytes are
    kept, and the rest is read again."""
    runs = dict(places)
    heap = await _heads(runs)
    pages = _Pages()
    piece: list[Frame] = []
    while heap and heap[0][0] <= fence:
        event_id, run_id = heappop(heap)
        page = pages.pop(run_id)
        if page is None:
            page = await hub.current().page(run_id, after=runs[run_id], limit=PAGE)
        before = min(heap[0][0], fence + 1) if heap else fence + 1
        before = max(before, event_id + 1)  # the next of another run may be guessed to be this one
        count = sum(1 for _ in takewhile(lambda frame: frame.id < before, page))  # noqa: B023
        if count:
            piece += page[:count]
            runs[run_id], event_id = page[count - 1].seq, page[count - 1].id
        if left := page[count:]:
            pages.keep(run_id, Page(left, more=page.more))
            heappush(heap, (left[0].id, run_id))
        elif page.more:
            heappush(heap, (event_id + 1, run_id))
        if _size(piece) > PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


class _Pages:
    """What is left of the pages of runs whose turn is later."""

    def __init__(self) -> None:
        self._pages: dict[UUID, Page] = {}
        self._size = 0

    def keep(self, run_id: UUID, page: Page) -> None:
        """Keep the page, if there is room."""
        size = _size(page)
        if self._size + size <= KEPT:
            self._pages[run_id] = page
            self._size += size

    def pop(self, run_id: UUID) -> Page | None:
        """The page of the run, which is not kept any more; None when there is none."""
        page = self._pages.pop(run_id, None)
        if page is not None:
            self._size -= _size(page)
        return page


def _size(frames: Sequence[Frame]) -> int:
    return sum(len(frame.body) for frame in frames)


async def _heads(places: Mapping[UUID, int]) -> list[tuple[int, UUID]]:
    """The id of the next event of each run, as a heap."""
    found: list[tuple[int, UUID]] = []
    runs = list(places.items())
    for start in range(0, len(runs), HEADS):
        found += await hub.current().read(_next_events, runs[start : start + HEADS])
    heapify(found)
    return found


def _next_events(places: Sequence[tuple[UUID, int]]) -> list[tuple[int, UUID]]:
    condition = reduce(or_, (Q(run_id=run_id, seq=seq + 1) for run_id, seq in places))
    return list(Event.objects.filter(condition).values_list("id", "run_id"))
