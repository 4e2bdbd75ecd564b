"""A flag that processes share and that no death can damage."""

from __future__ import annotations

import os
import select


class Flag:
    """Set once by any process, seen by all that were forked after it was made.

    multiprocessing.Event would do, were it not for `kill -9`: who dies inside `wait` or `is_set`
    takes its lock along, and `set` then blocks for ever. Here the flag is a byte in a pipe that
    nobody ever reads, so there is no lock to hold.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def set(self) -> None:
        """Raise the flag; to raise it again changes nothing. Safe in a signal handler."""
        if not self.is_set():
            os.write(self._writer, b"1")

    def is_set(self) -> bool:
        """Whether the flag was raised; about a microsecond."""
        return self.wait(0)

    def wait(self, timeout: float) -> bool:
        """Whether the flag is raised, after waiting for it at most `timeout` seconds."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def fileno(self) -> int:
        """A descriptor that is readable while the flag is raised, for select and its kin."""
        return self._reader

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that this process has open for it."""
        return self._reader, self._writer

    def close(self) -> None:
        """Give the descriptors back; the flag must not be used afterwards."""
        os.close(self._reader)
        os.close(self._writer)
