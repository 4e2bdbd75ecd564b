"""Values as JSON, with typed tags for what JSON has no word for. Never pickle.

A tagged value is `{"$type": name, "value": ...}`. Plain JSON is stored as it is, and read back
without a walk over it. Classes of the user are stored only when they were allowed by `allow()`:
reading a journal must never import or call what nobody named.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson

from .errors import NotStorableError
from .plain import plain, pretty

__all__ = ["allow", "dumps", "loads", "plain", "pretty"]

_TAG = "$type"
_MARK = b'"$type"'
_allowed: dict[str, type] = {}


def allow(cls: type) -> type:
    """Let dataclass, Enum or pydantic model `cls` be stored. Usable as a decorator. Its module and
    qualified name become part of the stored data: keep them, or allow the old name again."""
    if not (
        dataclasses.is_dataclass(cls) or issubclass(cls, Enum) or hasattr(cls, "model_validate")
    ):
        raise TypeError(
            f"{cls.__qualname__} is neither a dataclass, an Enum nor a pydantic model; "
            "store what it holds in a dict instead."
        )
    _allowed[_name(cls)] = cls
    return cls


def dumps(value: Any) -> bytes:
    """`value` as JSON bytes. NotStorableError says where in it (`.items[3]`) which type stands that
    cannot be stored, and what to do."""
    try:
        return orjson.dumps(_pack(value))
    except RecursionError:
        raise NotStorableError(
            "The value is nested too deeply or contains itself; flatten it."
        ) from None
    except _Refused as refused:
        raise NotStorableError(_refusal(value, refused.value)) from None
    except orjson.JSONEncodeError as error:
        raise NotStorableError(f"The value cannot be stored: {_said(error)}.") from None


def loads(data: bytes | str) -> Any:
    """The value that `dumps` was given. Unknown tags raise NotStorableError."""
    raw = data.encode() if isinstance(data, str) else data
    value = orjson.loads(raw)
    return _unpack(value) if _MARK in raw else value


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _said(error: Exception) -> str:
    said = str(error)
    if "Recursion" in said:
        return "it is nested too deeply; flatten it"
    if "UTF-8" in said:
        return f"{said}. Decode it with errors='replace', or store it as bytes"
    return said


def _tag(name: str, value: Any) -> dict[str, Any]:
    return {_TAG: name, "value": value}


class _Refused(Exception):
    """Something in a value cannot be stored."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _pack(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**63 else _tag("int", str(value))
    if kind is float:
        return value if math.isfinite(value) else _tag("float", repr(value))
    if kind is list:
        return value if _is_plain(value) else [_pack(item) for item in value]
    if kind is dict and _TAG not in value and _TEXT.issuperset(map(type, value)):
        return {key: _pack(item) for key, item in value.items()}
    pack = _PACK.get(kind)
    if pack is not None:
        return _tag(kind.__name__, pack(value))
    return _pack_object(value)


def _is_plain(items: list[Any]) -> bool:
    """Whether JSON has a word for all of them. Most lists are of one kind, and long ones (vectors)
    are found to be so without a look at each."""
    kinds = set(map(type, items))
    if kinds == {int}:
        return bool(min(items) >= -(2**63) and max(items) < 2**63)
    if kinds == {float}:
        return all(map(math.isfinite, items))
    return kinds <= _PLAIN


def _pack_object(value: Any) -> Any:
    cls = type(value)
    name = _name(cls)
    if name not in _allowed:
        raise _Refused(value)
    if isinstance(value, Enum):
        return {_TAG: "enum", "class": name, "value": _pack(value.value)}
    packed = {field: _pack(item) for field, item in _fields(value).items()}
    return {_TAG: "object", "class": name, "value": packed}


def _fields(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: getattr(value, name) for name in getattr(type(value), "model_fields", ())}


def _refusal(value: Any, refused: Any) -> str:
    cls, place = type(refused), _place(value, refused)
    where = f" at {place}" if place else ""
    return (
        f"A {cls.__module__}.{cls.__qualname__}{where} cannot be stored. Return plain data (str, "
        "numbers, lists, dicts, dates, bytes), or allow the class with runs.engine.serde.allow()."
    )


def _place(value: Any, wanted: Any) -> str | None:
    """Where in `value` the object `wanted` stands; None when it is not there."""
    if value is wanted:
        return ""
    inner: Iterable[tuple[str, Any]] = ()
    if isinstance(value, (list, tuple, set, frozenset)):
        inner = ((f"[{number}]", item) for number, item in enumerate(value))
    elif isinstance(value, dict):
        inner = ((f".{key}", item) for key, item in value.items())
    elif dataclasses.is_dataclass(value) or hasattr(value, "model_validate"):
        inner = ((f".{name}", item) for name, item in _fields(value).items())
    for step, item in inner:
        if (rest := _place(item, wanted)) is not None:
            return step + rest
    return None


def _pack_items(value: Any) -> list[Any]:
    return [_pack(item) for item in value]


def _pack_set(value: Any) -> list[Any]:
    # Sets have no order of their own; the same set must always give the same bytes.
    return sorted(_pack_items(value), key=orjson.dumps)


_TEXT = frozenset({str})
_PLAIN = frozenset({str, bool, type(None)})

_PACK: dict[type, Callable[[Any], Any]] = {
    tuple: _pack_items,
    set: _pack_set,
    frozenset: _pack_set,
    dict: lambda value: [[_pack(key), _pack(item)] for key, item in value.items()],
    bytes: lambda value: base64.b64encode(value).decode(),
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    Decimal: str,
    UUID: str,
}

_UNPACK: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "dict": lambda pairs: {_hashable(key): item for key, item in pairs},
    "tuple": tuple,
    "set": lambda items: set(map(_hashable, items)),
    "frozenset": lambda items: frozenset(map(_hashable, items)),
    "bytes": base64.b64decode,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda parts: timedelta(*parts),
    "Decimal": Decimal,
    "UUID": UUID,
}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: _unpack(item) for key, item in value.items()}
    name, inner = value[_TAG], _unpack(value["value"])
    if name in _UNPACK:
        return _UNPACK[name](inner)
    return _unpack_object(str(value.get("class", name)), inner)


def _unpack_object(name: str, inner: Any) -> Any:
    cls = _allowed.get(name)
    if cls is None:
        raise NotStorableError(
            f"The journal holds a {name}, which this process does not allow: import its module and "
            "allow it with runs.engine.serde.allow()."
        )
    if issubclass(cls, Enum):
        return cls(inner)
    if dataclasses.is_dataclass(cls):
        initial = {f.name: inner[f.name] for f in dataclasses.fields(cls) if f.init}
        return cls(**initial)
    return cls.model_validate(inner)  # type: ignore[attr-defined]
