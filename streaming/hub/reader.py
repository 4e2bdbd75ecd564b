"""Reading the database for the streams, through its outages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, Error, connections

from runs.outages import explain
from streaming.threads import DatabaseThreads

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FIRST_DELAY = 0.05  # seconds until a failed query is tried again; doubled each time …
LONGEST_DELAY = 2.0  # … up to this


class Closed(Exception):
    """The web process is going down: there is no more to read here."""


class Unanswered(Exception):
    """The database did not answer: it is locked, gone, restarted or damaged."""


def pauses() -> Iterator[float]:
    """Seconds to wait after each query that failed."""
    pause = FIRST_DELAY
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_DELAY)


class Reader:
    """Queries in threads of their own that wait for the database instead of failing.

    A query that fails because the database is locked, gone or restarted is tried again with a
    growing delay until it is answered; an outage is logged when it begins and when it ends.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._threads = DatabaseThreads(name, threads)
        self._closed = False
        self._outage = False
        #: What is wrong with the database and what to do; empty when there is nothing but to wait.
        self.trouble = ""

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of `query`, however long that takes; Closed once `close` was called. An
        error that is not the database's is raised as it is."""
        left = pauses()
        while True:
            try:
                return await self.once(query, *args, **kwargs)
            except Unanswered:
                await asyncio.sleep(next(left))

    async def once(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of `query`, which is tried once: Unanswered when the database does not answer.
        Otherwise as `read`."""
        if self._closed:
            raise Closed
        try:
            answer = await self._threads.run(_fresh_after_error, partial(query, *args, **kwargs))
        except Error as error:
            self._begin_outage(error)
            raise Unanswered from error
        self._end_outage()
        return answer

    async def close(self) -> None:
        """End the threads and close their connections; whoever waits for an answer gets Closed."""
        self._closed = True
        await self._threads.close()

    def _begin_outage(self, error: Error) -> None:
        self.trouble = explain(error)
        if not self._outage:
            self._outage = True
            why = self.trouble or error
            logger.warning("Streams wait for the database, which does not answer: %s", why)

    def _end_outage(self) -> None:
        if self._outage:
            self._outage, self.trouble = False, ""
            logger.warning("The database answers again; streams go on.")


def _fresh_after_error(query: Callable[[], T]) -> T:
    """In the thread: a connection on which a query failed may be dead; the next gets a new one."""
    try:
        return query()
    except Error:
        connections[DEFAULT_DB_ALIAS].close()
        raise
