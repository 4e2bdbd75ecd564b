"""All that an object holds, for its identity: attributes, slots, and what a container contains.

An object that also holds something in C, out of sight of Python, cannot be told from others.
"""

from __future__ import annotations

import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple


class Called(NamedTuple):
    """What a partial calls, and with what."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: Mapping[str, Any]


#: How to read the contents of a builtin type, whatever a subclass does to its methods. The first
#: that an object is an instance of counts: subclasses stand before their bases.
_CONTENTS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (defaultdict, lambda value: [value.default_factory, _plain_dict(value)]),
    (OrderedDict, lambda value: [[key, dict.get(value, key)] for key in OrderedDict.keys(value)]),
    (dict, lambda value: _plain_dict(value)),
    (deque, lambda value: [list(deque.__iter__(value)), value.maxlen]),
    (list, lambda value: list(list.__iter__(value))),
    (tuple, lambda value: list(tuple.__iter__(value))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: set(frozenset.__iter__(value))),
    (partial, lambda value: Called(value.func, value.args, value.keywords)),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (bytearray, lambda value: list(bytearray.__iter__(value))),
    (int, int.__int__),
    (float, float.__float__),
    (object, lambda value: None),
)

_WORD = tuple.__itemsize__  # the size of a pointer, in bytes


def contents_of(value: Any) -> Any:
    """What `value` contains as an instance of a builtin type, in plain values; None for an object.
    LookupError when it holds more than that, its attributes and its slots."""
    base, read = next((base, read) for base, read in _CONTENTS if isinstance(value, base))
    if _hides(type(value), base):
        raise LookupError(type(value))
    return read(value)


def attributes_of(value: Any) -> dict[str, Any]:
    """The attributes of `value` by name, and the slots that are set by class and name."""
    try:
        held = dict(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        held = {}
    for cls, name, slot in _slots(type(value)):
        try:
            held[f"{cls.__qualname__}.{name}"] = slot.__get__(value, cls)
        except AttributeError:  # not set
            continue
    return held


def _hides(cls: type, base: type) -> bool:
    """Whether an instance is larger than what Python can see of it: pickle asks the same."""
    varies = bool(base.__itemsize__)
    known: int = base.__basicsize__ + _WORD * sum(1 for _ in _slots(cls))
    for offset, of_base in (
        (cls.__dictoffset__, base.__dictoffset__),
        (cls.__weakrefoffset__, base.__weakrefoffset__),
    ):
        # A negative offset is a place before the object, but where the size of objects varies.
        if not of_base and (offset > 0 or (offset < 0 and varies)):
            known += _WORD
    return cls.__basicsize__ > known or cls.__itemsize__ != base.__itemsize__


def _slots(cls: type) -> Iterator[tuple[type, str, types.MemberDescriptorType]]:
    for owner in cls.__mro__:
        if "__slots__" in vars(owner):
            for name, slot in vars(owner).items():
                if isinstance(slot, types.MemberDescriptorType):
                    yield owner, name, slot


def _plain_dict(value: Mapping[Any, Any]) -> dict[Any, Any]:
    return dict(dict.items(value))  # type: ignore[arg-type]
