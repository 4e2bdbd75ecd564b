"""Which runs were deleted lately, each reported once."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from runs.models import DeletedRun
from streaming.hub.reader import Reader


class Deletions:
    """Reads the tombstones of deleted runs.

    They may become visible in another order than that of their times. So each look goes back over
    a window and leaves out what was reported.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._reported: dict[UUID, datetime] = {}
        self._edge = timezone.now()

    async def begin(self, window: timedelta) -> None:
        """Count all deletions until now as reported."""
        self._edge, self._reported = timezone.now(), {}
        await self.read_new(window, window)

    async def read_new(self, window: timedelta, max_window: timedelta) -> list[DeletedRun]:
        """The deletions that became visible since the last call. `max_window` is the longest
        `window` of any call."""
        rows = await self._reader.read(_deleted, self._edge - window)
        new = [row for row in rows if row.id not in self._reported]
        if new:
            self._edge = max(self._edge, min(new[-1].deleted_at, timezone.now()))
            reported = {**self._reported, **{row.id: row.deleted_at for row in new}}
            oldest = self._edge - max_window
            self._reported = {run_id: at for run_id, at in reported.items() if at >= oldest}
        return new


def _deleted(since: datetime) -> list[DeletedRun]:
    return list(DeletedRun.objects.filter(deleted_at__gte=since).order_by("deleted_at"))
