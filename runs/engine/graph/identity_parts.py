"""Which attributes of Python's own objects belong to the identity of a function."""

from __future__ import annotations

import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from runs.engine.values import unpacking
from runs.engine.values.tags import WRITERS

#: What goes by its name, and by what it is bound to or the class that has it.
BUILTIN = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
)


#: Types whose objects consist of the values of these attributes.
PARTS: Mapping[type, tuple[str, ...]] = {
    types.MethodType: ("__self__", "__func__"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    cached_property: ("func",),
    types.GenericAlias: ("__origin__", "__args__"),
    types.UnionType: ("__args__",),
}


#: By exact type, as everywhere here: an object of a subclass may hold more.
VALUES = unpacking.SCALARS | (WRITERS.keys() - {dict, OrderedDict, Counter, defaultdict, deque})


ITEMS = frozenset({list, tuple, set, frozenset})


#: The attributes of a named tuple's class: its `_fields` tell what they read.
FIELD = type(vars(namedtuple("_FIELD", "one"))["one"])


CACHED = type(lru_cache(len))


#: The flag of a class that was made at run time, by Python code or by C.
HEAP_TYPE = 1 << 9


#: Attributes of a class that do not say what it does.
OF_EVERY_CLASS = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "_abc_impl"}
    | {"__pydantic_core_schema__"}  # made of the fields; it names the class by its address
)


def is_importable(cls: type) -> bool:
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found is cls


def is_of_engine(cls: type) -> bool:
    return any(base.__module__.startswith("runs.engine.") for base in cls.__mro__)


def sorted_items(mapping: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(mapping.items(), key=lambda item: item[0])
