"""Notifications between the processes of one host: one byte in a named pipe of each listener.

SQLite notifies nobody of a commit. A listener polls the database every few milliseconds, and a
process that has committed notifies it, so that it polls at once. The byte says whether a run may
have ended. It may get lost.
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

from runs.conf import conf
from runs.process import forking

#: The two bytes: a run changed, or a run may have ended.
_CHANGED, _ENDED = b"!", b"."
#: As many bytes as a pipe holds.
_PIPE_BYTES = 65_536
#: The name of a pipe ends so if its own process writes into it, too.
_OWN_ENDS = "-ends"
#: The modification time of a folder may be this coarse. After so long without a change none is
#: missed.
_FOLDER_SETTLED_SECONDS = 0.1


def folder() -> Path:
    """The folder with the pipes of this installation."""
    path = conf().data_dir / "notify"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


class PipeListener:
    """A named pipe that exists from the construction until `close`.

    All other processes write into it. With `own_ends` its own process does, too, when a run may
    have ended.

    Raises OSError if the file system has no named pipes.
    """

    def __init__(self, home: Path, *, own_ends: bool = False) -> None:
        name = f"{os.getpid()}-{uuid.uuid4().hex}{_OWN_ENDS * own_ends}"
        hidden = home / f".{name}"
        os.mkfifo(hidden, 0o600)
        # Opened for writing, too: so it has no end of file, whoever else closes it.
        self._pipe = os.open(hidden, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        forking.keep_own(self._pipe)
        self._path = home / name
        # Renamed only now that it has a reader: a notifier removes a pipe without one.
        hidden.rename(self._path)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether there is something to `drain`."""
        return bool(self._poll.poll(seconds * 1000))

    def drain(self) -> bool | None:
        """Read all that was written since the last call, without waiting.

        Return None if that is nothing, and otherwise whether a run may have ended.
        """
        try:
            written = os.read(self._pipe, _PIPE_BYTES)
        except BlockingIOError:
            return None
        return _ENDED in written or len(written) == _PIPE_BYTES  # a full pipe has lost some bytes

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to `drain`."""
        return self._pipe

    def close(self) -> None:
        """Remove the pipe."""
        self._path.unlink(missing_ok=True)
        forking.forget(self._pipe)
        os.close(self._pipe)


class PipeNotifier:
    """Writes into the pipes of all other processes, and into those of this process that want to
    know when a run may have ended."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._own = f"{os.getpid()}-"
        self._pipes: dict[str, int] = {}
        self._folder_seen_at = -1.0
        self._lock = threading.Lock()

    def notify(self, *, ended: bool = True) -> None:
        """Notify every listener. Never raises and never waits."""
        byte = _ENDED if ended else _CHANGED
        with self._lock, contextlib.suppress(OSError):
            self._find_pipes()
            for name, pipe in list(self._pipes.items()):
                if not ended and name.startswith(self._own):
                    continue
                try:
                    os.write(pipe, byte)
                except BlockingIOError:
                    pass  # the pipe is full, so its reader has enough to read
                except OSError:
                    self._remove(name)

    def close(self) -> None:
        """Close the pipes."""
        with self._lock:
            for name in list(self._pipes):
                os.close(self._pipes.pop(name))

    def _find_pipes(self) -> None:
        changed = self._home.stat().st_mtime
        if changed == self._folder_seen_at and time.time() - changed > _FOLDER_SETTLED_SECONDS:
            return
        self._folder_seen_at = changed
        names = {name for name in os.listdir(self._home) if name[0] != "."}
        for name in self._pipes.keys() - names:
            os.close(self._pipes.pop(name))
        for name in names - self._pipes.keys():
            if not name.startswith(self._own) or name.endswith(_OWN_ENDS):
                self._open(name)

    def _open(self, name: str) -> None:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._pipes[name] = os.open(self._home / name, flags)
        except OSError as error:
            if error.errno == errno.ENXIO:  # its reader was killed
                (self._home / name).unlink(missing_ok=True)

    def _remove(self, name: str) -> None:
        os.close(self._pipes.pop(name))
        (self._home / name).unlink(missing_ok=True)


_notifier: tuple[int, PipeNotifier] | None = None


def notify(*, ended: bool = True) -> None:
    """Notify the listeners of this host of a commit, and whether a run may have `ended` with it.

    Never raises: the commit stands whether or not anybody is notified of it.
    """
    global _notifier
    with contextlib.suppress(OSError):
        if _notifier is None or _notifier[0] != os.getpid():  # a fork skips pipes of its own
            _notifier = os.getpid(), PipeNotifier(folder())
        _notifier[1].notify(ended=ended)
