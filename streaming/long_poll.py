"""Long polls: one request that is answered when there is something to say."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from runs.api.parameters import Parameter
from runs.db.compiled import CompiledLookup
from runs.frames import MAX_PAGE_BYTES, answer
from runs.models import TERMINAL, Run
from runs.summaries import detail
from streaming import hub, waits
from streaming.batch import Batch
from streaming.endpoint import (
    AFTER,
    Request,
    answerable,
    send_json,
    subscribed,
    while_there,
)
from streaming.reader import Closed
from streaming.subscriber import Subscriber, UnknownRun

LONGEST_WAIT = 60  # seconds; proxies cut what is silent for longer

LIMIT = Parameter(
    name="limit", kind="integer", low=1, high=1000, default=100, help="At most so many events."
)
WAIT = Parameter(
    name="wait",
    kind="integer",
    high=LONGEST_WAIT,
    default=0,
    help="If there is no such event yet, wait up to so many seconds for one.",
)
#: Of `POST /api/runs/`, for who creates a run and wants to know how it ends.
UNTIL_END = Parameter(
    name="wait",
    kind="integer",
    high=LONGEST_WAIT,
    default=0,
    help="Answer when the run has ended, or after so many seconds, wherever it stands then.",
)
TIMEOUT = Parameter(
    name="timeout",
    kind="integer",
    high=LONGEST_WAIT,
    default=30,
    help="Answer after so many seconds, wherever the run stands then.",
)


class RunEvents:
    """`/api/runs/{id}/events?wait=`: the events after the cursor, as soon as there are any; none
    when time is over, and none at once when the run has ended before."""

    parameters = (AFTER, LIMIT, WAIT)

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
                async with answerable(request):
                    found = await hub.current().page(
                        subscriber.run_id, after=after, limit=limit, size=MAX_PAGE_BYTES
                    )
                if not found and not subscriber.ended:
                    found = await _within(request.values["wait"], subscriber)
                await send_json(send, answer(found, after, limit))

            await while_there(receive, poll())


class RunWait:
    """`/api/runs/{id}/wait`: the run when it has ended, or where it stands when time is over."""

    parameters = (TIMEOUT,)

    async def __call__(
        self, request: Request, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        run_id, seconds = request.run_id, request.values["timeout"]

        async def described() -> None:
            async with answerable(request):
                run = await _stands(run_id)
            if seconds and run["status"] not in TERMINAL:
                with waits.counted():
                    async with answerable(request, wait=seconds):
                        run = await stands_after(run_id, seconds)
            await send_json(send, run)

        await while_there(receive, described())


async def stands_after(run_id: UUID, seconds: float) -> dict[str, Any]:
    """The run when it has ended, or where it stands when the time is over or the server stops.
    UnknownRun when there is none; Closed when the server had stopped before. Waits longer while the
    database is away."""
    with hub.current().endings.awaited(run_id) as end, contextlib.suppress(TimeoutError, Closed):
        async with asyncio.timeout(seconds):
            await end
    return await _stands(run_id)


async def _stands(run_id: UUID) -> dict[str, Any]:
    run = await hub.current().read(partial(_described, run_id))
    if run is None:
        raise UnknownRun(run_id)
    return run


def _described(run_id: UUID) -> dict[str, Any] | None:
    run = _RUN.get(run_id)
    return None if run is None else detail(run)


_RUN = CompiledLookup(Run)


async def _within(seconds: float, subscriber: Subscriber) -> Batch:
    """The next frames as soon as there are any; none when the time is over."""
    if not seconds:
        return Batch()
    try:
        async with asyncio.timeout(seconds):
            return await subscriber.next()
    except (TimeoutError, Closed):
        return Batch()  # a server that stops answers what it has
