"""The memory that request bodies take in one process."""

from __future__ import annotations

from django.conf import settings

from runs.errors import Problem

#: A larger body is a large one: for it a part of the memory is left free.
LARGE = 64 * 1024
_FOR_LARGE = 3 / 4


class Bodies:
    """How many bytes the bodies of all requests under way have, and the unfinished messages of
    sockets: `max_bodies_bytes` at most, of which large ones leave a quarter to small ones."""

    def __init__(self) -> None:
        self.held = 0


_ALL = Bodies()


class Held:
    """The bytes of one request or socket. To be freed at its end."""

    def __init__(self, bodies: Bodies = _ALL) -> None:
        self._bodies = bodies
        self.size = 0

    def add(self, size: int) -> Problem | None:
        """Count `size` bytes more; a Problem (503) when there is no room for them."""
        most: int = settings.FASTGRAPH["max_bodies_bytes"]
        if self.size + size > LARGE:
            most = int(most * _FOR_LARGE)
        if size > 0 and self._bodies.held + size > most:
            detail = (
                "The bodies of other requests take the memory that there is for them"
                " (FASTGRAPH_MAX_BODIES_BYTES). Try again in a few seconds."
            )
            return Problem(503, "too_many_bodies", detail)
        self.size += size
        self._bodies.held += size
        return None

    def free(self) -> None:
        """Give all of them back. Idempotent."""
        self._bodies.held -= self.size
        self.size = 0
