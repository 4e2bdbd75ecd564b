"""What an error of the database says: that the database was away, rather than that it refused
something; and what is to be done about it."""

from __future__ import annotations

import logging

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    Error,
    InterfaceError,
    OperationalError,
    connections,
)

from runs.db.dialect import DIALECTS
from runs.db.error_kinds import ErrorKind
from runs.db.sqlite3 import database_file
from runs.db.sqlite3.database_file import DatabaseFileLost

_log = logging.getLogger("fastgraph.database")

#: What to catch in order to ask `is_transient`. Django's InterfaceError is no DatabaseError.
TRANSIENT: tuple[type[Error], ...] = (DatabaseError, InterfaceError)

_NO_ROOM = (
    "The database's disk is full: nothing new can be stored, and what was accepted goes on when"
    " there is room again. Make some, then try again."
)


class _Memory:
    #: The damage that this process has met, in a sentence.
    damage = ""


def error_kind(error: BaseException) -> ErrorKind:
    """What an error is about, whichever database it comes from."""
    for one in DIALECTS.values():
        if (kind := one.error_kind(error)) is not ErrorKind.OTHER:
            return kind
    return ErrorKind.OTHER


def is_transient(error: BaseException) -> bool:
    """Whether the same may work in a moment: the database was away, locked or cut us off; or once
    it is mended: its file is gone or damaged. Not what fails each time."""
    if isinstance(error, OperationalError | InterfaceError):
        return error_kind(error) is not ErrorKind.TOO_LARGE
    kinds = (ErrorKind.ENDED, ErrorKind.DAMAGED)
    return isinstance(error, DatabaseError) and error_kind(error) in kinds


def is_full(error: BaseException) -> bool:
    """Whether the database has no room left."""
    return error_kind(error) is ErrorKind.FULL


def explain(error: BaseException) -> str:
    """What is wrong and what to do, where that is more than to wait. Damage is remembered."""
    if isinstance(error, DatabaseFileLost):
        return str(error)
    path = database_file.path_of(connections[DEFAULT_DB_ALIAS])
    match error_kind(error):
        case ErrorKind.DAMAGED:
            return _lost_part() or _note_damage(error)
        case ErrorKind.FULL:
            return _NO_ROOM
        case ErrorKind.UNREADABLE:
            return _lost_part() or (
                f"The files of the database {path} cannot be read or written ({error}). The"
                " system's log says what is wrong with the disk. When it is mended, stop the server"
                " and start it again."
            )
        case ErrorKind.REFUSED:
            return _lost_part() or (
                f"The files of the database {path} cannot be used ({error}). The user who runs the"
                " server must be able to read and write them and their folder, and to open more"
                " files."
            )
    return ""


def _lost_part() -> str:
    """What is behind an error, if the file lacks a part or cannot be reached."""
    try:
        if path := database_file.path_of(connections[DEFAULT_DB_ALIAS]):
            database_file.require_whole(path)
    except DatabaseFileLost as lost:
        return str(lost)
    return ""


def damage() -> str:
    """What this process has met of damage in the database; empty when it has met none."""
    return _Memory.damage


def _note_damage(error: BaseException) -> str:
    path = database_file.path_of(connections[DEFAULT_DB_ALIAS])
    advice = (
        f"Stop the server, and put a backup in its place, without the -wal and -shm that are beside"
        f" it; or save what can be read, with"
        f" `sqlite3 {path} .recover | sqlite3 saved.sqlite3`, and use that."
        if path
        else "Its server's log says more; put back a backup."
    )
    what = " ".join(str(error).split())
    message = f"The database {path} is damaged ({what}). {advice}".replace("  ", " ")
    if not _Memory.damage:
        _log.error("%s", message)
    _Memory.damage = message
    return message
