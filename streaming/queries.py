"""What clients ask of a socket, in its path and query."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from runs.api.parameters import parse_uuid
from runs.models import RunStatus
from streaming.cursors import parse_seq
from streaming.feed import Filter


class Refused(Exception):
    """A socket that is closed with `code`, and a few words that say why."""

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
    """Follow the changes of the runs that pass `filter`; of none unless `told`."""

    filter: Filter
    told: bool


def parse_run(run_id: str, query: bytes) -> RunQuery:
    """Refused with 4400 for an id that is no UUID or an `after` that is no seq."""
    try:
        parsed = UUID(run_id)
    except ValueError:
        raise Refused(4400, "the run id is not a UUID") from None
    if str(parsed) != run_id.lower():
        raise Refused(4400, "the run id is not a UUID in its usual form")
    given = _read(query, "after")
    after = parse_seq(given.get("after") or "0")
    if after is None:
        raise Refused(4400, "after is not a whole number from 0 up")
    return RunQuery(run_id=parsed, after=after)


def parse_feed(query: bytes) -> FeedQuery:
    """Refused with 4400 for a status that there is not, or a thread that is no id. `status` may
    name several, with commas."""
    given = _read(query, "workflow", "status", "thread", "feed")
    statuses = frozenset(name for name in given.get("status", "").split(",") if name)
    if unknown := statuses - set(RunStatus.values):
        raise Refused(4400, f"no such status: {', '.join(sorted(unknown))[:60]}")
    thread = given.get("thread")
    thread_id = parse_uuid(thread) if thread else None
    if thread and not thread_id:
        raise Refused(4400, "the thread is not a UUID")
    feed = given.get("feed") or "on"
    if feed not in ("on", "off"):
        raise Refused(4400, "feed is on or off")
    wanted = Filter(workflow=given.get("workflow") or None, statuses=statuses, thread_id=thread_id)
    return FeedQuery(filter=wanted, told=feed == "on")


def _read(query: bytes, *known: str) -> dict[str, str]:
    """The parameters that are given. Refused with 4400 for one that is not known here, or given
    twice: what is misspelt would be lost."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise Refused(4400, "too many parameters") from None
    given = dict(pairs)
    if unknown := set(given) - set(known):
        raise Refused(4400, f"no such parameter: {min(unknown)[:60]}")
    if len(given) < len(pairs):
        raise Refused(4400, "a parameter is given more than once")
    return given
