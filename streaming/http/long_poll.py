"""Long polls: one request that is answered when there is something to say."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from runs.db.compiled import CompiledLookup
from runs.http.parameters import EVENTS_AFTER, EVENTS_LIMIT, Parameter
from runs.models import TERMINAL, Run
from runs.queries.event_frames import MAX_PAGE_BYTES, events_page
from runs.queries.summaries import detail
from streaming.http import waits
from streaming.http.endpoint import (
    Request,
    or_unavailable,
    send_json,
    subscribed,
    until_disconnect,
)
from streaming.hub import hub
from streaming.hub.frame_batch import FrameBatch
from streaming.hub.reader import Closed
from streaming.hub.subscriber import Subscriber, UnknownRun

MAX_WAIT_SECONDS = 60  # seconds; proxies cut what is silent for longer

WAIT = Parameter(
    name="wait",
    kind="integer",
    high=MAX_WAIT_SECONDS,
    default=0,
    help="If there is no such event yet, wait up to so many seconds for one.",
)
#: Of `POST /api/runs/`, for who creates a run and wants to know how it ends.
UNTIL_END = Parameter(
    name="wait",
    kind="integer",
    high=MAX_WAIT_SECONDS,
    default=0,
    help="Answer when the run has ended, or after so many seconds, wherever it stands then.",
)
TIMEOUT = Parameter(
    name="timeout",
    kind="integer",
    high=MAX_WAIT_SECONDS,
    default=30,
    help="Answer after so many seconds, wherever the run stands then.",
)


class RunEvents:
    """`/api/runs/{id}/events?wait=`: the events after the cursor, as soon as there are any; none
    when time is over, and none at once when the run has ended before."""

    parameters = (EVENTS_AFTER, EVENTS_LIMIT, WAIT)

    async def __call__(
        self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        after, limit = request.values["after"], request.values["limit"]
        with waits.counted():
            await self._answer(request, after, limit, receive, send)

    async def _answer(
        self,
        request: Request,
        after: int,
        limit: int,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        async with subscribed(request, after=after) as subscriber:

            async def poll() -> None:
                async with or_unavailable(request):
                    found = await hub.current().page(
                        subscriber.run_id, after=after, limit=limit, size=MAX_PAGE_BYTES
                    )
                if not found and not subscriber.ended:
                    found = await _within(request.values["wait"], subscriber)
                await send_json(send, events_page(found, after, limit))

            await until_disconnect(receive, poll())


class RunWait:
    """`/api/runs/{id}/wait`: the run when it has ended, or where it stands when time is over."""

    parameters = (TIMEOUT,)

    async def __call__(
        self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        run_id, seconds = request.run_id, request.values["timeout"]

        async def described() -> None:
            async with or_unavailable(request):
                run = await _read_run(run_id)
            if seconds and run["status"] not in TERMINAL:
                with waits.counted():
                    async with or_unavailable(request, wait=seconds):
                        run = await wait_for_end(run_id, seconds)
            await send_json(send, run)

        await until_disconnect(receive, described())


async def wait_for_end(run_id: UUID, seconds: float) -> dict[str, Any]:
    """The run when it has ended, or as it is when the time is over or the server stops. It waits
    longer while the database is away.

    Raises UnknownRun, and Closed if the server has stopped before.
    """
    with (
        hub.current().completions.wait_for(run_id) as end,
        contextlib.suppress(TimeoutError, Closed),
    ):
        async with asyncio.timeout(seconds):
            await end
    return await _read_run(run_id)


async def _read_run(run_id: UUID) -> dict[str, Any]:
    run = await hub.current().read(partial(_run_detail, run_id))
    if run is None:
        raise UnknownRun(run_id)
    return run


def _run_detail(run_id: UUID) -> dict[str, Any] | None:
    run = _RUN.get(run_id)
    return None if run is None else detail(run)


_RUN = CompiledLookup(Run)


async def _within(seconds: float, subscriber: Subscriber) -> FrameBatch:
    """The next frames as soon as there are any; none when the time is over."""
    if not seconds:
        return FrameBatch()
    try:
        async with asyncio.timeout(seconds):
            return await subscriber.next()
    except (TimeoutError, Closed):
        return FrameBatch()  # a server that stops answers what it has
