"""Whether an error says that the database was not there, rather than that it refused something."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, OperationalError

#: Postgres has ended our connection: a transaction stood still for too long (`idle`), or took too
#: long. For Python these are internal errors.
_ENDED = ("25P03", "25P04")


def is_outage(error: BaseException) -> bool:
    """Whether the same may work in a moment: the database was away, locked or cut us off. Not what
    gives the same again: Postgres says "operational" of a value that is over one of its limits
    (class 54), too."""
    state = str(getattr(error.__cause__, "sqlstate", None) or "")
    if isinstance(error, OperationalError | InterfaceError):
        return not state.startswith("54")
    return isinstance(error, DatabaseError) and state in _ENDED
