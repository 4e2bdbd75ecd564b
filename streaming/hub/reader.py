"""Reading the database for the streams, through its outages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from runs.db.errors import TRANSIENT
from runs.db.retry import Outage, is_any, on_connection, while_away_async
from runs.db.threads import DatabaseThreads

P = ParamSpec("P")
T = TypeVar("T")


class Closed(Exception):
    """The web process is going down: there is no more to read here."""


class Unanswered(Exception):
    """The database did not answer: it is locked, gone, restarted or damaged."""

    def __init__(self, pause: float) -> None:
        super().__init__()
        #: Seconds until the next try.
        self.pause = pause


class Reader:
    """Queries in threads of their own that wait for the database instead of failing.

    A query that fails because the database is locked, gone or restarted is tried again with a
    growing delay until it is answered; an outage is logged when it begins and when it ends.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._threads = DatabaseThreads(name, threads)
        self._closed = False
        self._outage = Outage(f"the stream reader {name!r}")

    @property
    def trouble(self) -> str:
        """What is wrong with the database and what to do; empty when there is nothing but to
        wait."""
        return self._outage.trouble

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of `query`, however long that takes; Closed once `close` was called. An
        error that is not the database's is raised as it is."""
        # Also what is not transient: a stream that is open has nobody to give an error to.
        call = partial(self._ask, partial(query, *args, **kwargs))
        return await while_away_async(call, outage=self._outage, retries=is_any)

    async def once(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of `query`, which is tried once. Otherwise as `read`.

        Raises Unanswered, with the seconds until the next try, when the database does not answer.
        """
        try:
            answer = await self._ask(partial(query, *args, **kwargs))
        except TRANSIENT as error:
            raise Unanswered(self._outage.failed(error)) from error
        self._outage.answered()
        return answer

    async def _ask(self, query: Callable[[], T]) -> T:
        if self._closed:
            raise Closed
        return await self._threads.run(on_connection, query)

    async def close(self) -> None:
        """End the threads and close their connections; whoever waits for an answer gets Closed."""
        self._closed = True
        await self._threads.close()
