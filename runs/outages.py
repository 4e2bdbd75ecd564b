"""Former names of `runs.db.errors`."""

from __future__ import annotations

from runs.db.errors import damage, explain
from runs.db.errors import is_transient as is_outage

__all__ = ["damage", "explain", "is_outage"]
