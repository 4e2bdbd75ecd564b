"""Whether the files of an SQLite database, which others may cut short while it is in use, have all
their pages. A connection goes on for a while without them, and what it stores then is lost.

The file itself says on its first page how many it has, and the index of the write-ahead log how
many frames that has. Both are read through descriptors that stay open: closing one would free the
locks that SQLite has on the file. SQLite deletes the index with the last connection and makes
another one with the next: the descriptor of a deleted index is closed then.
"""

from __future__ import annotations

import os
import struct
import threading
from functools import lru_cache

#: A file's device and number.
Key = tuple[int, int]

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_WITH_LOG = 2
_INDEX_BYTES = 48
_LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
#: SQLite never uses the page that has this byte: it is for locks.
_LOCK_BYTE = 2**30

#: Open descriptors. By process: a child must not take a number that it has closed for the file of
#: its parent.
_Descriptors = dict[tuple[int, Key], int]
_files: _Descriptors = {}
_indexes: _Descriptors = {}


class _Guard:
    """Of the descriptors of indexes: while one is read no other thread closes it."""

    lock = threading.RLock()


def _after_fork() -> None:
    _Guard.lock = threading.RLock()  # a thread that is not there any more may have it


os.register_at_fork(after_in_child=_after_fork)


def has_all_pages(path: str, key: Key, *, filled: bool) -> bool:
    """Whether the database at `path`, whose file is `key`, has as many pages as it counts, in its
    file or in its log. A file that counts none, as it is empty, has them unless it was `filled`."""
    descriptor = _open(path, key, _files)
    if descriptor is None:
        return True
    header = os.pread(descriptor, _HEADER_BYTES, 0)
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        return not filled
    page, pages = _counted(header)
    if os.fstat(descriptor).st_size >= page * pages:
        return True
    # A checkpoint writes the first page before the others: until these are here, the log has them.
    logged = _logged(f"{path}-wal", page)
    there = os.fstat(descriptor).st_size // page
    unused = _LOCK_BYTE // page + 1
    if all(number in logged for number in range(there + 1, pages + 1) if number != unused):
        return True
    # Or a VACUUM has made it smaller meanwhile: it changes the first page first.
    return os.pread(descriptor, _HEADER_BYTES, 0) != header


def has_all_frames(path: str, key: Key) -> bool:
    """Whether the log of the database at `path` has what its index, the file `key`, counts. True as
    well where one of the two is not there any more."""
    with _Guard.lock:
        try:
            if (os.getpid(), key) not in _indexes:
                _close_deleted_indexes()
            descriptor = _open(f"{path}-shm", key, _indexes)
            if descriptor is None:
                return True
            index = os.pread(descriptor, _INDEX_BYTES, 0)
            if os.stat(f"{path}-wal").st_size >= _bytes_of_log(index):
                return True
        except FileNotFoundError:
            return True
        # Or the log was begun anew meanwhile: that changes the index first.
        return os.pread(descriptor, _INDEX_BYTES, 0) != index


def _close_deleted_indexes() -> None:
    """SQLite has no lock on an index that it has deleted."""
    for (process, key), descriptor in list(_indexes.items()):
        if process != os.getpid():
            continue
        found = os.fstat(descriptor)
        if found.st_nlink == 0 and (found.st_dev, found.st_ino) == key:
            del _indexes[process, key]
            os.close(descriptor)


def _open(path: str, key: Key, descriptors: _Descriptors) -> int | None:
    """The descriptor for reading the file `key`; None when another one is at `path`. OSError when
    there is none."""
    kept = descriptors.get((os.getpid(), key))
    if kept is not None:
        return kept
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    found = os.fstat(descriptor)
    # Whatever it is, it stays open: it may be in use, and another thread may have been faster.
    descriptors[os.getpid(), (found.st_dev, found.st_ino)] = descriptor
    return descriptors.get((os.getpid(), key))


@lru_cache(maxsize=16)
def _counted(header: bytes) -> tuple[int, int]:
    """The size of a page, and how many there are; zeros where the header does not say so, or says
    so before it is true, as without a write-ahead log."""
    (page,) = struct.unpack_from(">H", header, 16)
    changed, pages = struct.unpack_from(">II", header, 24)
    (valid_for,) = struct.unpack_from(">I", header, 92)
    sure = changed == valid_for and header[18] == _WITH_LOG
    return (2**16 if page == 1 else page, pages) if sure else (0, 0)


def _logged(path: str, page: int) -> set[int]:
    """The numbers of the pages in the log at `path`."""
    try:
        with open(path, "rb") as log:  # SQLite locks it by its index: it may be closed
            end = os.fstat(log.fileno()).st_size - page - _FRAME_HEADER_BYTES
            steps = range(_LOG_HEADER_BYTES, end + 1, page + _FRAME_HEADER_BYTES)
            return {int.from_bytes(os.pread(log.fileno(), 4, at), "big") for at in steps}
    except FileNotFoundError:
        return set()


def _bytes_of_log(index: bytes) -> int:
    """How long the log must be for all the frames that `index` counts; 0 before it is made."""
    if len(index) < _INDEX_BYTES or not index[12]:
        return 0
    page, frames = struct.unpack_from("=HI", index, 14)
    page = 2**16 if page == 1 else page
    return _LOG_HEADER_BYTES + frames * (page + _FRAME_HEADER_BYTES) if frames else 0
