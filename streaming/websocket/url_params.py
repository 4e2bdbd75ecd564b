"""The path and the query parameters of a socket's address."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from runs.http.parameters import parse_uuid
from runs.models import RunStatus
from streaming.cursors import parse_seq
from streaming.hub.run_feed import Filter


class CloseSocket(Exception):
    """Raised to close the socket with `code` and a short `reason`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class RunQuery:
    """Follow one run from the event after `after`."""

    run_id: UUID
    after: int


@dataclass(frozen=True, kw_only=True)
class FeedQuery:
    """Follow the changes of the runs that pass `filter`, or of none if it is not `enabled`."""

    filter: Filter
    enabled: bool


def parse_run(run_id: str, query: bytes) -> RunQuery:
    """Parse the address of a socket for one run.

    Raises CloseSocket 4400 for an id that is no UUID or an `after` that is no seq.
    """
    try:
        parsed = UUID(run_id)
    except ValueError:
        raise CloseSocket(4400, "the run id is not a UUID") from None
    if str(parsed) != run_id.lower():
        raise CloseSocket(4400, "the run id is not a UUID in its usual form")
    values = _read(query, "after")
    after = parse_seq(values.get("after") or "0")
    if after is None:
        raise CloseSocket(4400, "after is not a whole number from 0 up")
    return RunQuery(run_id=parsed, after=after)


def parse_feed(query: bytes) -> FeedQuery:
    """Parse the query of the feed. `status` may name several, with commas.

    Raises CloseSocket 4400 for an unknown status or a thread that is no id.
    """
    values = _read(query, "workflow", "status", "thread", "feed")
    statuses = frozenset(name for name in values.get("status", "").split(",") if name)
    if unknown := statuses - set(RunStatus.values):
        raise CloseSocket(4400, f"no such status: {', '.join(sorted(unknown))[:60]}")
    thread = values.get("thread")
    thread_id = parse_uuid(thread) if thread else None
    if thread and not thread_id:
        raise CloseSocket(4400, "the thread is not a UUID")
    feed = values.get("feed") or "on"
    if feed not in ("on", "off"):
        raise CloseSocket(4400, "feed is on or off")
    filter = Filter(workflow=values.get("workflow") or None, statuses=statuses, thread_id=thread_id)
    return FeedQuery(filter=filter, enabled=feed == "on")


def _read(query: bytes, *known: str) -> dict[str, str]:
    """The values by name.

    Raises CloseSocket 4400 for a parameter that is unknown or repeated: a misspelt one would be
    ignored otherwise.
    """
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise CloseSocket(4400, "too many parameters") from None
    values = dict(pairs)
    if unknown := set(values) - set(known):
        raise CloseSocket(4400, f"no such parameter: {min(unknown)[:60]}")
    if len(values) < len(pairs):
        raise CloseSocket(4400, "a parameter is given more than once")
    return values
