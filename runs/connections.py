"""Former place of `runs.db.connections`."""

from __future__ import annotations

from runs.db.connections import (
    ROLLED_BACK,
    abandon,
    before_setup,
    end_session,
    in_transaction,
    keep_wrappers,
    leftovers,
    leftovers_in_transaction,
    note_connection,
    note_wrappers,
    of_thread,
    refresh,
    reset,
)

__all__ = [
    "ROLLED_BACK",
    "abandon",
    "before_setup",
    "end_session",
    "in_transaction",
    "keep_wrappers",
    "leftovers",
    "leftovers_in_transaction",
    "note_connection",
    "note_wrappers",
    "of_thread",
    "refresh",
    "reset",
]
