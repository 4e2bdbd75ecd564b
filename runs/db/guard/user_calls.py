"""Calls of user code that belongs to no run: the key functions and types of workflows, which the
server calls when a run is made or answered, and declared jobs.

They run on a thread whose connections, and maybe a transaction, belong to the caller: a request, a
command, a view of the project. `runs.db.guard.connection_guard` does the same for the code of runs,
on threads of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from runs.db import connections
from runs.db.guard.connection_guard import connected_here
from runs.db.guard.user_threads import LeftOpen
from runs.engine.errors import add_note

T = TypeVar("T")


def undisturbed(who: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """What `function` returns or raises; `who` names it in errors.

    Raises LeftOpen when it leaves a transaction on a connection of this thread, or changes the one
    that the caller has open. What it left is rolled back, and so is the caller's transaction then.
    An error of the function itself is raised as it is, with a note.
    """
    before = {connection: _State.of(connection) for connection in connected_here()}
    try:
        answer = function(*args, **kwargs)
    except BaseException as error:
        fault = _repair(who, before)
        if fault is not None:
            add_note(error, str(fault))
        raise
    fault = _repair(who, before)
    if fault is not None:
        raise fault
    return answer


@dataclass(frozen=True)
class _State:
    """How a connection stands. `depth`: the `atomic()` blocks that are open."""

    depth: int = 0
    autocommit: bool = True
    in_transaction: bool = False

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper) -> _State:
        return cls(
            depth=len(connection.atomic_blocks),
            autocommit=connection.autocommit or connection.connection is None,
            in_transaction=connections.in_transaction(connection.connection),
        )

    def is_kept_by(self, now: _State) -> bool:
        if (self.depth, self.autocommit) != (now.depth, now.autocommit):
            return False
        # Without autocommit the first statement begins a transaction, whoever makes it.
        return self.in_transaction == now.in_transaction or not (
            self.autocommit or self.in_transaction
        )


_CLEAN = _State()


def _repair(who: str, before: dict[BaseDatabaseWrapper, _State]) -> LeftOpen | None:
    """Leave the connections as they were `before`, as far as that can be; the fault, if one was not
    so."""
    found = []
    for connection in connected_here():
        state = before.get(connection, _CLEAN)
        if state.is_kept_by(_State.of(connection)):
            continue
        found.append(repr(connection.alias))
        if state == _CLEAN:
            connections.reset(connection)
        else:
            _roll_back_to(connection, state.depth)
    if not found:
        return None
    return LeftOpen(
        f"{who} left a transaction open, or ended one of its caller, on database"
        f" {' and '.join(found)}. It is rolled back. Begin and end a transaction in one call: `with"
        " transaction.atomic():`."
    )


def _roll_back_to(connection: BaseDatabaseWrapper, depth: int) -> None:
    """Close the `atomic()` blocks that are deeper, and let those of the caller roll back."""
    for block in connection.atomic_blocks[depth:]:
        block.using = connections.ROLLED_BACK
    del connection.atomic_blocks[depth:]
    del connection.savepoint_ids[max(depth - 1, 0) :]
    connection.in_atomic_block = connection.needs_rollback = depth > 0
