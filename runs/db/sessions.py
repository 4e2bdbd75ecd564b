"""What a call of user code changes in its database session beyond its transaction: settings, roles,
advisory locks, temporary tables, prepared statements, channels it listens to, cursors.

Seen on the statements that go through a Django cursor, on the threads of nodes. The connection is
closed after such a call, which ends all of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, SupportsIndex
from weakref import WeakSet

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Connection, RawServerCursor, ServerCursor

_CHANGES_SESSION = re.compile(
    r"(?:\A|;)(?:\s+|--[^\n]*\n|/\*.*?\*/)*(?:"
    r"SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)|RESET\b|LISTEN\b|LOAD\b|DO\b|CALL\b|PREPARE\b|DECLARE\b"
    r"|CREATE\s+(?:OR\s+REPLACE\s+)?(?:GLOBAL\s+|LOCAL\s+)?TEMP(?:ORARY)?\b"
    r"|PRAGMA\b|ATTACH\b|DETACH\b)",
    re.IGNORECASE | re.DOTALL,
)
#: A text in quotes that looks like one costs a connection, and is right otherwise.
_ANYWHERE = re.compile(
    r"advisory_lock|set_config\s*\(|\binto\s+(?:global\s+|local\s+)?temp(?:orary)?\b", re.IGNORECASE
)


class _Session:
    """An execute wrapper of one connection. Django calls it around each statement."""

    def __init__(self) -> None:
        self.changed = False
        self.cursors: WeakSet[Any] = WeakSet()

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        self.cursors.add(context["cursor"])
        if not self.changed:
            self.changed = changes_session(sql, context["connection"])
        return execute(sql, params, many, context)


def changes_session(sql: Any, connection: BaseDatabaseWrapper) -> bool:
    """Whether the effect of a statement outlives its transaction, within its connection."""
    text: str = sql if isinstance(sql, str) else sql.as_string(connection.connection)
    if _ANYWHERE.search(text) is not None:
        return True
    if ";" not in text and text[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
        return False
    return _CHANGES_SESSION.search(text) is not None


def watch(connection: BaseDatabaseWrapper) -> None:
    """Begin to watch a connection that has just connected."""
    wrappers = connection.execute_wrappers
    # In front: the end of an `execute_wrapper` block takes away whatever is last.
    wrappers[:] = [_Session(), *others(connection)]


class _Wrappers(list[Any]):
    """Execute wrappers of which those it began with stay: an `execute_wrapper` block that ends
    after its call takes none of them away."""

    def __init__(self, kept: Sequence[Any]) -> None:
        super().__init__(kept)
        self._kept = tuple(kept)

    def pop(self, index: SupportsIndex = -1) -> Any:
        last = self[-1] if self else None
        if last is None or isinstance(last, _Session) or any(last is one for one in self._kept):
            return last
        return super().pop(index)


def others(connection: BaseDatabaseWrapper) -> list[Any]:
    """The execute wrappers of a connection that are not ours."""
    return [each for each in connection.execute_wrappers if not isinstance(each, _Session)]


def restore_wrappers(connection: BaseDatabaseWrapper, kept: Sequence[Any]) -> None:
    """Leave none but these in place; ours comes with the next connect."""
    connection.execute_wrappers = _Wrappers(kept)


def is_watched(connection: BaseDatabaseWrapper) -> bool:
    """Whether it has connected in a call of user code."""
    return _of(connection) is not None


def is_changed(connection: BaseDatabaseWrapper) -> bool:
    """Whether the session is not as it was when it began."""
    session = _of(connection)
    return session is not None and session.changed


def close_cursors(connection: BaseDatabaseWrapper) -> bool:
    """Close the cursors that are left. Whether one had rows that were not read."""
    session = _of(connection)
    if session is None or not session.cursors:
        return False
    cursors, session.cursors = session.cursors, WeakSet()
    raw = connection.connection
    was_open = False
    for cursor in cursors:
        was_open |= _is_open(raw, cursor.cursor)
        with suppress(Exception):  # it is closed
            cursor.close()
    return was_open


def _is_open(raw: Any, cursor: Any) -> bool:
    if isinstance(raw, Connection):  # others have their rows in this process
        return isinstance(cursor, ServerCursor | RawServerCursor) and not cursor.closed
    with suppress(Exception):  # it is closed, or has had no rows
        return cursor.fetchone() is not None
    return False


def _of(connection: BaseDatabaseWrapper) -> _Session | None:
    for wrapper in connection.execute_wrappers:
        if isinstance(wrapper, _Session):
            return wrapper
    return None
