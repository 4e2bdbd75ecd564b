"""Rows that somebody else has locked: to be left for later, never to be waited for."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from runs.models import Run


def free(found: QuerySet[Run]) -> list[UUID]:
    """The ids of those runs that nobody else has locked; they stay locked until the end of the
    caller's transaction. On SQLite all of them: there the transaction holds the whole database."""
    # Not FOR UPDATE: an event that is being inserted for a run must not make it look taken.
    locked = found.order_by("id").select_for_update(skip_locked=True, no_key=True)
    return list(locked.values_list("id", flat=True))
