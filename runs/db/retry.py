"""One way to wait for a database that is away: restarted, locked, full, cut off or damaged.

All who try again do it through this module: with the same pauses, on a new connection each time,
and with one line in the log when an outage begins and one when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, Error, connections

from runs.db.errors import TRANSIENT, explain, is_transient

_log = logging.getLogger("fastgraph.database")

T = TypeVar("T")

#: Seconds between two tries: the first, doubled each time up to the longest.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 1.0


def _warn(line: str) -> None:
    _log.warning("%s", line)


def _never() -> bool:
    return False


def is_any(error: BaseException) -> bool:
    """Whether it is an error of a database, transient or not."""
    return isinstance(error, TRANSIENT)


class Outage:
    """What one caller sees of the database: whether it is away, and since how many tries."""

    def __init__(self, who: str, *, log: Callable[[str], object] = _warn) -> None:
        self._who = who
        self._log = log
        self._pause = 0.0
        #: What is wrong with the database and what to do; empty when there is nothing but to wait.
        self.trouble = ""

    def failed(self, error: BaseException) -> float:
        """A call has failed with `error`. Returns the seconds until the next try."""
        self.trouble = explain(error)
        if not self._pause:
            why = self.trouble or " ".join(str(error).split()) or type(error).__name__
            self._log(f"The database does not answer, {self._who} waits for it: {why}")
        self._pause = min(2 * self._pause or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        return self._pause

    def answered(self) -> None:
        """A call has succeeded."""
        if self._pause:
            self._pause, self.trouble = 0.0, ""
            self._log(f"The database answers again, {self._who} goes on.")

    def unless_away(self, call: Callable[[], T], otherwise: T) -> T:
        """The answer of `call`, or `otherwise` after any error of a database, on the default one.
        For calls that the caller makes again and again anyway."""
        try:
            answer = on_connection(call)
        except TRANSIENT as error:
            self.failed(error)
            return otherwise
        self.answered()
        return answer


def on_connection(call: Callable[[], T], alias: str = DEFAULT_DB_ALIAS) -> T:
    """The answer of `call`. When the database is away this thread's connection is closed: it may be
    dead, and the next query gets a new one."""
    try:
        return call()
    except TRANSIENT as error:
        if is_transient(error):
            close(alias)
        raise


def close(alias: str = DEFAULT_DB_ALIAS) -> None:
    """Close this thread's connection, even one that is too broken to be closed."""
    connection = connections[alias]
    try:
        connection.close()
    except Error as error:
        _log.debug("A broken connection was dropped: %s", error)
        connection.connection = None


def while_away(
    call: Callable[[], T],
    *,
    who: str,
    give_up_at: float | None = None,
    stopping: Callable[[], bool] = _never,
    retries: Callable[[BaseException], bool] = is_transient,
    log: Callable[[str], object] = _warn,
) -> T:
    """The answer of `call`, which is called again while the database is away, on this thread's
    connection to the default database.

    Raises the last error when `retries` says no of it, when `stopping` says yes, or after
    `give_up_at` (of `time.monotonic`).
    """
    outage = Outage(who, log=log)
    while True:
        try:
            answer = on_connection(call)
        except TRANSIENT as error:
            if not retries(error) or stopping() or _is_past(give_up_at):
                raise
            time.sleep(outage.failed(error))
        else:
            outage.answered()
            return answer


async def while_away_async(
    call: Callable[[], Awaitable[T]],
    *,
    outage: Outage,
    retries: Callable[[BaseException], bool] = is_transient,
) -> T:
    """As `while_away`, for a call whose queries run on other threads, each by `on_connection`. No
    thread waits meanwhile. Callers that share an `outage` share its lines in the log."""
    while True:
        try:
            answer = await call()
        except TRANSIENT as error:
            if not retries(error):
                raise
            await asyncio.sleep(outage.failed(error))
        else:
            outage.answered()
            return answer


def _is_past(moment: float | None) -> bool:
    return moment is not None and time.monotonic() > moment
