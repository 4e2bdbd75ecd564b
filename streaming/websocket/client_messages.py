"""The messages of clients on the socket `/api/ws/`: one JSON object each."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson

from runs.http.parameters import parse_uuid
from streaming.cursors import BIGGEST_SEQ

MESSAGES_PER_SECOND = 50.0  # messages a second that a client may send in the long run …
MESSAGE_BURST = 1000  # … and at once, as one does that comes back and subscribes to all it shows
FRAMES_PER_SECOND = 100.0  # frames a second, of every kind, of which a message may have many …
FRAME_BURST = 2000  # … and at once
MAX_ID_LENGTH = 100

#: The fields of each type of message beside `type` and `id`.
FIELDS: Mapping[str, Sequence[str]] = {
    "subscribe": ("run_id", "after"),
    "unsubscribe": ("run_id",),
    "ping": (),
    "cancel": ("run_id", "reason"),
    "resume": ("run_id", "resume"),
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """A valid message. `id` is the client's own and comes back with the answer; `run_id` and
    `after` belong to a subscription."""

    kind: Literal["subscribe", "unsubscribe", "ping"]
    id: str | int | None
    run_id: UUID | None = None
    after: int = 0


@dataclass(frozen=True, kw_only=True)
class Command:
    """A message that asks to do something to a run: `argument` is the reason, or the answer."""

    kind: Literal["cancel", "resume"]
    id: str | int | None
    run_id: UUID
    argument: object


class InvalidMessage(Exception):
    """A message that is answered with an error, after which the socket goes on."""

    def __init__(self, code: str, detail: str, id: str | int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.id = id


def parse(text: str | bytes) -> Message | Command:
    """Parse a message. Raises InvalidMessage."""
    try:
        message = orjson.loads(text)
    except ValueError:
        raise InvalidMessage("malformed_json", "This message is not JSON.") from None
    if not isinstance(message, dict):
        raise InvalidMessage("invalid", "A message is a JSON object with a `type`.")
    own = _id(message)
    _refuse_unknown_fields(message, own)
    match message["type"]:
        case "ping":
            return Message(kind="ping", id=own)
        case "subscribe":
            run_id, after = _run_id(message, own), _after(message, own)
            return Message(kind="subscribe", id=own, run_id=run_id, after=after)
        case "unsubscribe":
            return Message(kind="unsubscribe", id=own, run_id=_run_id(message, own))
        case "cancel":
            reason = message.get("reason", "")
            return Command(kind="cancel", id=own, run_id=_run_id(message, own), argument=reason)
        case _:
            return _resume(message, text, own)


def _resume(message: dict[str, Any], text: str | bytes, own: str | int | None) -> Command:
    run_id = _run_id(message, own)
    if "resume" not in message:
        raise InvalidMessage("invalid", "`resume` must be the answer.", own)
    # Read again: an answer is stored, and orjson makes floats of whole numbers beyond 64 bits.
    try:
        answer = json.loads(text)["resume"]
    except (ValueError, RecursionError):
        raise InvalidMessage("invalid", "`resume` is nested too deeply.", own) from None
    return Command(kind="resume", id=own, run_id=run_id, argument=answer)


def _refuse_unknown_fields(message: dict[str, Any], own: str | int | None) -> None:
    """As strictly as REST: a misspelt field would be ignored."""
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise InvalidMessage("unknown_type", f"`type` must be one of {', '.join(FIELDS)}.", own)
    known = ("type", "id", *FIELDS[kind])
    if unknown := [name[:100] for name in message if name not in known]:
        detail = f"Unknown field `{unknown[0]}`. Known: {', '.join(known)}."
        raise InvalidMessage("invalid", detail, own)


class RateLimit:
    """How much a client may send: `burst` at once, then `rate` a second."""

    def __init__(self, burst: int, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._left = float(burst)
        self._at = time.monotonic()

    def spend(self) -> bool:
        """Count one more. False: that was too many."""
        now = time.monotonic()
        self._left = min(self._left + (now - self._at) * self._rate, self._burst) - 1
        self._at = now
        return self._left >= 0


def message_limit() -> RateLimit:
    """The limit of a client's messages."""
    return RateLimit(MESSAGE_BURST, MESSAGES_PER_SECOND)


def frame_limit() -> RateLimit:
    """The limit of the frames of its connection: pings, pongs and fragments, too."""
    return RateLimit(FRAME_BURST, FRAMES_PER_SECOND)


def _id(message: dict[str, Any]) -> str | int | None:
    own = message.get("id")
    number = isinstance(own, int) and not isinstance(own, bool)
    if own is None or number or (isinstance(own, str) and len(own) <= MAX_ID_LENGTH):
        return own
    raise InvalidMessage("invalid", f"`id` must be a number or at most {MAX_ID_LENGTH} characters.")


def _run_id(message: dict[str, Any], own: str | int | None) -> UUID:
    text = message.get("run_id")
    run_id = parse_uuid(text) if isinstance(text, str) else None
    if run_id is None:
        raise InvalidMessage("invalid", "`run_id` must be the id of a run.", own)
    return run_id


def _after(message: dict[str, Any], own: str | int | None) -> int:
    after = message.get("after", 0)
    if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= BIGGEST_SEQ:
        raise InvalidMessage("invalid", "`after` must be a whole number from 0 up.", own)
    return after
