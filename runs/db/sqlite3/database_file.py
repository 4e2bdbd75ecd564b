"""The file of an SQLite database: made for its owner alone, and watched.

A connection to a file that was deleted, replaced or cut short goes on as if nothing had happened,
and all that it stores is gone when it closes.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runs.db.sqlite3 import database_pages

_log = logging.getLogger("fastgraph.database")

#: A file's device and number; None when there is none.
FileKey = tuple[int, int] | None


class DatabaseFileLost(OperationalError):
    """The file of the database is not the one that this process, or this connection, has opened."""


class Files(NamedTuple):
    """The database's file and the two that SQLite keeps beside it, as one connection found them."""

    path: str
    main: FileKey
    log: FileKey  # the write-ahead log
    shared: FileKey  # the log's index, in memory that the processes share


class _Process:
    """What this process, and those that it forks, must find at the path of the database."""

    name: str = ""  # as it is in the settings
    path: str = ""  # with all symbolic links followed: SQLite keeps its files beside that
    main: FileKey = None
    filled: bool = False  # it had content
    empty: str = ""  # it was said of this file that it is empty
    #: What was seen once and cannot be mended while connections are open.
    lost: str = ""


_open: WeakSet[BaseDatabaseWrapper] = WeakSet()
_lock = threading.Lock()


def look(path: str) -> Files:
    """The files at `path` now."""
    return Files(path, _key(path), _key(f"{path}-wal"), _key(f"{path}-shm"))


def expect(alias: str = DEFAULT_DB_ALIAS) -> None:
    """From now on this process, and what it forks, serves the file that is there: it opens no other
    and makes none."""
    _Process.name = ""
    _Process.path = path_of(connections[alias])
    _Process.name = str(connections[alias].settings_dict["NAME"])
    _Process.main, _Process.lost = _key(_Process.path), ""
    _Process.filled = bool(_Process.path) and not _is_empty(_Process.path)


def anchor(alias: str = DEFAULT_DB_ALIAS) -> BaseDatabaseWrapper | None:
    """A connection that is to stay open as long as the process, so that it is noticed when the log
    is deleted while no other connection is open. None where there is nothing to watch."""
    connection = connections.create_connection(alias)
    if not path_of(connection):
        return None
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        _log.error("%s", error)
    return connection


def path_of(connection: BaseDatabaseWrapper) -> str:
    """The path of its database file, no symbolic link; empty for other databases, for one in
    memory, and for an address (`file:…`), whose options are its owner's."""
    if connection.vendor != "sqlite" or connection.is_in_memory_db():  # type: ignore[attr-defined]
        return ""
    name = str(connection.settings_dict["NAME"])
    if name.startswith("file:"):
        return ""
    return _Process.path if name == _Process.name else os.path.realpath(name)


def prepare(path: str) -> None:
    """Before a connection: make the file if it is not there, readable by its owner only.
    DatabaseFileLost in a process that expects another one."""
    if path == _Process.path:
        if _Process.lost:
            raise DatabaseFileLost(_Process.lost)
        _require(_Process.main, path)
        _require_content(Files(path, _Process.main, None, None), log=False)
    if _exists(path):
        if path != _Process.empty and _is_empty(path) and _was_used(Path(path).parent):
            _Process.empty = path  # once: it stays empty until something is stored
            _log.warning(
                "The database file %s is empty, though its folder was used before. If it was"
                " emptied by mistake, stop the server, put a backup in its place, and start again.",
                path,
            )
        return
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:  # another process was faster
        return
    except OSError as error:
        raise OperationalError(
            f"The database file {path} cannot be made: {error.strerror}."
        ) from None
    _Process.empty = path
    if _was_used(Path(path).parent):
        _log.warning(
            "There was no database file %s, though its folder was used before: a new, empty one was"
            " made. If the old one was moved, stop the server, put it back, and start again.",
            path,
        )


def opened(connection: BaseDatabaseWrapper, path: str) -> Files:
    """After a connection: what it has opened. DatabaseFileLost when others of this process have
    other files open at the same path."""
    found = look(path)
    if path == _Process.path:
        _require(_Process.main, path)
    _require_content(found, log=False)
    if path == _Process.path:
        with _lock:
            others = [one.files for one in _open if one.connection is not None]  # type: ignore[attr-defined]
            _open.add(connection)
        for other in others:
            if other is not None and other.path == path:
                _compare(other, found)
    return found


def check(connection: BaseDatabaseWrapper) -> None:
    """DatabaseFileLost when the file that `connection` has open is not at its path any more, or
    lacks pages. Costs four calls of the system: stat, getpid, pread and fstat."""
    if files := _watched(connection):
        _require(files.main, files.path)
        _require_content(files, log=False)


def check_before_commit(connection: BaseDatabaseWrapper) -> None:
    """DatabaseFileLost when the file or the log lacks a part. What is about to be written could
    fill the gap, and nobody would see it any more."""
    if files := _watched(connection):
        _require_content(files, log=True)


def check_after_commit(connection: BaseDatabaseWrapper) -> None:
    """DatabaseFileLost when the file that `connection` has open, or one of the two beside it, is
    not at its path any more."""
    if files := _watched(connection):
        _compare(files, look(files.path))


def check_all(connection: BaseDatabaseWrapper) -> None:
    """All of these."""
    check_after_commit(connection)
    check_before_commit(connection)


def _watched(connection: BaseDatabaseWrapper) -> Files | None:
    """What `connection` has opened; None when there is nothing to watch."""
    files: Files | None = getattr(connection, "files", None)
    if files is not None and _Process.lost and files.path == _Process.path:
        raise DatabaseFileLost(_Process.lost)
    return files


def require_whole(path: str) -> None:
    """DatabaseFileLost when the files at `path` cannot be reached or lack a part: what is behind an
    error of SQLite's."""
    _require_content(look(path), log=True)


def _compare(opened: Files, now: Files) -> None:
    _require(opened.main, opened.path)
    for suffix, before, after in (
        ("-wal", opened.log, now.log),
        ("-shm", opened.shared, now.shared),
    ):
        if before is not None and before != after:
            what = "was replaced" if after else "is gone"
            _lose(
                opened.path,
                f"{opened.path}{suffix}, a part of the database, {what} while it was in use:"
                " nothing is accepted, as it would be lost. Put it back if you have moved it, then"
                " stop the server and start it again.",
            )


def _require_content(files: Files, *, log: bool) -> None:
    """DatabaseFileLost when the database lacks pages, or, if asked, its `log` lacks frames."""
    path, cut = files.path, ""
    filled = path == _Process.path and _Process.filled
    try:
        if files.main and not database_pages.has_all_pages(path, files.main, filled=filled):
            cut = path
        elif log and files.shared and not database_pages.has_all_frames(path, files.shared):
            cut = f"{path}-wal"
    except OSError as error:
        raise DatabaseFileLost(_refusal(path, error)) from None
    if cut:
        _lose(
            path,
            f"The database file {cut} was cut short or overwritten: a part of it is missing."
            " Nothing is accepted, as it would be lost. To go on, stop the server, put a backup in"
            f" the place of {path}, delete the -wal and -shm beside it, and start again.",
        )


def _lose(path: str, message: str) -> None:
    """Raise DatabaseFileLost, in this process for ever if it serves the file at `path`."""
    if path == _Process.path and not _Process.lost:
        _Process.lost = message
        _log.error("%s", message)
    raise DatabaseFileLost(message)


def _require(expected: FileKey, path: str) -> None:
    found = _key(path)
    if path == _Process.path != _Process.name:  # the link is to lead to it still
        found = found and _key(_Process.name, follow=True)
    if expected is not None and found == expected:
        return
    if found is None:
        what = "is gone: it was deleted or moved, or its folder was"
    elif expected is None:
        what = "was not there when the server started"
    else:
        what = "is another file than the one that the server has opened: it was replaced"
    raise DatabaseFileLost(
        f"The database file {path} {what}. Nothing is accepted, as it would be lost. Put the file"
        " back, and all goes on; or stop the server, and start it again with the file that is to be"
        " used (`manage.py serve --migrate` makes a new one)."
    )


def _refusal(path: str, error: OSError) -> str:
    advice = "Let the user who runs the server read and write it and its folder."
    if error.errno == errno.EMFILE:
        advice = "This process has as many files open as it may: raise that limit (`ulimit -n`)."
    elif error.errno == errno.ENFILE:
        advice = "This host has as many files open as it may: raise that limit (`fs.file-max`)."
    return (
        f"The database file {path} cannot be reached: {error.strerror}. Nothing is accepted until"
        f" it can. {advice}"
    )


def _key(path: str, *, follow: bool = False) -> FileKey:
    """Which file is at `path`; None when there is none. DatabaseFileLost when nobody can say. A
    symbolic link is another file: SQLite would look for the log beside what it leads to."""
    try:
        found = os.stat(path, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DatabaseFileLost(_refusal(path, error)) from None
    return found.st_dev, found.st_ino


def _exists(path: str) -> bool:
    """Whether there is something at `path`, which is never opened here: closing it would free
    SQLite's locks."""
    return _key(path) is not None


def _is_empty(path: str) -> bool:
    try:
        return os.stat(path).st_size == 0
    except OSError:
        return True


def _was_used(folder: Path) -> bool:
    """Whether a server has executed runs with this data folder."""
    return (folder / "slots").is_dir() or (folder / "artifacts").is_dir()
