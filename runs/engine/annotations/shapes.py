"""Whether a value has the shape of a type: to tell apart the members of a union."""

from __future__ import annotations

import collections
import collections.abc
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from runs.engine.annotations import type_hints
from runs.engine.annotations.enum_members import enum_member, literal
from runs.engine.annotations.scalars import SCALARS

#: What makes of a list of JSON what an annotation says.
LISTS: Mapping[Any, Callable[[Any], Any]] = {
    list: list,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.deque: collections.deque,
    set: set,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    frozenset: frozenset,
}
#: What makes a mapping of an object of JSON, as an annotation says.
DICTS: Mapping[Any, Callable[[], dict[Any, Any]]] = {
    dict: dict,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
    collections.OrderedDict: collections.OrderedDict,
    collections.Counter: collections.Counter,
    collections.defaultdict: collections.defaultdict,
}

#: How deep a value is looked at.
_DEPTH = 3


def fits(value: Any, hint: Any, depth: int = _DEPTH) -> bool:
    """Whether a value is of a type, or is the JSON of one, as far as that is seen from outside."""
    core, _ = type_hints.peeled(hint)
    origin, args = get_origin(core) or core, get_args(core)
    if type_hints.unions(core):
        return any(fits(value, member, depth) for member in args)
    if origin is Literal:
        return _reads(literal(args), value)
    if origin in (None, Any, object) or not isinstance(origin, type):
        return value is None or origin is not None
    if type_hints.is_named_tuple(origin) and isinstance(value, list):
        return len(value) <= len(type_hints.field_hints(origin))
    if type_hints.is_typeddict(origin) or type_hints.has_fields(origin):
        is_one = type_hints.has_fields(origin) and isinstance(value, origin)
        return is_one or (isinstance(value, Mapping) and _has_keys(value, core, depth))
    if origin in LISTS or origin is tuple:
        return _is_list(value, origin) and _items_fit(value, origin, args, depth)
    if origin in DICTS:
        return isinstance(value, Mapping) and _items_fit(value.values(), list, args[1:], depth)
    if origin is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin) or _is_read_as(value, origin)


def _is_list(value: Any, origin: Any) -> bool:
    is_text = isinstance(value, (str, bytes, bytearray, Mapping))
    return isinstance(value, list) or (isinstance(value, origin) and not is_text)


def _items_fit(value: Any, origin: Any, args: tuple[Any, ...], depth: int) -> bool:
    if not args or not depth:
        return True
    if origin is tuple and not (len(args) == 2 and args[1] is ...):
        return len(args) == len(value) and all(
            fits(item, each, depth - 1) for item, each in zip(value, args, strict=True)
        )
    return all(fits(item, args[0], depth - 1) for item in value)


def _has_keys(value: Mapping[Any, Any], core: Any, depth: int) -> bool:
    hints = type_hints.field_hints(core)
    if not value.keys() <= hints.keys():
        return False
    for key, hint in hints.items():
        if key not in value:
            if type_hints.is_required(core, key, hint):
                return False
        elif depth and not fits(value[key], hint, depth - 1):
            return False
    return True


def _is_read_as(value: Any, kind: Any) -> bool:
    read = SCALARS.get(kind) or enum_member(kind)
    return read is not None and _reads(read, value, kind)


def _reads(read: Callable[[Any], Any], value: Any, kind: Any = object) -> bool:
    try:
        return isinstance(read(value), kind)
    except (TypeError, ValueError):
        return False
