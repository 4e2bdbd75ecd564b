"""Values for people and programs outside: JSON without tags."""

from __future__ import annotations

import base64
import dataclasses
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson


def plain(value: Any) -> Any:
    """`value` for people and programs outside: JSON without tags, as close as JSON gets. Never
    raises: what has no form becomes its `repr`."""
    return orjson.loads(orjson.dumps(_plain(value)))


def pretty(value: Any) -> bytes:
    """`value` as `plain` JSON, indented, for a file that people open."""
    return orjson.dumps(_plain(value), option=orjson.OPT_INDENT_2)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return _clean(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        return {_clean(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Enum):
        return _plain(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump())
    return str(value) if isinstance(value, (Decimal, UUID, timedelta)) else repr(value)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
