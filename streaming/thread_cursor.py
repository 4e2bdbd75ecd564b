"""Where a client is in the events of a thread, whose runs are numbered each for itself."""

from __future__ import annotations

import re
from uuid import UUID

from runs.api.parameters import parse_uuid

#: Ids are in the order of time, but a run may become visible after one that was made later. So
#: much later, and it would be missed. Milliseconds.
LATE = 60_000
#: Runs that have ended are listed for that long, unless there are too many of them.
MOST_ENDED = 50

_PLACE = re.compile(r"([0-9a-fA-F-]{36}):([0-9]{1,18})")


class ThreadCursor:
    """The last seq that was sent of each run that is not over, and of those that ended lately, as
    text `run:seq,run:seq`. What is older than the newest of them and not listed is over."""

    def __init__(self) -> None:
        self.places: dict[UUID, int] = {}
        self._ended: set[UUID] = set()

    @classmethod
    def parse(cls, text: str) -> ThreadCursor | None:
        """The cursor that `text` is; None when it is none. Empty text is the beginning."""
        cursor = cls()
        for place in text.split(",") if text else ():
            match = _PLACE.fullmatch(place)
            run_id = parse_uuid(match[1]) if match else None
            if match is None or run_id is None:
                return None
            cursor.places[run_id] = int(match[2])
        return cursor

    @property
    def horizon(self) -> UUID:
        """Runs with a lower id that are not listed are over."""
        newest = max(self.places, default=UUID(int=0))
        return UUID(int=max((newest.int >> 80) - LATE, 0) << 80)

    def begin(self, run_id: UUID) -> int:
        """List the run; where to begin to read it."""
        return self.places.setdefault(run_id, 0)

    def end(self, run_id: UUID) -> None:
        """Everything of the run was sent."""
        self._ended.add(run_id)
        kept = sorted(self._ended, reverse=True)[:MOST_ENDED]
        newest = max(self.places)
        for ended in self._ended - {each for each in kept if each > self.horizon}:
            if ended != newest:
                self._ended.discard(ended)
                self.places.pop(ended, None)

    def __str__(self) -> str:
        return ",".join(f"{run_id}:{seq}" for run_id, seq in self.places.items())
