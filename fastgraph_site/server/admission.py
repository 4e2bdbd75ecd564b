"""Which connections of the web process may stay: how many there are, and how long one may take to
say what it wants."""

from __future__ import annotations

from typing import Protocol

from fastgraph_site.web.overload import Limits, SeldomLog

#: Connections beyond the limit whose requests are read, to be told 503 or how healthy we are.
RESERVE = 64


class Connection(Protocol):
    """What is asked of a connection. Identity is equality."""

    def time_out(self) -> None:
        """End: the head of its request did not arrive in time."""

    def give_way(self) -> None:
        """End: a newer connection needs its place, and it has asked for nothing yet."""


class Admission:
    """Knows the connections that have not sent a whole request head, oldest first.

    Over the limit the oldest of them makes room for a new connection, so that clients who send
    nothing cannot keep out those who do. Connections that are being served are left alone.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._pending: dict[Connection, float] = {}
        self._log = SeldomLog(
            f"%s connections were refused or ended: {limits.connections} are open"
            " (FASTGRAPH_MAX_CONNECTIONS)"
        )

    def admit(self, connection: Connection, total: int, now: float) -> bool:
        """A new connection, the `total`-th that is open. False: there is no room for it."""
        if total > self.limits.connections:
            self._log.count()
            if not self._make_room():
                return False
        self.await_head(connection, now)
        return True

    def await_head(self, connection: Connection, now: float) -> None:
        """A request head is to come on this connection, within the time for it from the first of
        such calls."""
        self._pending.setdefault(connection, now)

    def served(self, connection: Connection) -> None:
        """The head is here, or the connection gone."""
        self._pending.pop(connection, None)

    def tick(self, now: float) -> None:
        """To be called about every second: end the connections whose time is over, and log the
        refusals that were not logged yet."""
        self.expire(now)
        self._log.flush()

    def expire(self, now: float) -> None:
        """End the connections whose time is over."""
        while self._pending:
            connection, since = next(iter(self._pending.items()))
            if now - since < self.limits.header_seconds:
                return
            del self._pending[connection]
            connection.time_out()

    def _make_room(self) -> bool:
        oldest = next(iter(self._pending), None)
        if oldest is None:
            return False
        del self._pending[oldest]
        oldest.give_way()
        return True
