"""Server-sent events of a thread: those of all its runs, and of the runs to come."""

from __future__ import annotations

import asyncio
from uuid import UUID

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from django.db.models import Q

from runs.api.base import unknown
from runs.api.parameters import Parameter, bad_parameter, parse_uuid
from runs.errors import Problem
from runs.models import TERMINAL, Run, Thread
from streaming import hub
from streaming.conversation import together
from streaming.endpoint import Request, while_there
from streaming.event_stream import MODE_PARAMETER, EventWriter
from streaming.feed import FeedSubscriber, Filter, Lagging
from streaming.modes import parse_modes
from streaming.reader import Closed
from streaming.subscriber import QUEUE_BYTES, QUEUE_FRAMES, Room, UnknownRun
from streaming.thread_cursor import ThreadCursor

CURSOR = Parameter(
    name="after", high=8000, help="The `id` of an event of this stream: go on after it."
)


class ThreadStream:
    """`/api/threads/{id}/stream`: each run's events in order; those of runs that are under way at
    the same time in the order in which they come. It does not end: a thread may always go on."""

    parameters = (CURSOR, MODE_PARAMETER)

    async def __call__(
        self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        modes = parse_modes(request.values["modes"])
        cursor = _cursor(request)
        thread_id = parse_uuid(request.given_id)
        if thread_id is None or not await hub.current().read(_exists, thread_id):
            raise unknown("thread", request.given_id)
        following = _Following(thread_id, cursor, EventWriter(send, modes))
        await while_there(receive, following.follow())


class _Following:
    """One client of one thread. Its subscribers take turns and share the room of one queue."""

    def __init__(self, thread_id: UUID, cursor: ThreadCursor, writer: EventWriter) -> None:
        self._thread_id = thread_id
        self._cursor = cursor
        self._writer = writer
        self._turn = asyncio.Lock()
        self._room = Room(QUEUE_FRAMES, QUEUE_BYTES)
        self._begun: set[UUID] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def follow(self) -> None:
        await self._writer.begin()
        try:
            async with hub.current().feed.subscribe(Filter(thread_id=self._thread_id)) as changes:
                await together(self._discover(changes), self._beat(), self._failing())
        except (Closed, Lagging, UnknownRun):
            pass  # the client comes back with its cursor, and is told of a deleted thread then
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._failure.cancel()
        await self._writer.end()

    async def _discover(self, changes: FeedSubscriber) -> None:
        while True:
            found = await hub.current().read(_runs, self._thread_id, self._cursor)
            for run_id, status in found:
                if run_id not in self._begun:
                    await self._begin(run_id, over=status in TERMINAL)
            await changes.next()

    async def _begin(self, run_id: UUID, *, over: bool) -> None:
        self._begun.add(run_id)
        after = self._cursor.begin(run_id)
        if over:  # one after the other: there may be thousands
            await self._read(run_id, after)
            return
        task = asyncio.create_task(self._read_aside(run_id, after))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_aside(self, run_id: UUID, after: int) -> None:
        try:
            await self._read(run_id, after)
        except Exception as error:
            if not self._failure.done():
                self._failure.set_exception(error)

    async def _read(self, run_id: UUID, after: int) -> None:
        """Send everything of the run. Its deletion alone is no end; that of the thread is."""
        opened = hub.current().subscribe(run_id, after=after, room=self._room)
        try:
            async with opened as subscriber:
                while not subscriber.ended:
                    await subscriber.ready()
                    async with self._turn:
                        await self._writer.write(await subscriber.now(), self._advance)
        except UnknownRun:
            if not await hub.current().read(_exists, self._thread_id):
                raise
        self._cursor.end(run_id)

    def _advance(self, run_id: UUID, seq: int) -> str:
        self._cursor.places[run_id] = seq
        return str(self._cursor)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._writer.until_beat)
            async with self._turn:
                if self._writer.until_beat <= 0:
                    await self._writer.beat(str(self._cursor))

    async def _failing(self) -> None:
        await asyncio.shield(self._failure)


def _cursor(request: Request) -> ThreadCursor:
    header = request.header(b"last-event-id")
    cursor = ThreadCursor.parse(header or request.values["after"] or "")
    if cursor is not None:
        return cursor
    if header:
        raise Problem(400, "bad_header", "Last-Event-ID must be the id of an event of this stream.")
    raise bad_parameter("after", "must be the id of an event of this stream.")


def _exists(thread_id: UUID) -> bool:
    return Thread.objects.filter(id=thread_id).exists()


def _runs(thread_id: UUID, cursor: ThreadCursor) -> list[tuple[UUID, str]]:
    """The runs of the thread of which not everything was sent, the oldest first."""
    wanted = Q(id__gt=cursor.horizon) | Q(id__in=list(cursor.places))
    runs = Run.objects.filter(wanted, thread_id=thread_id).order_by("id")
    return list(runs.values_list("id", "status"))
