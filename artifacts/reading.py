"""Reading what was stored, and nothing else: whatever became of the file meanwhile, what is handed
out has the size and the SHA-256 that are on record, or it is said that it has not."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: Files up to this are read and checked as a whole before the first byte is handed out.
WHOLE = 2**20
#: Bytes that are read at once of others.
PIECE = 2**18

MISSING = "artifact_bytes_missing"
CHANGED = "artifact_bytes_changed"
UNREADABLE = "artifact_bytes_unreadable"

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class BytesLost(FileNotFoundError):
    """The bytes of an artifact are not what was stored: `code` says in one word what is in their
    place, `str()` in a sentence."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code


class StoredFile:
    """The bytes of one artifact, open for reading. `pieces` gives them once; `close` it after."""

    def __init__(self, file: BinaryIO, sha256: str, size: int) -> None:
        self._file = file
        self._sha256 = sha256
        self.size = size
        self._whole: bytes | None = None
        if size <= WHOLE:
            self._whole = b"".join(self._checked())

    def pieces(self) -> Iterator[bytes]:
        """The bytes, piece by piece. BytesLost when the file changes meanwhile, before the last
        piece: who has them all has the right ones."""
        return self._checked() if self._whole is None else iter((self._whole,))

    def close(self) -> None:
        self._file.close()

    def _checked(self) -> Iterator[bytes]:
        seen, left, piece = hashlib.sha256(), self.size, b""
        while left:
            piece = self._file.read(min(PIECE, left))
            if not piece:
                raise BytesLost(CHANGED, f"Its file lacks the last {left} bytes.")
            left -= len(piece)
            seen.update(piece)
            if left:
                yield piece
        if seen.hexdigest() != self._sha256:
            raise BytesLost(CHANGED, "Its file has other bytes than were stored.")
        yield piece


def open_stored(path: Path, sha256: str, size: int) -> StoredFile:
    """The file at `path`, as long as it is a file of its own (no link, no pipe), has `size` bytes
    and, if it is no larger than `WHOLE`, the hash. Otherwise BytesLost. Waits for no writer."""
    file = open_regular(path)
    try:
        found = os.fstat(file.fileno()).st_size
        if found != size:
            raise BytesLost(CHANGED, f"Its file has {found} bytes instead of {size}.")
        return StoredFile(file, sha256, size)
    except BaseException:
        file.close()
        raise


def open_regular(path: Path) -> BinaryIO:
    """The file at `path`; BytesLost when there is none, or something else."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise _lost(path, error) from None
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise BytesLost(CHANGED, f"There is {_KINDS.get(kind, 'something else')} at its place.")
    return os.fdopen(descriptor, "rb")


def _lost(path: Path, error: OSError) -> BytesLost | OSError:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return BytesLost(MISSING, "Its bytes are no longer in the data folder.")
        case errno.ELOOP:
            return BytesLost(CHANGED, "There is a symbolic link at its place.")
        case errno.ENXIO:
            return BytesLost(CHANGED, "There is a socket or a device at its place.")
        case errno.EACCES | errno.EPERM:
            return BytesLost(UNREADABLE, f"The server may not read its file, {path}.")
    return error
