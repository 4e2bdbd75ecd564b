"""What an error of a database is about, whichever database it is."""

from __future__ import annotations

from enum import Enum, auto


class ErrorKind(Enum):
    """Every dialect sorts its driver's errors into these."""

    #: No more bytes can be stored.
    FULL = auto()
    #: A page or an index is not what it was.
    DAMAGED = auto()
    #: The files cannot be read or written: the disk is at fault.
    UNREADABLE = auto()
    #: The files cannot be opened: permissions, or too many open files.
    REFUSED = auto()
    #: Another connection holds the whole database for longer than we wait.
    LOCKED = auto()
    #: The server lets nobody in, or cannot be reached.
    UNREACHABLE = auto()
    #: The server ended our transaction or our connection.
    ENDED = auto()
    #: The value or the statement is over one of the database's limits: it fails each time.
    TOO_LARGE = auto()
    #: Anything else.
    OTHER = auto()
