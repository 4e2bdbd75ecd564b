"""Server-sent events: a run's events over plain HTTP, for `EventSource` and for `curl -N`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from runs.engine.events import STREAM_MODES
from runs.errors import Problem
from runs.http.parameters import EVENTS_AFTER, Parameter
from runs.queries.event_frames import Frame
from streaming.cursors import parse_seq
from streaming.http.endpoint import Request, or_unavailable, subscribed, until_disconnect
from streaming.http.stream_modes import Modes, parse_modes
from streaming.hub.frame_batch import FrameBatch
from streaming.hub.reader import Closed
from streaming.hub.subscriber import Subscriber, UnknownRun

MOMENT = 1.0  # seconds that a due comment waits for a read
BEAT = 15.0  # seconds without a byte, after which a comment keeps the connection from being cut
PIECE = 16 * 1024  # bytes that are handed over at once
RETRY = 1000  # milliseconds after which a client whose stream was cut comes back

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # nginx hands on each piece as it comes
)
OPENING = f"retry: {RETRY}\n: events in order, from your cursor\n\n".encode()

T = TypeVar("T")

MODE_PARAMETER = Parameter(
    name="modes",
    help=f"Only what these modes show, with commas between them: {', '.join(STREAM_MODES)}."
    " What tells how the run itself fares is always sent.",
)


class RunStream:
    """`/api/runs/{id}/stream`: every event after the cursor, past ones, then live ones; it ends
    after the run's last. A client that comes back after that is answered 204, which tells
    `EventSource` to stop."""

    parameters = (EVENTS_AFTER, MODE_PARAMETER)

    async def __call__(
        self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        modes = parse_modes(request.values["modes"])
        after = last_event_id(request, request.values["after"])
        async with subscribed(request, after=after) as subscriber:
            if subscriber.ended:
                await _nothing_more(send)
            else:
                await until_disconnect(
                    receive, _follow(request, subscriber, EventWriter(send, modes))
                )


async def _follow(request: Request, subscriber: Subscriber, writer: EventWriter) -> None:
    async with or_unavailable(request):  # an answer that has begun can say no more what is wrong
        frames = await subscriber.now()
    await writer.begin()
    try:
        await writer.write_run(frames)
        del frames  # they may be large, and the stream long
        while not subscriber.ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(writer.until_beat):
                    await subscriber.ready()
            if writer.until_beat <= 0:
                await writer.beat(str(subscriber.cursor))
            else:
                await writer.write_run(await writer.read(subscriber, str(subscriber.cursor)))
    except (Closed, UnknownRun):
        pass  # the client comes back with its cursor, and gets 404 then if the run was deleted
    await writer.end()


class EventWriter:
    """Writes one answer. The client's cursor is the last `id` that it was sent; a comment moves it
    past the events that the modes leave out."""

    def __init__(self, send: ASGISendCallable, modes: Modes) -> None:
        self._send = send
        self._modes = modes
        self._loop = asyncio.get_running_loop()
        self._beat_at = 0.0

    @property
    def until_beat(self) -> float:
        """Seconds until the next comment is due."""
        return self._beat_at - self._loop.time()

    async def begin(self) -> None:
        headers = list(HEADERS)
        await self._send(
            {"type": "http.response.start", "status": 200, "headers": headers, "trailers": False}
        )
        await self._write(OPENING)

    async def write(self, frames: Sequence[Frame], cursor: Callable[[Frame], str]) -> None:
        """Send those of `frames` that the modes let through; `cursor` makes the `id` of each."""
        for piece in pieces(frames, self._modes, cursor):
            await self._write(piece)

    async def write_run(self, frames: FrameBatch) -> None:
        """The same for a stream of one run, where the seq of each is its `id`."""
        if not self._modes.all:
            await self.write(frames, _seq)
            return
        for piece in frames.cached(_unfiltered):
            await self._write(piece)

    async def read(self, subscriber: Subscriber, cursor: str) -> FrameBatch:
        """The frames that the subscriber has now. Comments are sent while the log is read."""
        if not subscriber.is_catching_up:
            return await subscriber.now()
        return await self.beside(subscriber.now(), cursor)

    async def beside(self, reading: Coroutine[Any, Any, T], cursor: str) -> T:
        """The result of `reading`; comments are sent while it takes long."""
        task = asyncio.ensure_future(reading)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=max(self.until_beat, MOMENT))
                if not task.done():
                    await self.beat(cursor)
            return task.result()
        finally:
            task.cancel()

    async def beat(self, cursor: str) -> None:
        """Send a comment, and where the client is."""
        place = f"id: {cursor}\n" if cursor else ""
        await self._write(f": still here\n{place}\n".encode())

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._beat_at = self._loop.time() + BEAT


def _seq(frame: Frame) -> str:
    return str(frame.seq)


def pieces(
    frames: Iterable[Frame], modes: Modes, cursor: Callable[[Frame], str]
) -> Iterator[bytes]:
    """Those of `frames` that the modes let through, in pieces of about PIECE bytes."""
    piece = bytearray()
    for frame in frames:
        now = cursor(frame)
        if modes.allows(frame):
            piece += lines(frame, now)
        if len(piece) > PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _unfiltered(frames: FrameBatch) -> Sequence[bytes]:
    return tuple(pieces(frames, Modes(), _seq))


def lines(frame: Frame, cursor: str) -> bytes:
    """The frame as server-sent event; `data` are the bytes that every other client gets."""
    body = b"\ndata: ".join(frame.body.splitlines())
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (cursor.encode(), frame.event.encode(), body)


def last_event_id(request: Request, otherwise: int) -> int:
    """The cursor: `Last-Event-ID` of a client that comes back goes before its address, which is
    that of its first try."""
    given = request.header(b"last-event-id")
    if not given:
        return otherwise
    seq = parse_seq(given)
    if seq is None:
        detail = "Last-Event-ID must be the id of an event of this stream, a whole number."
        raise Problem(400, "bad_header", detail)
    return seq


async def _nothing_more(send: ASGISendCallable) -> None:
    headers = [(b"cache-control", b"no-store")]
    await send(
        {"type": "http.response.start", "status": 204, "headers": headers, "trailers": False}
    )
    await send({"type": "http.response.body", "body": b"", "more_body": False})
