"""What a reason for not moving looks like, and the words for times in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One reason. `code` is stable and for programs, `detail` a sentence for people; `until` is
    when it is over at the latest, if that is known."""

    code: str
    detail: str
    until: datetime | None = None


def within(moment: datetime, now: datetime) -> str:
    """How long it is from `now` to `moment`."""
    seconds = (moment - now).total_seconds()
    return f"in {seconds:.0f} s" if seconds > 0 else "now"
