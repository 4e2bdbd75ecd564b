"""Server-sent events: a run's events over plain HTTP, for `EventSource` and for `curl -N`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from runs.api.parameters import Parameter
from runs.engine.events import STREAM_MODES
from runs.errors import Problem
from runs.frames import Frame
from streaming.batch import Batch
from streaming.cursors import parse_seq
from streaming.endpoint import AFTER, Request, answerable, subscribed, while_there
from streaming.modes import Modes, parse_modes
from streaming.reader import Closed
from streaming.subscriber import Subscriber, UnknownRun

MOMENT = 1.0  # seconds that a comment which is due waits for what is being read
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

    parameters = (AFTER, MODE_PARAMETER)

    async def __call__(
        self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        modes = parse_modes(request.values["modes"])
        after = last_event_id(request, request.values["after"])
        async with subscribed(request, after=after) as subscriber:
            if subscriber.ended:
                await _nothing_more(send)
            else:
                await while_there(receive, _follow(request, subscriber, EventWriter(send, modes)))


async def _follow(request: Request, subscriber: Subscriber, writer: EventWriter) -> None:
    async with answerable(request):  # an answer that has begun can say no more what is wrong
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
        pass  # the client comes back with its cursor, and is told of a deleted run then
    await writer.end()


class EventWriter:
    """One answer on its way. The cursor that the client keeps is the `id` of what it was sent;
    what the modes left out since is told with the next comment."""

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

    async def write_run(self, frames: Batch) -> None:
        """The same for a stream of one run, where the seq of each is its `id`."""
        if not self._modes.all:
            await self.write(frames, _seq)
            return
        for piece in frames.once(_unfiltered):
            await self._write(piece)

    async def read(self, subscriber: Subscriber, cursor: str) -> Batch:
        """What the subscriber has now; with comments while the log cannot be read."""
        if not subscriber.behind:
            return await subscriber.now()
        return await self.beside(subscriber.now(), cursor)

    async def beside(self, reading: Coroutine[Any, Any, T], cursor: str) -> T:
        """What `reading` gives; comments are sent when that takes long."""
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
        if modes.let(frame):
            piece += lines(frame, now)
        if len(piece) > PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _unfiltered(frames: Batch) -> Sequence[bytes]:
    return tuple(pieces(frames, Modes(), _seq))


def lines(frame: Frame, cursor: str) -> bytes:
    """The frame as server-sent event; `data` are the bytes that every other client gets."""
    body = b"\ndata: ".join(frame.body.splitlines())
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (cursor.encode(), frame.event.encode(), body)


def last_event_id(request: Request, otherwise: int) -> int:
    """The cursor: what a client that comes back says in `Last-Event-ID`, before what its address
    has said since its first try."""
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
