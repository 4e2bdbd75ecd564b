"""The bytes of artifacts: a folder of files named by the SHA-256 of what is in them.

Bytes come first and the row after, in the journal's transaction. So a crash between the two leaves
a file without a row, which `sweep` deletes later, and never a row without its file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.db import connection
from django.utils import timezone

from artifacts.models import Artifact
from artifacts.reading import (
    CHANGED,
    MISSING,
    PIECE,
    UNREADABLE,
    BytesLost,
    StoredFile,
    open_regular,
    open_stored,
)
from runs.conf import conf
from runs.db import statements
from runs.db.dialect import dialect
from runs.engine.journal.ports import ArtifactRef, Blob
from runs.engine.names import content
from runs.errors import Problem
from runs.fields import stored_name

_log = logging.getLogger(__name__)

#: Prefix of a file that is being written; what a crash leaves has it too.
TEMPORARY = ".writing-"
#: Prefix of a folder that was where a file belongs.
ASIDE = ".aside-"
#: Files that a process knows to be durable, at most.
REMEMBERED = 10_000
_COLUMNS = ("id", "run_id", "node", "name", "media_type", "size", "sha256", "created_at")


class FileStore:
    """Files under `root`, two folders deep: `ab/cd/abcd…`. Any number of processes may use one
    root at once. It fits `runs.engine.journal.ports.ArtifactStore`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: dict[str, int] = {}  # the inodes of files whose names survive a power cut

    def path(self, sha256: str) -> Path:
        """Where the bytes with this hash are, or would be."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"{sha256!r} is not a SHA-256 in lower-case hexadecimal.")
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def write(self, data: bytes) -> Blob:
        """Store `data`; on return it survives a power cut. The same bytes twice are one file.
        Blocks for the disk: not for an event loop."""
        data = content(data)
        blob = Blob(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        target = self.path(blob.sha256)
        if not target.parent.is_dir():
            self._make_folder(target.parent)
        with self._lock(fcntl.LOCK_SH):
            # A known file becomes young again: its last row may be gone, and a sweep that looked
            # before our row is committed must not take it for an old orphan.
            known = _touch(target, data)
            inode = known or _replace(target, data)
        if known is None or self._durable.get(blob.sha256) != inode:
            _sync_folder(target.parent)
            self._remember(blob.sha256, inode)
        return blob

    def _remember(self, sha256: str, inode: int) -> None:
        if len(self._durable) >= REMEMBERED:
            self._durable.clear()
        self._durable[sha256] = inode

    def attach(self, ref: ArtifactRef) -> None:
        """Insert or replace the row of `ref`, in the transaction that the caller has open and
        shares with other runs: whatever could be wrong with one artifact was refused before its
        bytes were written (`runs.engine.names`)."""
        known = dialect(connection)
        row = (
            known.id(ref.artifact_id),
            known.id(ref.run_id),
            stored_name(ref.node),
            ref.name,
            ref.media_type,
            ref.size,
            ref.sha256,
            known.time(timezone.now()),
        )
        statements.upsert(connection, Artifact, _COLUMNS, row)

    def open(self, sha256: str) -> BinaryIO:
        """The file with this name, to be read and closed by the caller, whatever is in it by now;
        BytesLost, which is a FileNotFoundError, when it is no file."""
        return open_regular(self.path(sha256))

    def open_checked(self, sha256: str, size: int) -> StoredFile:
        """The bytes with this hash, to be read and closed by the caller; BytesLost when there are
        none, or others in their place."""
        return open_stored(self.path(sha256), sha256, size)

    def files(self) -> Iterator[Path]:
        """Every stored or half-written file, in the order of the names of their folders."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]")):
            yield from sorted(path for path in folder.iterdir() if _is_no_folder(path))

    def delete_if_older(self, path: Path, than: float) -> bool:
        """Delete one file of the store unless it was written (or written again) since `than`, in
        seconds since 1970. True when it is gone by our hand."""
        with self._lock(fcntl.LOCK_EX), contextlib.suppress(FileNotFoundError):
            if path.lstat().st_mtime < than:
                path.unlink()
                return True
        return False

    def _make_folder(self, folder: Path) -> None:
        for path in (self.root, folder.parent, folder):
            if not path.is_dir():
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync_folder(path.parent)

    @contextlib.contextmanager
    def _lock(self, mode: int) -> Iterator[None]:
        """Writers share the lock, the sweep's look-and-delete has it alone."""
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)


def store() -> FileStore:
    """The store of this installation."""
    return FileStore(conf().data_dir / "artifacts")


def read(artifact_id: UUID | str) -> bytes:
    """The bytes of one artifact; Problem 404 when there is no such artifact, 410 when its file is
    not what was stored. Asks the database: for sync nodes and threads, not for an event loop."""
    try:
        found = Artifact.objects.values_list("sha256", "size").get(pk=UUID(str(artifact_id)))
    except (Artifact.DoesNotExist, ValueError):
        raise Problem(
            404, "unknown_artifact", f"There is no artifact with the id {str(artifact_id)!r}."
        ) from None
    file = open_artifact(UUID(str(artifact_id)), *found)
    try:
        return b"".join(file.pieces())
    except BytesLost as lost:
        raise _gone(artifact_id, lost) from None
    finally:
        file.close()


def open_artifact(artifact_id: UUID, sha256: str, size: int) -> StoredFile:
    """The bytes of one artifact, to be closed by the caller. Problem 410 when its file is not what
    was stored; 503 when the disk does not answer."""
    try:
        return store().open_checked(sha256, size)
    except BytesLost as lost:
        _log.warning("Artifact %s: %s (%s)", artifact_id, lost, store().path(sha256))
        raise _gone(artifact_id, lost) from None
    except ValueError:
        raise _gone(artifact_id, BytesLost(MISSING, "Its hash is none.")) from None
    except OSError as error:
        _log.warning("Artifact %s cannot be read: %s", artifact_id, error)
        detail = f"The file of artifact {artifact_id} cannot be read now ({error.strerror})."
        raise Problem(503, "storage_unavailable", f"{detail} Try again in a moment.") from None


def _gone(artifact_id: UUID | str, lost: BytesLost) -> Problem:
    advice = {
        UNREADABLE: "Make it a file that the user who runs the server may read.",
        MISSING: "Put it back from a backup, or replay its run to make it again.",
        CHANGED: "Put it back from a backup, or replay its run to make it again.",
    }
    detail = f"Artifact {artifact_id} is known, but cannot be had. {lost} {advice[lost.code]}"
    return Problem(410, lost.code, detail)


def _is_no_folder(path: Path) -> bool:
    try:
        return not stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _touch(path: Path, data: bytes) -> int | None:
    """Make the file young, and answer its inode; None when it is not there, or not what it should
    be: then it is to be replaced."""
    try:
        with open_regular(path) as file:
            if not _holds(file, data):
                return None
            os.utime(file.fileno())
            return os.fstat(file.fileno()).st_ino
    except (BytesLost, PermissionError):
        return None


def _holds(file: BinaryIO, data: bytes) -> bool:
    if os.fstat(file.fileno()).st_size != len(data):
        return False
    view, at = memoryview(data), 0
    while piece := file.read(PIECE):
        if view[at : at + len(piece)] != piece:
            return False
        at += len(piece)
    return at == len(data)


def _replace(target: Path, data: bytes) -> int:
    """Write `data` beside `target` and move it there in one step: whoever opens `target` sees all
    of it or none. A crash leaves at most the temporary file. The inode of the new file."""
    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            inode = os.fstat(file.fileno()).st_ino
        if target.is_dir() and not target.is_symlink():  # somebody's; a file cannot take its place
            os.rename(target, tempfile.mkdtemp(prefix=ASIDE, dir=target.parent))
        os.replace(temporary, target)
    except Exception:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return inode


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
