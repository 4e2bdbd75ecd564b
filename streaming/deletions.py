"""Which runs were deleted lately, each told once."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from runs.models import DeletedRun
from streaming.reader import Reader


class Deletions:
    """Reads the notes of deleted runs. They may become visible in another order than that of their
    times, so each look goes back over a window and leaves out what it has told."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._told: dict[UUID, datetime] = {}
        self._edge = timezone.now()

    async def begin(self, window: timedelta) -> None:
        """What was deleted until now is no news."""
        self._edge, self._told = timezone.now(), {}
        await self.news(window, window)

    async def news(self, window: timedelta, longest: timedelta) -> list[DeletedRun]:
        """The runs whose deletion became visible since. `longest` is the longest `window` that
        will be asked for."""
        found = await self._reader.read(_deleted, self._edge - window)
        news = [each for each in found if each.id not in self._told]
        if news:
            self._edge = max(self._edge, min(news[-1].deleted_at, timezone.now()))
            told = {**self._told, **{each.id: each.deleted_at for each in news}}
            oldest = self._edge - longest
            self._told = {run_id: at for run_id, at in told.items() if at >= oldest}
        return news


def _deleted(since: datetime) -> list[DeletedRun]:
    return list(DeletedRun.objects.filter(deleted_at__gte=since).order_by("deleted_at"))
