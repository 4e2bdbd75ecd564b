"""Values as JSON, with typed tags for what JSON has no word for. Never pickle.

A tagged value is `{"$type": name, "value": ...}`. Plain JSON is stored as it is, and read back
without a walk over it. Classes of the user are stored only when they were allowed by `allow()`:
reading a journal must never import or call what nobody named. An object that would not come back
as it is, field by field, is refused when it is written. Instances of a subclass of `str`, `int` or
`float` are stored, and come back, as plain text and numbers.
"""

from __future__ import annotations

import math
from enum import Enum
from operator import is_
from typing import Any

import orjson

from runs.engine.errors import NotStorableError
from runs.engine.plain_json import digits, plain, plain_json, pretty
from runs.engine.values import allowed, objects
from runs.engine.values.allowed import allow
from runs.engine.values.refusals import Refused, sentence
from runs.engine.values.tags import SETS, WRITERS
from runs.engine.values.unpacking import (
    BASE_CONVERSIONS,
    PLAIN_TYPES,
    TAG,
    TAG_BYTES,
    TEXT_ONLY,
    unpack,
)
from runs.engine.values.unreadable import Unread

__all__ = ["allow", "dumps", "loads", "loads_raw", "plain", "plain_json", "pretty", "show"]


def dumps(value: Any) -> bytes:
    """`value` as JSON bytes. NotStorableError says where in it (`.items[3]`) which type stands that
    cannot be stored, and what to do."""
    try:
        return orjson.dumps(_pack(value))
    except RecursionError:
        raise NotStorableError(
            "The value is nested too deeply or contains itself; flatten it."
        ) from None
    except Refused as refused:
        raise NotStorableError(sentence(value, refused)) from None
    except orjson.JSONEncodeError as error:
        raise NotStorableError(f"The value cannot be stored: {_said(error)}.") from None


def loads(data: bytes | str) -> Any:
    """The value that `dumps` was given. NotStorableError for an unknown tag, for an object of a
    class that is not allowed here, and for one that its class cannot hold any more."""
    raw = data.encode() if isinstance(data, str) else data
    value = orjson.loads(raw)
    return unpack(value) if TAG_BYTES in raw else value


def show(data: bytes | str) -> Any:
    """`loads` for those who only look: it needs no class. What cannot be rebuilt comes as an
    Unread, a dict of its fields with the name of its class."""
    raw = data.encode() if isinstance(data, str) else data
    value = orjson.loads(raw)
    return unpack(value, shown=True) if TAG_BYTES in raw else value


def loads_raw(data: bytes | str) -> Any:
    """The stored form itself, as JSON values with their tags."""
    return orjson.loads(data)


def dumps_raw(raw: Any) -> bytes:
    """What `loads_raw` was given."""
    return orjson.dumps(raw)


def as_pairs(data: bytes) -> bytes:
    """Another stored form of the same mapping, in which no key stands first."""
    return orjson.dumps(_tag("dict", list(orjson.loads(data).items())))


def is_tagged(data: bytes) -> bool:
    """Whether anything in a stored form may need `from_raw`. Else its JSON values are its value."""
    return TAG_BYTES in data


def from_raw(raw: Any, *, shown: bool = False) -> Any:
    """The value with that stored form, as `loads` gives it, or as `show` does."""
    return unpack(raw, shown)


def _said(error: Exception) -> str:
    said = str(error)
    if "Recursion" in said:
        return "it is nested too deeply; flatten it"
    if "UTF-8" in said:
        return f"{said}. Decode it with errors='replace', or store it as bytes"
    return said


def _tag(name: str, value: Any) -> dict[str, Any]:
    return {TAG: name, "value": value}


def _pack(value: Any) -> Any:
    kind = type(value)
    if kind in PLAIN_TYPES:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**63 else _tag("int", digits(value))
    if kind is float:
        return value if math.isfinite(value) else _tag("float", repr(value))
    if kind is list:
        return value if _is_plain(value) else [_pack(item) for item in value]
    if kind is dict and TAG not in value and TEXT_ONLY.issuperset(map(type, value)):
        return {key: _pack(item) for key, item in value.items()}
    if kind is tuple:
        return _tag("tuple", _pack_items(value))
    if kind in SETS:
        # Sets have no order of their own; the same set must always give the same bytes.
        return _tag(kind.__name__, sorted(_pack_items(value), key=orjson.dumps))
    write = WRITERS.get(kind)
    if write is not None and (written := write(value)) is not None:
        return _tag(kind.__name__, written if type(written) is str else _pack_items(written))
    return _pack_object(value)


def _is_plain(items: list[Any]) -> bool:
    """Whether JSON has a word for all of them. Most lists are of one kind, and long ones (vectors)
    are found to be so without a look at each."""
    kinds = set(map(type, items))
    if kinds == {int}:
        return bool(min(items) >= -(2**63) and max(items) < 2**63)
    if kinds == {float}:
        return all(map(math.isfinite, items))
    return kinds <= PLAIN_TYPES


def _pack_object(value: Any) -> Any:
    cls = type(value)
    if allowed.is_allowed(cls):
        return _pack_member(value) if isinstance(value, Enum) else _pack_instance(value)
    if cls is Unread:
        return value.stored
    for plainer, convert in BASE_CONVERSIONS:
        if isinstance(value, plainer) and not isinstance(value, Enum):
            return _pack(convert(value))
    raise Refused(value)


def _pack_member(value: Enum) -> Any:
    """By its value, or by its name where the value cannot be stored or leads to another member."""
    cls = type(value)
    tag = {TAG: "enum", "class": allowed.name_of(cls)}
    try:
        packed = _pack(value.value)
        if cls(unpack(packed)) is value:
            return {**tag, "value": packed}
    except Exception:  # Refused, or whatever the lookup by value raises
        packed = None
    if cls.__members__.get(value.name) is value:
        return {**tag, "name": value.name}
    raise Refused(value, "does not come back as it is: neither its value nor its name leads to it")


def _pack_instance(value: Any) -> Any:
    """An object by its parts, when these make up the same object again. One that also holds what
    cannot be stored (a lock, a client) is stored by its fields, when its class makes the rest."""
    cls = type(value)
    parts = objects.parts_of(value)
    packed = {"value": _pack(parts["value"])}
    if not objects.can_be_restored(cls):
        return _pack_called(value, parts, packed, None)
    try:
        packed.update((part, _pack(held)) for part, held in parts.items() if part != "value")
    except Refused as refused:
        return _pack_called(value, parts, packed, refused)
    again = objects.parts_of(objects.restore(cls, parts))
    _check_same(value, parts, again)
    return {TAG: "instance", "class": allowed.name_of(cls), **packed}


def _pack_called(
    value: Any, parts: objects.Parts, packed: dict[str, Any], refused: Refused | None
) -> Any:
    cls = type(value)
    if "args" in parts:
        packed["args"] = _pack(parts["args"])
    if objects.is_a_value_too(cls):
        raise Refused(value, "does not come back as it is: it is more than its fields")
    try:
        again = objects.parts_of(objects.call(cls, parts))
    except Exception as error:
        if refused is not None:
            raise refused from None
        raise Refused(value, f"does not come back as it is: its class raises {error!r}") from None
    own, made = ({**p, "attributes": {}, "private": {}} for p in (parts, again))
    for part in ("attributes", "private"):
        for name, held in parts.get(part, {}).items():
            got = again.get(part, {}).get(name)
            if not (_is_refused(held) and type(got) is type(held)):
                own[part][name], made[part][name] = held, got
    try:
        _check_same(value, own, made)
    except Refused as changed:
        raise refused or changed from None
    return {TAG: "object", "class": allowed.name_of(cls), **packed}


def _is_refused(value: Any) -> bool:
    try:
        _pack(value)
    except Refused:
        return True
    return False


def _check_same(value: Any, parts: objects.Parts, again: objects.Parts) -> None:
    """Refuse `value` unless what was made of its `parts` holds the same ones, by field and type. No
    `__eq__` is asked: it may lie, or answer with an array."""
    for part in parts.keys() | again.keys():
        held, got = parts.get(part, {}), again.get(part, {})
        if part == "set":
            if held != got:
                raise Refused(value, "does not come back as it is: other fields count as set")
            continue
        if held.keys() == got.keys() and all(map(is_, held.values(), got.values())):
            continue  # restored in the same order, so that most are through here
        for name in [*held, *got.keys() - held.keys()]:
            if name not in held or name not in got or not _is_same(held[name], got[name]):
                raise Refused(
                    value,
                    f"does not come back as it is: its field {name!r} would hold something else. "
                    "Let the class keep what it is given, or store plain data",
                )


def _is_same(one: Any, other: Any) -> bool:
    return one is other or orjson.dumps(_pack(one)) == orjson.dumps(_pack(other))


def _pack_items(value: Any) -> list[Any]:
    return [_pack(item) for item in value]
