"""Rows that somebody else has locked: to be left for later, never to be waited for."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


def lock_available(queryset: QuerySet[M]) -> list[UUID]:
    """The ids of those rows that nobody else has locked. They stay locked until the end of the
    caller's transaction. On SQLite that is all of them: there the transaction holds the whole
    database."""
    # Not FOR UPDATE: an event that is being inserted for a run must not make it look taken.
    locked = queryset.order_by("id").select_for_update(skip_locked=True, no_key=True)
    return list(locked.values_list("id", flat=True))
