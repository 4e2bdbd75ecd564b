"""Copies of values, so that a node cannot change what the state or another node holds.

A copy shares what never changes (texts, numbers, dates), and has its own containers at any depth.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from itertools import chain
from types import MappingProxyType, MemberDescriptorType
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

T = TypeVar("T")
Copier = Callable[[Any], Any]

#: A value of one of these types never changes: its copy is the value itself.
IMMUTABLE = frozenset(
    {bool, bytes, complex, date, datetime, Decimal, float, int, str, time, timedelta, type(None)}
    | {UUID, type(Ellipsis)}
)

_PLAIN_CONTAINERS = frozenset({dict, list, set, tuple})

#: Set in `cls.__flags__` of classes that Python code defines.
_HEAP_TYPE: Final = 1 << 9
_ABSENT: Final = object()

_all_immutable = IMMUTABLE.issuperset
_all_dicts = frozenset({dict}).issuperset


def copied(value: T) -> T:
    """A value that shares no container with `value`: lists, dicts, sets and tuples are copied at
    every depth, and so are dataclasses and pydantic models in them. Any other object (a client, a
    lock, a function) is shared, because only its owner knows whether it can be copied."""
    kind = type(value)
    if kind in IMMUTABLE:
        return value
    make = _COPIES.get(kind)
    own: T = _object(value) if make is None else make(value)
    return own


def copied_if_finite(value: T) -> T:
    """As `copied`, of what is not stored, and so may contain itself: then it is shared."""
    try:
        return copied(value)
    except RecursionError:
        return value


def copied_containers(value: Any) -> Any:
    """As `copied_if_finite`, but every object is shared, also dataclasses and models: for a config,
    which may hold objects that the caller and the nodes have in common on purpose."""
    try:
        return _containers(value)
    except RecursionError:
        return value


def _containers(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {
            key: _containers(item) if type(item) in _PLAIN_CONTAINERS else item
            for key, item in value.items()
        }
    if kind is list or kind is tuple:
        return kind(map(_containers, value))
    return set(value) if kind is set else value


class Written(Protocol):
    """One write to a key."""

    @property
    def value(self) -> Any: ...


class Values(dict[str, Any]):
    """The values of a state by key. How each is copied is found once, and not for every node and
    router that is given a copy: that would read all of a large value at every step."""

    __slots__ = ("_copiers",)

    def __init__(self, values: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__(values)
        known = values._copiers if type(values) is Values else {}
        self._copiers: dict[str, Copier] = known.copy()

    def copy_of(self, key: str) -> Any:
        """As `copied`, of the value of `key`."""
        value = self[key]
        make = self._copiers.get(key)
        if make is None:
            make = self._copiers[key] = copier(value)
        return make(value)

    def put(self, key: str, value: Any, added: Sequence[Written] = ()) -> None:
        """Give `key` another value: the one before with the items of the lists that were written
        with `added`, if there are any."""
        self[key] = value
        if not self._copiers or (known := self._copiers.pop(key, None)) is None:
            return
        if added and all(_is_nothing(w.value) or copier(w.value) is known for w in added):
            self._copiers[key] = known

    def drop(self, key: str) -> None:
        self.pop(key, None)
        self._copiers.pop(key, None)


def _is_nothing(value: Any) -> bool:
    """Whether a list to which `value` is added stays as it is."""
    return type(value) is list and not value


def copier(value: Any) -> Copier:
    """What makes copies of `value`, and of what has the same kinds of values in it."""
    kind = type(value)
    if kind is not list:
        return _COPIES.get(kind, _object)
    if _all_immutable(map(type, value)):
        return list.copy
    # A list of flat records is the usual large value: no Python code runs for each of its items.
    if _all_dicts(map(type, value)):
        items = chain.from_iterable(map(dict.values, value))
        if _all_immutable(map(type, items)):
            return _flat_records
    return _each


def _list(value: list[Any]) -> list[Any]:
    return copier(value)(value)  # type: ignore[no-any-return]


def _flat_records(value: list[dict[Any, Any]]) -> list[dict[Any, Any]]:
    return list(map(dict.copy, value))


def _each(value: list[Any]) -> list[Any]:
    own = value[:]
    for place, item in enumerate(value):
        kind = type(item)
        if kind not in IMMUTABLE:
            own[place] = _dict(item) if kind is dict else copied(item)
    return own


def _dict(value: dict[Any, Any]) -> dict[Any, Any]:
    own = value.copy()
    for key, item in value.items():
        kind = type(item)
        if kind not in IMMUTABLE:
            own[key] = _dict(item) if kind is dict else copied(item)
    return own


def _tuple(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return value if _all_immutable(map(type, value)) else tuple(map(copied, value))


_COPIES: dict[type, Copier] = {
    list: _list,
    dict: _dict,
    tuple: _tuple,
    # What is in a set can be hashed, so it does not change.
    set: set.copy,
    frozenset: frozenset.copy,
    bytearray: bytearray.copy,
    deque: lambda value: deque(map(copied, value), value.maxlen),
}


def _object(value: Any) -> Any:
    if isinstance(value, (type, Enum)):
        return value
    is_record = dataclasses.is_dataclass(value) or hasattr(type(value), "model_fields")
    if is_record or (isinstance(value, tuple) and hasattr(value, "_make")):
        return _record(value)
    return _container(value) if isinstance(value, (list, deque, dict, set)) else value


def _container(value: Any) -> Any:
    """A copy of an object of a subclass: a defaultdict, a Counter."""
    twin: Any = copy.copy(value)
    if not isinstance(value, set):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            twin[key] = copied(item)
    return twin


def _record(value: Any) -> Any:
    """A copy of a dataclass, pydantic model or named tuple. No code of its class runs, neither its
    constructor nor what it has for copies and pickles: the copy holds exactly what `value` does."""
    twin = _new(value)
    if (held := getattr(value, "__dict__", None)) is not None:
        own = {
            name: item if type(item) in IMMUTABLE else copied(item) for name, item in held.items()
        }
        object.__setattr__(twin, "__dict__", own)
    for name in _own_slots(type(value)):
        if (item := getattr(value, name, _ABSENT)) is not _ABSENT:
            object.__setattr__(twin, name, copied(item))
    return twin


def _new(value: Any) -> Any:
    """An object of the class of `value`, without attributes; with its items if it is a container
    as well, or an error."""
    cls = type(value)
    base: Any = static_base(cls)
    if base is object:
        return object.__new__(cls)
    if base is tuple:
        return tuple.__new__(cls, map(copied, value))
    if issubclass(base, BaseException):
        return base.__new__(cls, *copied(value.args))
    if base not in (list, dict, set):
        # Only its class knows how.
        return _container(value) if isinstance(value, (deque, dict)) else copy.copy(value)
    twin = base.__new__(cls)
    if base is dict:
        dict.update(twin, _dict(dict(dict.items(value))))
    elif base is list:
        list.extend(twin, map(copied, list.__iter__(value)))
    else:
        set.update(twin, set.__iter__(value))
    return twin


def static_base(cls: type) -> type:
    """The first class that is written in C: what `object.__new__` makes has only what that has."""
    return next(base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)


def slots_of(cls: type) -> tuple[str, ...]:
    """The names of all slots of the class, as its objects have them."""
    found: list[str] = []
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{base.__name__.lstrip('_')}{name}"
            found.append(name)
    return tuple(found)


def _slots_to_copy(cls: type) -> tuple[str, ...]:
    """Not those that a subclass has given another meaning, as a RootModel does."""
    return tuple(
        name for name in slots_of(cls) if type(getattr(cls, name, None)) is MemberDescriptorType
    )


_own_slots: Callable[[Any], tuple[str, ...]] = lru_cache(4096)(_slots_to_copy)
