"""Former name of `runs.db.locking`."""

from __future__ import annotations

from runs.db.locking import lock_available as free

__all__ = ["free"]
