"""The runs that one client follows on one socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from streaming.hub import hub
from streaming.hub.frame_batch import FrameBatch
from streaming.hub.subscriber import QUEUE_BYTES, QUEUE_FRAMES, Quota, UnknownRun
from streaming.websocket.url_params import CloseSocket

MAX_SUBSCRIPTIONS = 500  # runs that one socket may follow


class FrameSink(Protocol):
    """Sends to the client. Each method returns when there is room for more."""

    async def send_body(self, body: bytes) -> None: ...

    async def send_frames(self, frames: FrameBatch) -> None: ...


class Subscriptions:
    """Follows runs and sends their frames; `answer` sends frames of the socket between them.

    One subscription at a time reads and sends, so a client that does not read holds one page of
    one log in memory, whatever it subscribed to; and all of them share the room of one queue.
    """

    def __init__(self, sink: FrameSink) -> None:
        self._sink = sink
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turn = asyncio.Lock()
        self._quota = Quota(QUEUE_FRAMES, QUEUE_BYTES)
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    async def subscribe(
        self, run_id: UUID, *, after: int, first_frame: Callable[[int], bytes]
    ) -> None:
        """Follow `run_id` from `after`, in place of an older subscription to it. `first_frame`
        makes the first frame from the run's newest seq.

        Raises CloseSocket 4429 if there are too many.
        """
        await self.unsubscribe(run_id)
        if len(self._tasks) >= MAX_SUBSCRIPTIONS:
            raise CloseSocket(4429, f"a socket may follow {MAX_SUBSCRIPTIONS} runs")
        following = self._follow(run_id, after, first_frame)
        self._tasks[run_id] = asyncio.create_task(following)

    async def unsubscribe(self, run_id: UUID) -> None:
        """No frame of the run is sent after this."""
        task = self._tasks.pop(run_id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def answer(self, frame: bytes) -> None:
        """Send a frame of the socket itself."""
        async with self._turn:
            await self._sink.send_body(frame)

    async def failing(self) -> None:
        """Raise the failure of a subscription: the client has left, the server stops, or a bug."""
        await asyncio.shield(self._failure)

    async def close(self) -> None:
        """End all of them."""
        if not self._failure.cancel() and not self._failure.cancelled():
            self._failure.exception()  # mark it as retrieved
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _follow(self, run_id: UUID, after: int, first_frame: Callable[[int], bytes]) -> None:
        try:
            await self.answer(end(run_id, await self._read(run_id, after, first_frame)))
        except Exception as error:
            if not self._failure.done():
                self._failure.set_exception(error)
        finally:
            # Not one that has taken this one's place meanwhile.
            if self._tasks.get(run_id) is asyncio.current_task():
                del self._tasks[run_id]

    async def _read(self, run_id: UUID, after: int, first_frame: Callable[[int], bytes]) -> int:
        """Send everything. Returns the close code that a socket of this run alone would get."""
        with contextlib.suppress(UnknownRun):
            async with hub.current().subscribe(
                run_id, after=after, quota=self._quota
            ) as subscriber:
                await self.answer(first_frame(subscriber.committed))
                while not subscriber.ended:
                    await subscriber.ready()
                    async with self._turn:
                        await self._sink.send_frames(await subscriber.now())
                return 1000
        return 4404


def end(run_id: UUID, code: int) -> bytes:
    return b'{"event":"end","run_id":"%b","code":%d}' % (str(run_id).encode(), code)
