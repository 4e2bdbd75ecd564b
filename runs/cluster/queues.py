"""A queue between processes that no death can damage.

multiprocessing.Queue guards its pipe with semaphores, and a process that is killed while it holds
one keeps it: django-q2's idle workers wait *inside* the read lock, so `kill -9` of the next in
line stops a cluster for good (django-q2 #23), and a worker that is killed while it hands over its
result stops the results (#339). Here there is no lock. Every item is one record of PIPE_BUF bytes:
the kernel writes and reads such a record whole or not at all, whoever else uses the pipe. What
does not fit goes to a file whose name is the record.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import struct
import tempfile
import termios
import time
from pathlib import Path
from typing import Any

_RECORD = select.PIPE_BUF
_HEAD = struct.Struct("=?H")  # whether the rest is the name of a file, and how long it is
_ROOM = _RECORD - _HEAD.size
_FULL_SECONDS = 0.01


class RecordQueue:
    """First in, first out, any number of writers and readers. Made before the fork that shares it.

    An item is lost only with the reader that has taken it. `limit` bounds what lies unread and is
    exact for one writer. Values are pickled, as django-q2's own queue does: they never leave the
    cluster.
    """

    def __init__(self, spool: Path, limit: int | None = None) -> None:
        self._spool = spool
        self._limit = limit
        # A named pipe, because it can be opened twice for reading: only a second open file may be
        # non-blocking without making the first one so, too.
        path = Path(tempfile.mkdtemp(dir=spool)) / "pipe"
        os.mkfifo(path, 0o600)
        self._glance = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._writer = os.open(path, os.O_WRONLY)
        self._reader = os.open(path, os.O_RDONLY)
        path.unlink()
        path.parent.rmdir()

    def put(self, item: object) -> None:
        """Add `item`; waits while the queue is full."""
        while self._limit is not None and self.qsize() >= self._limit:
            time.sleep(_FULL_SECONDS)
        os.write(self._writer, self._record_of(item))

    def get(self) -> Any:
        """Take the oldest item, waiting for it if need be."""
        return self._item(os.read(self._reader, _RECORD))

    def get_nowait(self) -> Any:
        """Take the oldest item, or None when there is none at this moment."""
        try:
            return self._item(os.read(self._glance, _RECORD))
        except BlockingIOError:
            return None

    def _item(self, record: bytes) -> Any:
        spooled, size = _HEAD.unpack_from(record)
        body = record[_HEAD.size : _HEAD.size + size]
        if spooled:
            path = self._spool / body.decode()
            body = path.read_bytes()
            path.unlink()
        return pickle.loads(body)  # noqa: S301 (only our own processes write here)

    def qsize(self) -> int:
        """How many items lie unread."""
        unread = fcntl.ioctl(self._reader, termios.FIONREAD, bytes(4))
        return int(struct.unpack("=i", unread)[0]) // _RECORD

    def empty(self) -> bool:
        return self.qsize() == 0

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that this process has open for it."""
        return self._glance, self._reader, self._writer

    def close(self) -> None:
        """Give the descriptors of this process back."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def _record_of(self, item: object) -> bytes:
        body = pickle.dumps(item)
        spooled = len(body) > _ROOM
        if spooled:
            with tempfile.NamedTemporaryFile(dir=self._spool, delete=False) as file:
                file.write(body)
            body = Path(file.name).name.encode()
        return (_HEAD.pack(spooled, len(body)) + body).ljust(_RECORD, b"\0")


class ResultQueue(RecordQueue):
    """The queue of finished jobs. A result that cannot be pickled (a coroutine, say, of an async
    function) becomes a failure that says so: left to raise here, it would end the worker, and the
    job would be handed out again for ever."""

    def _record_of(self, item: object) -> bytes:
        try:
            return super()._record_of(item)
        except Exception as error:
            if not isinstance(item, dict):
                raise
            reason = f"The job's result cannot be pickled: {error}"
            return super()._record_of({**item, "result": reason, "success": False})
