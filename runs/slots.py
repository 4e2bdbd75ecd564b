"""Slots: how many of a host's django-q2 workers may execute runs at once.

One slot is apart from the others: for suspects, which are executed one by one (`leases`). One
worker more than there are slots always stays free for django-q2's other work.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from runs.conf import conf

_GLANCE_SECONDS = 0.005


class Slot:
    """The right to execute runs, for as long as it is open. The kernel takes it back from a
    process that ends, in whatever way."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


def acquire(*, apart: bool = False) -> Slot | None:
    """A free slot, to be left as a context manager; None when all are taken."""
    slot = _first_free(apart)
    if slot is None:
        # `free` takes a slot for some microseconds to see whether it can be had.
        time.sleep(_GLANCE_SECONDS)
        slot = _first_free(apart)
    return slot


def free(*, apart: bool = False) -> bool:
    """Whether a slot of this host could be had at this moment."""
    slot = _first_free(apart)
    if slot is None:
        return False
    with slot:
        return True


def _first_free(apart: bool) -> Slot | None:
    folder = conf().data_dir / "slots"
    folder.mkdir(exist_ok=True)
    names = ["apart"] if apart else [str(number) for number in range(conf().workers)]
    for name in names:
        descriptor = _lock(folder / name)
        if descriptor is not None:
            return Slot(name, descriptor)
    return None


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`, or None when somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
