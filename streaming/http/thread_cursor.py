"""Where a client is in the events of a thread, whose runs are numbered each for itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID
from zlib import crc32

from runs.http.parameters import parse_uuid

#: On Postgres an event may become visible after one that has a higher id, but not after so many
#: groups of ids; the lower bits of an id are its place in its group.
LATE, _GROUP = 64, 10

_TEXT = re.compile(r"([0-9]{1,18})\.([0-9]{1,6})\.([0-9a-f]{8})")
_PLACE = re.compile(r"([0-9a-fA-F-]{36}):([0-9]{1,18})")


@dataclass(frozen=True, kw_only=True)
class ParsedCursor:
    """What the text of a cursor says. `places`: that of an earlier version, by run."""

    last: int = 0
    count: int = 0
    places: Mapping[UUID, int] = field(default_factory=dict)


class ThreadCursor:
    """The newest event that was sent, and how many before it lately: `id.count.check`.

    All events with lower ids were sent, unless one became visible since. Then there are more than
    were counted; and who comes back with the cursor is sent the latest once more, to miss none.
    """

    def __init__(self, thread_id: UUID, last: int = 0) -> None:
        self._thread_id = thread_id
        self.last = last
        self._counts: Counter[int] = Counter()

    @property
    def floor(self) -> int:
        """Events with lower ids are not counted any more: they can all be seen."""
        return max((self.last >> _GROUP) - LATE, 0) << _GROUP

    @property
    def total(self) -> int:
        """How many events are counted."""
        return self._counts.total()

    def sent(self, event_id: int) -> None:
        """Count an event. Those before it were sent."""
        self.count([event_id])
        if event_id > self.last:
            self.last = event_id
            low = self.floor >> _GROUP
            for group in [group for group in self._counts if group < low]:
                del self._counts[group]

    def count(self, event_ids: Iterable[int]) -> None:
        """Count events that were sent before."""
        self._counts.update(event_id >> _GROUP for event_id in event_ids)

    def __str__(self) -> str:
        text = f"{self.last}.{self.total}"
        return f"{text}.{_check(self._thread_id, text)}"


def parse(thread_id: UUID, text: str) -> ParsedCursor | None:
    """What the cursor of a thread says; None for text that is none, or of another thread. Empty
    text is the beginning."""
    if not text:
        return ParsedCursor()
    if match := _TEXT.fullmatch(text):
        last, count, check = match.groups()
        known = _check(thread_id, f"{last}.{count}") == check
        return ParsedCursor(last=int(last), count=int(count)) if known else None
    places = {}
    for place in text.split(","):
        match = _PLACE.fullmatch(place)
        run_id = parse_uuid(match[1]) if match else None
        if match is None or run_id is None:
            return None
        places[run_id] = int(match[2])
    return ParsedCursor(places=places)


def _check(thread_id: UUID, text: str) -> str:
    return f"{crc32(f'{thread_id}:{text}'.encode()):08x}"
