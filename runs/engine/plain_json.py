"""Values for people and programs outside: JSON without tags."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import orjson

from runs.engine.values.tags import ADDRESSES


def plain(value: Any) -> Any:
    """`value` for people and programs outside: JSON without tags, as close as JSON gets. Never
    raises: what has no form becomes its `repr`."""
    return orjson.loads(plain_json(value))


def plain_json(value: Any) -> bytes:
    """`plain`, encoded. Equal values have the same bytes in every process."""
    return _encoded(value, 0)


def pretty(value: Any) -> bytes:
    """`value` as `plain` JSON, indented, for a file that people open."""
    return _encoded(value, orjson.OPT_INDENT_2)


def _encoded(value: Any, option: int) -> bytes:
    try:
        return orjson.dumps(_plain(value), option=option)
    except (RecursionError, orjson.JSONEncodeError):
        return orjson.dumps("(nested too deeply to be shown)")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return _clean(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, dict):
        return {key_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, deque)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):  # which has no order that other processes share
        return sorted(map(_plain, value), key=orjson.dumps)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, Enum):
        return _plain(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name, None)) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump") and not isinstance(value, type):
        try:
            return _plain(_dumped(value))
        except RecursionError:  # what it shows of itself has no end
            return _text(value, repr)
    is_text = isinstance(value, (Decimal, UUID, timedelta, PurePath, *ADDRESSES))
    return _clean(_text(value, str if is_text else repr))


def key_text(key: Any) -> str:
    """The key of a mapping as text: where `plain` has a text for it, that."""
    if isinstance(key, (str, bytes, datetime, date, time, Enum)):
        return _clean(_text(_plain(key), str))
    return _clean(_text(key, str))


def _dumped(model: Any) -> Any:
    """As the model shows itself; by its fields where that fails, since what is shown was not
    always validated."""
    try:
        return model.model_dump(warnings=False)
    except Exception:
        return {name: getattr(model, name, None) for name in type(model).model_fields}


def digits(value: int) -> str:
    """A whole number as text, of any size."""
    # Python refuses to write thousands of decimal digits.
    return str(value) if value.bit_length() < 10_000 else hex(value)


def _text(value: Any, show: Callable[[Any], str]) -> str:
    try:
        return digits(value) if type(value) is int else show(value)
    except Exception:  # of code of the user's
        return object.__repr__(value)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
