"""Why a value cannot be stored, in words: where in it which type stands, and what to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from runs.engine.values import allowed, objects


class Refused(Exception):
    """Something in a value cannot be stored; `why` says so where it is not just its class."""

    def __init__(self, value: Any, why: str = "") -> None:
        self.value = value
        self.why = why


def sentence(value: Any, refused: Refused) -> str:
    """What to tell of a refusal in `value`: where it is, what stands there, and the way out."""
    cls, place = type(refused.value), _place(value, refused.value)
    where = f" at {place}" if place else ""
    what = f"A {cls.__module__}.{cls.__qualname__}{where}"
    if refused.why:
        return f"{what} {refused.why}."
    return f"{what} cannot be stored. {_way_out(cls)}"


def _way_out(cls: type) -> str:
    plain_data = "plain data (str, numbers, lists, dicts, dates, bytes)"
    if allowed.is_allowable(cls):
        return f"Return {plain_data}, or allow the class with runs.engine.serde.allow()."
    for base in (dict, list, tuple, set, frozenset, datetime, date, Decimal, bytes, memoryview):
        if issubclass(cls, base):
            kind = "bytes" if base is memoryview else base.__name__
            return f"It is more than a {kind}: convert it to a {kind} first."
    return (
        f"Return {plain_data}, or hold it in a dataclass, NamedTuple, Enum or pydantic model that "
        "runs.engine.serde.allow() names."
    )


def _place(value: Any, wanted: Any) -> str | None:
    """Where in `value` the object `wanted` stands; None when it is not there."""
    if value is wanted:
        return ""
    inner: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        inner = ((f".{key}", item) for key, item in value.items())
    elif allowed.is_allowable(type(value)) and not isinstance(value, Enum):
        parts = objects.parts_of(value)
        held = {name: item for part in parts if part != "set" for name, item in parts[part].items()}
        inner = ((f".{name}", item) for name, item in held.items())
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        inner = ((f"[{number}]", item) for number, item in enumerate(value))
    for step, item in inner:
        if (rest := _place(item, wanted)) is not None:
            return step + rest
    return None
