"""The types of values in a table, told from how they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Literal

Kind = Literal["empty", "boolean", "integer", "number", "date", "datetime", "text"]
Value = bool | int | float | date | datetime | str

#: How people write "there is no value", in small letters.
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none"})

_BOOLEANS = ({"true": True, "false": False}, {"yes": True, "no": False})
_BOOLEAN_LETTERS = ({"t": True, "f": False}, {"y": True, "n": False})
# Leading zeros make an identifier ("00123"), as do more digits than a 64-bit number has.
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)?(?:[.][0-9]+|[.])?(?:[eE][+-]?[0-9]{1,3})?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:[.][0-9]+)?")
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")
_TIMES = ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M")


def is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def infer(texts: Sequence[str], *, decimal: str = ".") -> tuple[Kind, list[Value]]:
    """The narrowest type that all of `texts` (none of them missing) have, and their values. A date
    that may be read both ways ("3/4/2024") is read month first, unless another one of them cannot
    be. With `decimal` "," both marks part decimals; with "." commas may part thousands."""
    if not texts:
        return "empty", []
    for kind, parsers in _ladder(decimal):
        for parse in parsers:
            try:
                return kind, [parse(text.strip()) for text in texts]
            except (ValueError, OverflowError):
                continue
    return "text", list(texts)


def _ladder(decimal: str) -> list[tuple[Kind, list[Callable[[str], Value]]]]:
    return [
        ("boolean", [_boolean(pair) for pair in (*_BOOLEANS, *_BOOLEAN_LETTERS)]),
        ("integer", [lambda text: _integer(text, decimal)]),
        ("number", [lambda text: _number(text, decimal)]),
        ("date", [_iso_date, *(_date(form) for form in _DATES)]),
        ("datetime", [_iso_datetime, *(_datetime(form) for form in _TIMES)]),
    ]


def _boolean(pair: dict[str, bool]) -> Callable[[str], Value]:
    def parse(text: str) -> bool:
        try:
            return pair[text.lower()]
        except KeyError:
            raise ValueError(text) from None

    return parse


def _integer(text: str, decimal: str) -> int:
    plain = _plain(text, decimal)
    if not _INTEGER.fullmatch(plain):
        raise ValueError(text)
    return int(plain)


def _number(text: str, decimal: str) -> float:
    plain = _plain(text, decimal)
    if not _NUMBER.fullmatch(plain):
        raise ValueError(text)
    value = float(plain)
    # Many digits without a point are an identifier, of which a float would lose the end.
    if not math.isfinite(value) or (len(plain) > 19 and plain.lstrip("+-").isdigit()):
        raise ValueError(text)
    return value


def _plain(text: str, decimal: str) -> str:
    """The number as Python writes it."""
    if decimal == ",":
        return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    return text.replace(",", "") if _GROUPED.fullmatch(text) else text


def _iso_date(text: str) -> date:
    """The usual form, for which `strptime` is slow."""
    if len(text) != 10 or text[4] != "-":
        raise ValueError(text)
    return date.fromisoformat(text)


def _date(form: str) -> Callable[[str], Value]:
    return lambda text: datetime.strptime(text, form).date()


def _datetime(form: str) -> Callable[[str], Value]:
    return lambda text: datetime.strptime(text, form).replace(tzinfo=UTC)


def _iso_datetime(text: str) -> datetime:
    """ISO 8601 with a time; without an offset it counts as UTC, so that all can be compared."""
    if len(text) < 13 or not text[0].isdigit():
        raise ValueError(text)
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
