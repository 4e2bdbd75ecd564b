"""Values of Python's own types that JSON has no word for: how each is written and read.

A writer answers text, or a list of values that are stored in their turn; the reader of the same
name gets back what the writer answered. None says that the value cannot be written.
"""

from __future__ import annotations

import base64
import ipaddress
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import partial
from pathlib import Path, PosixPath, PurePosixPath, WindowsPath
from typing import Any
from uuid import UUID

SETS = frozenset({set, frozenset})
#: What a defaultdict that is stored may make, beside other ones and nothing.
FACTORIES = frozenset({bool, int, float, str, list, dict, set})
_NAMED = {kind.__name__: kind for kind in FACTORIES}
#: Addresses, each with a text that it is made of again.
ADDRESSES: tuple[type, ...] = (
    ipaddress.IPv4Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Address,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
)


def _write_pairs(value: Mapping[Any, Any]) -> list[Any]:
    return [[key, item] for key, item in value.items()]


def _read_pairs(pairs: Iterable[Any]) -> dict[Any, Any]:
    return {_hashable(key): item for key, item in pairs}


def _write_default(value: defaultdict[Any, Any]) -> list[Any] | None:
    made = _factory_name(value.default_factory)
    return None if made is None else [made, _write_pairs(value)]


def _factory_name(factory: Any) -> str | None:
    """What a defaultdict makes, as text; None for what has no name here."""
    if factory is None:
        return ""
    if isinstance(factory, partial) and factory.func is defaultdict and len(factory.args) == 1:
        inner = None if factory.keywords else _factory_name(factory.args[0])
        return None if inner is None else f"defaultdict {inner}"
    return factory.__name__ if any(factory is kind for kind in FACTORIES) else None


def _factory(name: str) -> Any:
    outer, _, inner = name.partition(" ")
    return partial(defaultdict, _factory(inner)) if outer == "defaultdict" else _NAMED.get(name)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _write_bytes(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode()


def _write_moment(value: datetime | time) -> str | list[Any]:
    """As ISO 8601 with its offset; with its fold and zone where it has these, and the name that was
    given to an offset."""
    zone = getattr(value.tzinfo, "key", None) if _has_zone(value.tzinfo) else None
    text = value.isoformat()
    if (name := _name_of(value.tzinfo)) is not None:
        return [text, value.fold, None, name]
    return [text, value.fold, zone] if value.fold or zone else text


def _read_datetime(written: Any) -> datetime:
    if isinstance(written, str):
        return datetime.fromisoformat(written)
    text, fold, key, *names = written
    moment = datetime.fromisoformat(text)
    zone = _zone(key)
    if names:
        return moment.replace(fold=fold, tzinfo=_named(moment, *names))
    if zone is None:
        return moment.replace(fold=fold)
    local = moment.replace(tzinfo=zone, fold=fold)
    # Where the rules of the zone have changed since, the moment counts, and not the clock.
    return local if local.utcoffset() == moment.utcoffset() else moment.astimezone(zone)


def _read_time(written: Any) -> time:
    if isinstance(written, str):
        return time.fromisoformat(written)
    text, fold, key, *names = written
    clock = time.fromisoformat(text).replace(fold=fold)
    if names:
        return clock.replace(tzinfo=_named(clock, *names))
    zone = _zone(key)
    return clock if zone is None else clock.replace(tzinfo=zone)


def _has_zone(given: tzinfo | None) -> bool:
    return given is not None and type(given).__module__.startswith("zoneinfo")


def _name_of(given: tzinfo | None) -> str | None:
    """The name that an offset was given; None for one that goes by its hours."""
    if given is UTC or type(given) is not timezone:
        return None
    name = given.tzname(None)
    return None if name == timezone(given.utcoffset(None)).tzname(None) else name


def _named(value: datetime | time, name: str) -> timezone:
    offset = value.utcoffset()
    assert offset is not None  # it is written with its offset
    return timezone(offset, name)


def _zone(key: str | None) -> tzinfo | None:
    from zoneinfo import ZoneInfo  # with it comes much that few programs need

    try:
        return ZoneInfo(key) if key else None
    except (OSError, ValueError, LookupError):  # unknown to this machine; the offset is on record
        return None


WRITERS: Mapping[type, Callable[[Any], str | list[Any] | None]] = {
    dict: _write_pairs,
    OrderedDict: _write_pairs,
    Counter: _write_pairs,
    defaultdict: _write_default,
    deque: lambda value: [list(value), value.maxlen],
    bytes: _write_bytes,
    bytearray: _write_bytes,
    datetime: _write_moment,
    date: date.isoformat,
    time: _write_moment,
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    Decimal: str,
    UUID: str,
    complex: lambda value: [value.real, value.imag],
    range: lambda value: [value.start, value.stop, value.step],
    PosixPath: str,
    WindowsPath: str,
    PurePosixPath: str,
    **dict.fromkeys(ADDRESSES, str),
}

READERS: Mapping[str, Callable[[Any], Any]] = {
    "int": lambda digits: int(digits, 16) if "x" in digits else int(digits),
    "float": float,
    "dict": _read_pairs,
    "OrderedDict": lambda pairs: OrderedDict(_read_pairs(pairs)),
    "Counter": lambda pairs: Counter(_read_pairs(pairs)),
    "defaultdict": lambda parts: defaultdict(_factory(parts[0]), _read_pairs(parts[1])),
    "deque": lambda parts: deque(parts[0], parts[1]),
    "tuple": tuple,
    "set": lambda items: set(map(_hashable, items)),
    "frozenset": lambda items: frozenset(map(_hashable, items)),
    "bytes": base64.b64decode,
    "bytearray": lambda text: bytearray(base64.b64decode(text)),
    "datetime": _read_datetime,
    "date": date.fromisoformat,
    "time": _read_time,
    "timedelta": lambda parts: timedelta(*parts),
    "Decimal": Decimal,
    "UUID": UUID,
    "complex": lambda parts: complex(*parts),
    "range": lambda parts: range(*parts),
    "PosixPath": Path,
    "WindowsPath": Path,
    "PurePosixPath": PurePosixPath,
    **{kind.__name__: kind for kind in ADDRESSES},
}
