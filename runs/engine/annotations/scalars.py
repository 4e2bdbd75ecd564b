"""Single values that JSON has as text or a number: dates, ids, amounts, bytes.

Each is read from the form in which `plain` shows it, and from the usual others.
"""

from __future__ import annotations

import base64
import binascii
import re
import reprlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from runs.engine.values.tags import ADDRESSES

#: ISO 8601, as pydantic writes a timedelta; and Python's own form.
_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_CLOCK = re.compile(
    r"(?:(?P<days>-?\d+)(?: days?,)? )?"
    r"(?P<hours>\d+):(?P<minutes>\d{2})(?::(?P<seconds>\d{2}(?:\.\d+)?))?"
)


def _date(text: str) -> date:
    return date.fromisoformat(text)


def _decimal(given: Any) -> Any:
    try:
        return Decimal(str(given))
    except InvalidOperation:
        raise ValueError(f"{given!r} is no number") from None


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("bytes are given as base64") from None


def duration(given: Any) -> timedelta:
    """A timedelta from seconds, from ISO 8601 ("P1DT2H"), or from "1 day, 2:00:00"."""
    if not isinstance(given, str):
        return timedelta(seconds=given)
    found = _DURATION.fullmatch(given) if given.strip("-") != "P" else None
    found = found or _CLOCK.fullmatch(given)
    if found is None:
        raise ValueError(f"{given!r} is no duration: give seconds, or one like 'P1DT2H30M'")
    parts = {name: float(v) for name, v in found.groupdict().items() if v and name != "sign"}
    length = timedelta(**parts)
    return -length if found.groupdict().get("sign") else length


def _from(kinds: tuple[type, ...], make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(given: Any) -> Any:
        if type(given) not in kinds:
            return given
        try:
            return make(given)
        except OverflowError:
            raise ValueError(f"{reprlib.repr(given)} is out of range") from None

    return convert


#: What makes a value of that type of what JSON has.
SCALARS: Mapping[Any, Callable[[Any], Any]] = {
    date: _from((str,), _date),
    datetime: _from((str,), datetime.fromisoformat),
    time: _from((str,), time.fromisoformat),
    timedelta: _from((str, int, float), duration),
    UUID: _from((str,), UUID),
    Decimal: _from((str, int, float), _decimal),
    bytes: _from((str,), _bytes),
    bytearray: _from((str,), lambda text: bytearray(_bytes(text))),
    **{kind: _from((str,), kind) for kind in ADDRESSES},
}
