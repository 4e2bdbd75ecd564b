"""What clients may say on the socket `/api/ws/`, one JSON object a message."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson

from runs.api.parameters import parse_uuid
from streaming.cursors import BIGGEST_SEQ

RATE = 50.0  # messages a second that a client may send in the long run …
BURST = 1000  # … and at once, as one does that comes back and subscribes to all it shows
FRAME_RATE = 100.0  # frames a second, of every kind, of which a message may have many …
FRAME_BURST = 2000  # … and at once
LONGEST_ID = 100

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
    """A message that is understood. `id` is the client's own, and comes back with the answer;
    `run_id` and `after` are those of a subscription."""

    kind: Literal["subscribe", "unsubscribe", "ping"]
    id: str | int | None
    run_id: UUID | None = None
    after: int = 0


@dataclass(frozen=True, kw_only=True)
class Command:
    """A message that asks to do something to a run: `said` is the reason, or the answer."""

    kind: Literal["cancel", "resume"]
    id: str | int | None
    run_id: UUID
    said: object


class Misunderstood(Exception):
    """A message that is answered with an error, after which the socket goes on."""

    def __init__(self, code: str, detail: str, id: str | int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.id = id


def parse(text: str | bytes) -> Message | Command:
    """The message; Misunderstood when it is none."""
    try:
        given = orjson.loads(text)
    except ValueError:
        raise Misunderstood("malformed_json", "This message is not JSON.") from None
    if not isinstance(given, dict):
        raise Misunderstood("invalid", "A message is a JSON object with a `type`.")
    own = _id(given)
    _refuse_unknown_fields(given, own)
    match given["type"]:
        case "ping":
            return Message(kind="ping", id=own)
        case "subscribe":
            run_id, after = _run_id(given, own), _after(given, own)
            return Message(kind="subscribe", id=own, run_id=run_id, after=after)
        case "unsubscribe":
            return Message(kind="unsubscribe", id=own, run_id=_run_id(given, own))
        case "cancel":
            reason = given.get("reason", "")
            return Command(kind="cancel", id=own, run_id=_run_id(given, own), said=reason)
        case _:
            return _resume(given, text, own)


def _resume(given: dict[str, Any], text: str | bytes, own: str | int | None) -> Command:
    run_id = _run_id(given, own)
    if "resume" not in given:
        raise Misunderstood("invalid", "`resume` must be the answer.", own)
    # Read again: an answer is stored, and orjson makes floats of whole numbers beyond 64 bits.
    try:
        answer = json.loads(text)["resume"]
    except (ValueError, RecursionError):
        raise Misunderstood("invalid", "`resume` is nested too deeply.", own) from None
    return Command(kind="resume", id=own, run_id=run_id, said=answer)


def _refuse_unknown_fields(given: dict[str, Any], own: str | int | None) -> None:
    """As strictly as REST reads them: what is misspelt would be lost."""
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise Misunderstood("unknown_type", f"`type` must be one of {', '.join(FIELDS)}.", own)
    known = ("type", "id", *FIELDS[kind])
    if unknown := [name[:100] for name in given if name not in known]:
        detail = f"Unknown field `{unknown[0]}`. Known: {', '.join(known)}."
        raise Misunderstood("invalid", detail, own)


class Allowance:
    """How much a client may send: `burst` at once, `rate` a second after that."""

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


def messages() -> Allowance:
    """The allowance for a client's messages."""
    return Allowance(BURST, RATE)


def frames() -> Allowance:
    """The allowance for the frames of its connection: pings, pongs and fragments, too."""
    return Allowance(FRAME_BURST, FRAME_RATE)


def _id(given: dict[str, Any]) -> str | int | None:
    own = given.get("id")
    number = isinstance(own, int) and not isinstance(own, bool)
    if own is None or number or (isinstance(own, str) and len(own) <= LONGEST_ID):
        return own
    raise Misunderstood("invalid", f"`id` must be a number or at most {LONGEST_ID} characters.")


def _run_id(given: dict[str, Any], own: str | int | None) -> UUID:
    text = given.get("run_id")
    run_id = parse_uuid(text) if isinstance(text, str) else None
    if run_id is None:
        raise Misunderstood("invalid", "`run_id` must be the id of a run.", own)
    return run_id


def _after(given: dict[str, Any], own: str | int | None) -> int:
    after = given.get("after", 0)
    if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= BIGGEST_SEQ:
        raise Misunderstood("invalid", "`after` must be a whole number from 0 up.", own)
    return after
