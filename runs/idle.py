"""Former names of `runs.db.idle_timeout`."""

from __future__ import annotations

from runs.db.idle_timeout import connect
from runs.db.idle_timeout import disable_for_thread as spare_here
from runs.db.idle_timeout import enable_for_thread as end_here
from runs.db.idle_timeout import enable_for_transaction as end_this
from runs.db.idle_timeout import is_enabled as is_ours

__all__ = ["connect", "end_here", "end_this", "is_ours", "spare_here"]
