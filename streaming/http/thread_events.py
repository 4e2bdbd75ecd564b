"""Server-sent events of a thread: those of all its runs, and of the runs to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from uuid import UUID

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from runs.errors import Problem
from runs.http.parameters import Parameter, bad_parameter, parse_uuid
from runs.http.viewset import unknown
from runs.models import Thread
from runs.queries import event_frames as log
from runs.queries.event_frames import Frame
from streaming.http.endpoint import Request, or_unavailable, until_disconnect
from streaming.http.run_events import MODE_PARAMETER, EventWriter
from streaming.http.stream_modes import parse_modes
from streaming.http.thread_cursor import ParsedCursor, parse
from streaming.http.thread_log import (
    ForeignCursor,
    ThreadPosition,
    cursor_at,
    in_order,
    newer_runs,
    read_position,
)
from streaming.hub import hub
from streaming.hub.reader import Closed
from streaming.hub.run_feed import FeedSubscriber, Filter, SubscriberTooSlow
from streaming.hub.subscriber import QUEUE_BYTES, QUEUE_FRAMES, Quota, UnknownRun
from streaming.hub.tasks import run_until_first_ends

LOOK_FRAMES, LOOK_BYTES = 500, 512 * 1024  # that are read at once

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
        thread_id = parse_uuid(request.given_id)
        if thread_id is None:
            raise unknown("thread", request.given_id)
        parsed = _given(request, thread_id)
        try:
            async with or_unavailable(request):
                position = await hub.current().read(read_position, thread_id, parsed)
        except ForeignCursor:
            raise _bad_cursor(request) from None
        if position is None:
            raise unknown("thread", request.given_id)
        following = _Following(thread_id, position, EventWriter(send, modes))
        await until_disconnect(receive, following.follow(request))


class _Following:
    """One client of one thread. Its subscribers take turns and share the room of one queue.

    What there was comes first. Then a subscriber of each run that is not over says when there is
    more; and what is new of all of them is sent in the order of its ids, so that the cursor is
    exact. What became visible late is what a subscriber has beyond that."""

    def __init__(self, thread_id: UUID, position: ThreadPosition, writer: EventWriter) -> None:
        self._thread_id = thread_id
        self._position = position
        self._cursor = position.cursor
        self._places = dict(position.places)
        self._seen = position.fence
        self._writer = writer
        self._turn = asyncio.Lock()
        self._quota = Quota(QUEUE_FRAMES, QUEUE_BYTES)
        self._known = set(position.places)
        self._newest_run = position.newest_run
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def follow(self, request: Request) -> None:
        """Send everything. Problem 503 when the beginning cannot be read."""
        changes_filter = Filter(thread_id=self._thread_id)
        incomplete = {run_id: self._position.places[run_id] for run_id in self._position.incomplete}
        past = in_order(incomplete, self._position.fence)
        try:
            async with AsyncExitStack() as stack, aclosing(past):
                async with or_unavailable(request):
                    changes = await stack.enter_async_context(
                        hub.current().feed.subscribe(changes_filter)
                    )
                    first = await anext(past, None)
                await self._writer.begin()
                await self._send(first or ())
                del first  # it may be large, and the stream long
                await run_until_first_ends(
                    self._send_all(past, changes), self._beat(), self._failing()
                )
        except (Closed, SubscriberTooSlow, UnknownRun):
            pass  # the client comes back with its cursor, and gets 404 then for a deleted thread
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._failure.cancel()
        await self._writer.end()

    async def _send_all(
        self, past: AsyncGenerator[Sequence[Frame]], changes: FeedSubscriber
    ) -> None:
        position = self._position
        await self._send_past(past)
        if not position.counted:
            self._cursor = await hub.current().read(cursor_at, self._thread_id, position.fence)
        for run_id in position.places:
            if position.is_finished(run_id, self._places[run_id]):
                del self._places[run_id]
            else:
                self._begin(run_id)
        while True:
            for run_id in await hub.current().read(newer_runs, self._thread_id, self._newest_run):
                if run_id not in self._known:
                    self._known.add(run_id)
                    self._newest_run = max(self._newest_run, run_id)
                    self._begin(run_id)
            await changes.next()

    async def _send_past(self, past: AsyncGenerator[Sequence[Frame]]) -> None:
        async for piece in past:
            async with self._turn:
                await self._send(piece)

    def _begin(self, run_id: UUID) -> None:
        task = asyncio.create_task(self._read_aside(run_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_aside(self, run_id: UUID) -> None:
        try:
            await self._read(run_id)
        except Exception as error:
            if not self._failure.done():
                self._failure.set_exception(error)

    async def _read(self, run_id: UUID) -> None:
        """Send everything of the run. Its deletion alone is no end; that of the thread is."""
        after = self._places.get(run_id, 0)
        opened = hub.current().subscribe(run_id, after=after, quota=self._quota)
        try:
            async with opened as subscriber:
                while not subscriber.ended:
                    await subscriber.ready()
                    async with self._turn:
                        frames = await self._writer.read(subscriber, str(self._cursor))
                        if self._unsent(frames):
                            await self._look()
                            await self._send(frames)
        except UnknownRun:
            if not await hub.current().read(_exists, self._thread_id):
                raise
        self._places.pop(run_id, None)

    async def _look(self) -> None:
        """Send what is new of all runs."""
        more = True
        while more:
            look = hub.current().read(
                log.read_thread, self._thread_id, self._seen, limit=LOOK_FRAMES, size=LOOK_BYTES
            )
            found, self._seen = await self._writer.beside(look, str(self._cursor))
            more = found.more
            await self._send(found)

    async def _send(self, frames: Iterable[Frame]) -> None:
        await self._writer.write(self._unsent(frames), self._advance)

    def _unsent(self, frames: Iterable[Frame]) -> list[Frame]:
        """Those that come next in their runs."""
        places: dict[UUID, int] = {}
        found = []
        for frame in frames:
            place = places.get(frame.run_id, self._places.get(frame.run_id, 0))
            if frame.seq == place + 1:
                places[frame.run_id] = frame.seq
                found.append(frame)
        return found

    def _advance(self, frame: Frame) -> str:
        self._places[frame.run_id] = frame.seq
        self._cursor.sent(frame.id)
        return str(self._cursor)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._writer.until_beat)
            async with self._turn:
                await self._look()  # so that no look has much to go over
                if self._writer.until_beat <= 0:
                    await self._writer.beat(str(self._cursor))

    async def _failing(self) -> None:
        await asyncio.shield(self._failure)


def _given(request: Request, thread_id: UUID) -> ParsedCursor:
    header = request.header(b"last-event-id")
    parsed = parse(thread_id, header or request.values["after"] or "")
    if parsed is None:
        raise _bad_cursor(request)
    return parsed


def _bad_cursor(request: Request) -> Problem:
    detail = "must be the id of an event of this thread's stream, as it was given."
    if request.header(b"last-event-id"):
        return Problem(400, "bad_header", f"Last-Event-ID {detail}")
    return bad_parameter("after", detail)


def _exists(thread_id: UUID) -> bool:
    return Thread.objects.filter(id=thread_id).exists()
