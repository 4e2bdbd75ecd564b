"""Bells that the processes of one host ring for each other: a byte in a pipe that has a name.

SQLite tells nobody of a commit. Who listens looks at it every few milliseconds, and is rung by
whoever has just committed, so that it looks at once. A ring says whether a run may have ended, and
may get lost.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time
import uuid
from pathlib import Path

from runs import forking
from runs.conf import conf

#: What a ring says.
_MOVED, _ENDED = b"!", b"."
#: As many as a pipe holds.
_FULL = 65_536
#: How the name of a bell ends that its own process rings, too.
_OWN_ENDS = "-ends"
#: How coarse the times of a folder may be: after so long without a change, none is missed. Seconds.
_SETTLED = 0.1


def folder() -> Path:
    """Where the bells of this installation hang."""
    found = conf().data_dir / "bells"
    found.mkdir(mode=0o700, exist_ok=True)
    return found


class Bell:
    """One that is listened to, from when it is made until it is closed. The process that made it
    rings it, too, when a run may have ended, if it is to hear `own_ends`. OSError where the file
    system has no pipes."""

    def __init__(self, home: Path, *, own_ends: bool = False) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex}{_OWN_ENDS * own_ends}"
        made = home / f".{name}"
        os.mkfifo(made, 0o600)
        # For writing, too: so it never ends, whoever else closes it.
        self._pipe = os.open(made, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        forking.keep_own(self._pipe)
        self._path = home / name
        made.rename(self._path)  # not before somebody listens, or who rings would take it down
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Whether it rang since the last time, waiting at most `seconds`."""
        if not self._poll.poll(seconds * 1000):
            return False
        self.take()
        return True

    def take(self) -> bool:
        """Forget that it rang; whether a run may have ended."""
        with contextlib.suppress(BlockingIOError):
            rings = os.read(self._pipe, _FULL)
            return _ENDED in rings or len(rings) == _FULL  # then some were lost
        return False

    def fileno(self) -> int:
        """A descriptor that is readable when it rang."""
        return self._pipe

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        forking.forget(self._pipe)
        os.close(self._pipe)


class Ringer:
    """Rings the bells of the other processes, and of this one those that are to hear its ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._own = f"{os.getpid()}-"
        self._pipes: dict[str, int] = {}
        self._seen = -1.0
        self._lock = threading.Lock()

    def ring(self, *, ended: bool = True) -> None:
        """Ring all of them. Never raises, never waits."""
        note = _ENDED if ended else _MOVED
        with self._lock, contextlib.suppress(OSError):
            self._look()
            for name, pipe in list(self._pipes.items()):
                if not ended and name.startswith(self._own):
                    continue
                try:
                    os.write(pipe, note)
                except BlockingIOError:
                    pass  # it has rung often enough
                except OSError:
                    self._drop(name)

    def close(self) -> None:
        with self._lock:
            for name in list(self._pipes):
                os.close(self._pipes.pop(name))

    def _look(self) -> None:
        changed = self._home.stat().st_mtime
        if changed == self._seen and time.time() - changed > _SETTLED:
            return
        self._seen = changed
        there = {name for name in os.listdir(self._home) if name[0] != "."}
        for name in self._pipes.keys() - there:
            os.close(self._pipes.pop(name))
        for name in there - self._pipes.keys():
            if not name.startswith(self._own) or name.endswith(_OWN_ENDS):
                self._open(name)

    def _open(self, name: str) -> None:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._pipes[name] = os.open(self._home / name, flags)
        except OSError as error:
            if error.errno == errno.ENXIO:  # who listened was killed
                (self._home / name).unlink(missing_ok=True)

    def _drop(self, name: str) -> None:
        os.close(self._pipes.pop(name))
        (self._home / name).unlink(missing_ok=True)


_ringer: tuple[int, Ringer] | None = None


def ring(*, ended: bool = True) -> None:
    """Tell who listens on this host that something was committed, and whether a run may have
    `ended` with it. Never raises: what is committed is so whether anybody hears of it or not."""
    global _ringer
    with contextlib.suppress(OSError):
        if _ringer is None or _ringer[0] != os.getpid():  # a fork has bells of its own to leave out
            _ringer = os.getpid(), Ringer(folder())
        _ringer[1].ring(ended=ended)
