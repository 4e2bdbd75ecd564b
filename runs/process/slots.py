"""Slots: how many of a host's django-q2 workers may execute runs at once.

One slot is apart from the others: for suspects, which are executed one by one (`leases`). Another
is spare, for the time in which a worker stands still. One worker more than there are slots always
stays free for django-q2's other work.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from runs.conf import conf
from runs.process import forking

_log = logging.getLogger("fastgraph.slots")

_GLANCE_SECONDS = 0.005

#: The slot for the runs of a worker whose event loop stands still (`standstills`).
SPARE = "spare"


class Slot:
    """The right to execute runs, for as long as it is open. The kernel takes it back from a
    process that ends, in whatever way."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor

    def sign(self) -> None:
        """Write into its file who has it (`taken_by`); the file's time says since when."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        forking.forget(self._descriptor)
        os.close(self._descriptor)


def acquire(*, apart: bool = False, spare: bool = False) -> Slot | None:
    """A free slot, to be left as a context manager; None when all are taken, or none can be had
    (`fault`). `spare`: the spare slot will do, if no other is free."""
    slot = _first_free(names(apart=apart))
    if slot is None:
        # `free` takes a slot for some microseconds to see whether it can be had.
        time.sleep(_GLANCE_SECONDS)
        slot = _first_free([*names(apart=apart), *([SPARE] if spare else [])])
    if slot is not None:
        # On a full disk nobody learns whose it is; it is to be had all the same.
        with suppress(OSError):
            slot.sign()
    return slot


def free(*, apart: bool = False) -> bool:
    """Whether a slot of this host could be had at this moment."""
    slot = _first_free(names(apart=apart))
    if slot is None:
        return False
    with slot:
        return True


def spare_free() -> bool:
    """Whether the spare slot could be had at this moment."""
    slot = _first_free([SPARE])
    if slot is None:
        return False
    with slot:
        return True


def names(*, apart: bool = False) -> list[str]:
    """The slots of this host."""
    return ["apart"] if apart else [str(number) for number in range(conf().workers)]


def path_of(name: str) -> Path:
    """The file whose lock is the slot `name`."""
    return conf().data_dir / "slots" / name


def taken_by(name: str) -> int | None:
    """The worker process that took the slot last, if that is known. It may be gone."""
    try:
        return int(path_of(name).read_text())
    except (OSError, ValueError):
        return None


def fault(*, apart: bool = False) -> str:
    """Why this host's slots cannot be had, whoever has them: their files cannot be used. Empty when
    they can."""
    try:
        _make_folder()
        for name in names(apart=apart):
            os.close(_open(path_of(name)))  # which frees no lock: that is another's descriptor
    except OSError as error:
        return _sentence(error)
    return ""


class _Process:
    #: What was last said of the slots in this process's log.
    said = ""


def _first_free(names: Iterable[str]) -> Slot | None:
    slot, why = None, ""
    try:
        _make_folder()
        descriptors = ((name, _lock(path_of(name))) for name in names)
        slot = next((Slot(name, found) for name, found in descriptors if found is not None), None)
    except OSError as error:  # to raise would end who only wants to know whether one is free
        why = _sentence(error)
    if why and why != _Process.said:
        _log.error("%s", why)
    _Process.said = why
    return slot


def _make_folder() -> None:
    (conf().data_dir / "slots").mkdir(mode=0o700, exist_ok=True)


def _sentence(error: OSError) -> str:
    return (
        f"No run starts on this host: {error.filename} cannot be used ({error.strerror}). Let the"
        " user who runs the server read and write the data folder; runs wait until then."
    )


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`, or None when somebody else has it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    # The lock lives as long as a copy of the descriptor is open, in whatever process.
    return forking.keep_own(descriptor)
