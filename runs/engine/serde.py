"""Values as JSON, with typed tags for what JSON has no word for. Never pickle.

A tagged value is `{"$type": name, "value": ...}`. Plain JSON is stored as it is, and read back
without a walk over it. Classes of the user are stored only when they were allowed by `allow()`:
reading a journal must never import or call what nobody named.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson

from .errors import NotStorableError

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
    if value is None:
        return b"null"
    try:
        packed = _pack(value, "")
    except RecursionError:
        raise NotStorableError(
            "The value is nested too deeply or contains itself; flatten it."
        ) from None
    try:
        return orjson.dumps(packed)
    except orjson.JSONEncodeError as error:
        raise NotStorableError(f"The value cannot be stored: {error}.") from None


def loads(data: bytes | str) -> Any:
    """The value that `dumps` was given. Unknown tags raise NotStorableError."""
    raw = data.encode() if isinstance(data, str) else data
    value = orjson.loads(raw)
    return _unpack(value) if _MARK in raw else value


def plain(value: Any) -> Any:
    """`value` for people and programs outside: JSON without tags, as close as JSON gets. Never
    raises: what has no form becomes its `repr`."""
    return orjson.loads(orjson.dumps(_plain(value)))


def pretty(value: Any) -> bytes:
    """`value` as `plain` JSON, indented, for a file that people open."""
    return orjson.dumps(_plain(value), option=orjson.OPT_INDENT_2)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _tag(name: str, value: Any) -> dict[str, Any]:
    return {_TAG: name, "value": value}


def _pack(value: Any, at: str) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**63 else _tag("int", str(value))
    if kind is float:
        return value if math.isfinite(value) else _tag("float", repr(value))
    if kind is list:
        return [_pack(item, f"{at}[{i}]") for i, item in enumerate(value)]
    if kind is dict:
        return _pack_dict(value, at)
    pack = _PACK.get(kind)
    if pack is not None:
        return _tag(kind.__name__, pack(value, at))
    return _pack_object(value, at)


def _pack_dict(value: dict[Any, Any], at: str) -> dict[str, Any]:
    if all(type(key) is str for key in value) and _TAG not in value:
        return {key: _pack(item, f"{at}.{key}") for key, item in value.items()}
    pairs = [[_pack(key, at), _pack(item, f"{at}.{key}")] for key, item in value.items()]
    return _tag("dict", pairs)


def _pack_object(value: Any, at: str) -> Any:
    cls = type(value)
    name = _name(cls)
    if name not in _allowed:
        where = f" at {at}" if at else ""
        raise NotStorableError(
            f"A {cls.__module__}.{cls.__qualname__}{where} cannot be stored. Return plain data "
            "(str, numbers, lists, dicts, dates, bytes), or allow the class with "
            "runs.engine.serde.allow()."
        )
    if isinstance(value, Enum):
        return {_TAG: "enum", "class": name, "value": _pack(value.value, at)}
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    else:
        fields = {field: getattr(value, field) for field in cls.model_fields}
    packed = {field: _pack(item, f"{at}.{field}") for field, item in fields.items()}
    return {_TAG: "object", "class": name, "value": packed}


def _pack_items(value: Any, at: str) -> list[Any]:
    return [_pack(item, f"{at}[{i}]") for i, item in enumerate(value)]


def _pack_set(value: Any, at: str) -> list[Any]:
    # Sets have no order of their own; the same set must always give the same bytes.
    return sorted(_pack_items(value, at), key=orjson.dumps)


_PACK: dict[type, Callable[[Any, str], Any]] = {
    tuple: _pack_items,
    set: _pack_set,
    frozenset: _pack_set,
    bytes: lambda value, at: base64.b64encode(value).decode(),
    datetime: lambda value, at: value.isoformat(),
    date: lambda value, at: value.isoformat(),
    time: lambda value, at: value.isoformat(),
    timedelta: lambda value, at: [value.days, value.seconds, value.microseconds],
    Decimal: lambda value, at: str(value),
    UUID: lambda value, at: str(value),
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
