"""How long a worker may still take: the value that a django-q2 worker and its sentinel share."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.sharedctypes import RawValue


class Timer:
    """Stands in for the `multiprocessing.Value` of django-q2, which the sentinel counts down under
    a lock that dies with the worker. Only the worker writes to this one, and what is stored is a
    moment, so nothing needs counting or locking.

    `value` reads as django-q2 means it: -1 idle or without limit, -2 to be recycled, 0 out of time,
    otherwise the seconds that are left.
    """

    def __init__(self) -> None:
        self._cell = RawValue("d", -1.0)

    @property
    def value(self) -> float:
        moment: float = self._cell.value
        return moment if moment <= 0 else max(0.0, moment - time.monotonic())

    @value.setter
    def value(self, seconds: float) -> None:
        self._cell.value = seconds if seconds <= 0 else time.monotonic() + seconds

    def get_lock(self) -> AbstractContextManager[None]:
        """django-q2 asks for a lock; there is nothing to guard."""
        return nullcontext()
