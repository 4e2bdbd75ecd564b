"""What an error of the database says: that it was not there, rather than that it refused something;
and what is to be done about it."""

from __future__ import annotations

import logging
import sqlite3

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, OperationalError, connections

from runs import database_file
from runs.database_file import DatabaseFileLost

_log = logging.getLogger("fastgraph.database")

#: Postgres has ended our connection: a transaction stood still for too long (`idle`), or took too
#: long. For Python these are internal errors.
_ENDED = ("25P03", "25P04")
#: Postgres has read a page, or an index, that is none.
_DAMAGED = ("XX001", "XX002")
_SQLITE_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SQLITE_DISK = (sqlite3.SQLITE_IOERR,)
_SQLITE_REFUSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_DISK_FULL = "53100"  # Postgres' code

_NO_ROOM = (
    "The database's disk is full: nothing new can be stored, and what was accepted goes on when"
    " there is room again. Make some, then try again."
)


class _Memory:
    #: The damage that this process has met, in a sentence.
    damage = ""


def is_outage(error: BaseException) -> bool:
    """Whether the same may work in a moment: the database was away, locked or cut us off; or once
    it is mended: its file is gone or damaged. Not what gives the same again: Postgres says
    "operational" of a value that is over one of its limits (class 54), too."""
    state = sqlstate(error)
    if isinstance(error, OperationalError | InterfaceError):
        return not state.startswith("54")
    return isinstance(error, DatabaseError) and (state in _ENDED or _is_damage(error))


def explain(error: BaseException) -> str:
    """What is wrong and what to do, where that is more than to wait. Damage is remembered."""
    if isinstance(error, DatabaseFileLost):
        return str(error)
    if _is_damage(error):
        return _lost_part() or _note_damage(error)
    code, path = _sqlite_code(error), database_file.path_of(connections[DEFAULT_DB_ALIAS])
    if code == sqlite3.SQLITE_FULL or sqlstate(error) == _DISK_FULL:
        return _NO_ROOM
    if code in _SQLITE_DISK:
        return _lost_part() or (
            f"The files of the database {path} cannot be read or written ({error}). The system's"
            " log says what is wrong with the disk. When it is mended, stop the server and start it"
            " again."
        )
    if code in _SQLITE_REFUSED:
        return _lost_part() or (
            f"The files of the database {path} cannot be used ({error}). The user who runs the"
            " server must be able to read and write them and their folder, and to open more files."
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


def _is_damage(error: BaseException) -> bool:
    return _sqlite_code(error) in _SQLITE_DAMAGED or sqlstate(error) in _DAMAGED


def _sqlite_code(error: BaseException) -> int | None:
    """SQLite's primary result code; None for an error of another database."""
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def sqlstate(error: BaseException) -> str:
    """Postgres' code of an error; empty where no server of Postgres' has answered."""
    return str(getattr(error.__cause__, "sqlstate", None) or "")
