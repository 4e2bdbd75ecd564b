"""All that differs between databases, behind one protocol.

No module outside this package asks which database it has. A new database is a module here with a
class that has these methods, and a line in `DIALECTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper

from runs.db.columns import Row
from runs.db.error_kinds import ErrorKind
from runs.db.postgres import Postgres
from runs.db.sqlite import Sqlite
from runs.db.writes import Write


class Dialect(Protocol):
    """One kind of database. SQL is written with `%s` for parameters everywhere."""

    #: The `vendor` of its connections. Caches of SQL texts use it as their key.
    name: str
    #: Whether a transaction that writes locks the whole database, so that rows need no locks.
    locks_whole_database: bool
    #: How the driver takes values of Python types that it does not know.
    adapters: Mapping[type, Callable[[Any], Any]]

    def __hash__(self) -> int: ...

    def id(self, text: str) -> str:
        """An id, from its text, as the driver takes it."""
        ...

    def time(self, moment: datetime) -> Any:
        """A time as the driver takes it."""
        ...

    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        """A new cursor of the driver."""
        ...

    def driver_sql(self, statement: str) -> str:
        """`statement` with the placeholders of the driver."""
        ...

    def begin(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """A transaction in as few round trips as possible. It commits at the end of the block, or
        rolls back if the block raises."""
        ...

    def fetch(
        self, connection: BaseDatabaseWrapper, statement: str, params: Sequence[Any]
    ) -> list[Row]:
        """The rows that `statement` gives, after all that was written before."""
        ...

    def write(self, connection: BaseDatabaseWrapper, write: Write) -> None:
        """Write rows. Inside `begin` they may be sent later, at the latest with the commit."""
        ...

    def bind(self, statement: str, params: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """A statement that is used again and again with the same `params`, and the params that are
        left to be sent with it."""
        ...

    def lock_rows(
        self, select: str, *, key: str, where: str, ids: Sequence[str]
    ) -> tuple[str, Sequence[Any]]:
        """`select` of the rows whose `key` is in `ids` and that fulfil `where`. They stay locked
        until the end of the transaction, in the order of their keys, so that two transactions
        cannot wait for each other."""
        ...

    def lock_counters(self, connection: BaseDatabaseWrapper) -> None:
        """Let no other transaction count running runs until the end of this one."""
        ...

    def limit_idle(self, connection: BaseDatabaseWrapper, seconds: float, *, local: bool) -> None:
        """End a transaction that is idle for so long. `local`: only the one that is open."""
        ...

    def pairs_table(self) -> str:
        """SQL of a table `(id, head)` from the params that `pairs` gives."""
        ...

    def pairs(self, heads: Mapping[Any, int]) -> Sequence[Any]:
        """The params of `pairs_table`: a number for each id, in a fixed number of params."""
        ...

    def unindexed(self, expression: str) -> str:
        """`expression`, for which the planner should use no index."""
        ...

    def byte_length(self, expression: str) -> str:
        """SQL of the number of bytes of a text."""
        ...

    def add_function(
        self, connection: BaseDatabaseWrapper, name: str, function: Callable[[Any], Any]
    ) -> None:
        """Make a pure function of one text known to the connection, where SQL lacks it."""
        ...

    def error_kind(self, error: BaseException) -> ErrorKind:
        """What an error is about; OTHER for errors of other databases."""
        ...

    def issues(self, config: Mapping[str, Any]) -> list[CheckMessage]:
        """What is wrong with its settings in DATABASES."""
        ...

    def live_issues(self, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
        """What is wrong with the database itself. Asks it."""
        ...


DIALECTS: Mapping[str, Dialect] = {one.name: one for one in (Sqlite(), Postgres())}


class UnsupportedDatabase(ImproperlyConfigured):
    """Runs cannot be kept in this kind of database."""


def dialect(connection: BaseDatabaseWrapper) -> Dialect:
    """The dialect of a connection.

    Raises UnsupportedDatabase for a database that runs cannot be kept in.
    """
    try:
        return DIALECTS[connection.vendor]
    except KeyError:
        raise UnsupportedDatabase(unsupported(connection)) from None


def dialect_or_none(connection: BaseDatabaseWrapper) -> Dialect | None:
    """The dialect of a connection that may be of user code, to any database."""
    return DIALECTS.get(connection.vendor)


def locks_whole_database(connection: BaseDatabaseWrapper) -> bool:
    """Whether a transaction that writes there, of ours or of user code, locks out all others."""
    known = dialect_or_none(connection)
    return known is not None and known.locks_whole_database


def unsupported(connection: BaseDatabaseWrapper) -> str:
    """Why runs cannot be kept in the database of `connection`, in a sentence; empty if they can."""
    if connection.vendor in DIALECTS:
        return ""
    engine = connection.settings_dict["ENGINE"]
    return f"Runs cannot be kept in {engine}: only SQLite and Postgres are supported."
