"""From JSON to what annotations say: mappings to dataclasses and models, text to dates and Enums.

A state keeps what it was given. What reads it gets what its annotation says, however the value
came: as an object, as a mapping, over REST, or back from a checkpoint. Only what JSON cannot say is
converted; a value that is of its type already is not touched, nor is one of another shape.
"""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import sys
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from functools import lru_cache, partial
from typing import Any, Literal, get_args, get_origin

from runs.engine.annotations import type_hints
from runs.engine.annotations.constructors import maker
from runs.engine.annotations.conversion_errors import (
    Convert,
    literal_conversion,
    path_conversion,
    refuse_value,
)
from runs.engine.annotations.enum_members import (
    enum_member,
    is_json_literal,
    key_member,
    literal,
    truth,
)
from runs.engine.annotations.scalars import SCALARS
from runs.engine.annotations.shapes import DICTS, LISTS, fits
from runs.engine.values.tags import FACTORIES

_SEQUENCES = frozenset({list, tuple, set, frozenset, collections.deque})


def converter(hint: Any) -> Convert | None:
    """What makes of a value that came as JSON what `hint` says; None where JSON has it as it is, or
    nothing is known of the type. It raises ValueError or TypeError for what does not fit."""
    core, _ = type_hints.peeled(hint)
    if type_hints.unions(core):
        return _of_union(hint, core)
    origin, args = get_origin(core) or core, get_args(core)
    if origin is Literal:
        return None if is_json_literal(args) else literal(args)
    if origin is tuple:
        return _of_tuple(args)
    if origin in LISTS:
        return _of_list(origin, args)
    if origin in DICTS:
        return _of_dict(origin, args)
    if type_hints.is_typeddict(origin):
        return _of_typeddict(core)
    if not isinstance(origin, type):
        return None
    if type_hints.has_fields(origin):
        return _Record(core)
    return SCALARS.get(origin) or enum_member(origin) or path_conversion(origin)


def classes(hint: Any) -> frozenset[type]:
    """The classes of which a converter may make objects, at any depth."""
    found: set[type] = set()
    todo = [hint]
    while todo:
        for core in type_hints.members(todo.pop()):
            if get_origin(core) is Literal:
                found |= {type(one) for one in get_args(core) if isinstance(one, Enum)}
                continue
            kind = type_hints.class_of(core)
            is_dict = type_hints.is_typeddict(kind)
            todo += [part for part in type_hints.parts(core) if part is not ...]
            if not isinstance(kind, type) or kind in found:
                continue
            if is_dict or type_hints.has_fields(kind):
                found.add(kind)
                todo += type_hints.field_hints(core).values()
            elif issubclass(kind, Enum):
                found.add(kind)
    return frozenset(kind for kind in found if not type_hints.is_typeddict(kind))


class _Record:
    """Makes an object of a dataclass, pydantic model or named tuple of a mapping. What its fields
    say is read when it is needed, because a class may name itself."""

    def __init__(self, hint: Any) -> None:
        self._hint, self._kind = hint, type_hints.class_of(hint)
        self._make = maker(self._kind)
        self._fields: dict[str, Convert] | None = None

    def __call__(self, given: Any) -> Any:
        if isinstance(given, self._kind):
            return given
        name = self._kind.__name__
        if isinstance(given, (list, tuple)) and type_hints.is_named_tuple(self._kind):
            fields = self._kind._fields
            if len(given) > len(fields):
                raise ValueError(
                    f"{name} has {len(fields)} fields, and there are {len(given)} values"
                )
            given = dict(zip(fields, given, strict=False))  # the others may have defaults
        if not isinstance(given, Mapping):
            return given
        unfit = [key for key in given if not isinstance(key, str)]
        if unfit:
            raise ValueError(f"{unfit[0]!r} is no field of {name}")
        if type_hints.model_fields(self._kind) is not None:
            return self._make(**given)
        converts = self._converts()
        values = {k: converts[k](v) if k in converts else v for k, v in given.items()}
        try:
            return self._make(**values)
        except TypeError as error:
            raise ValueError(f"this is no {name}: {error}") from error

    def _converts(self) -> dict[str, Convert]:
        if self._fields is None:
            made = {
                key: literal_conversion(hint) or converter(hint)
                for key, hint in type_hints.field_hints(self._hint).items()
            }
            self._fields = {key: convert for key, convert in made.items() if convert is not None}
        return self._fields


def _of_list(origin: Any, args: tuple[Any, ...]) -> Convert | None:
    each = converter(args[0]) if args else None
    make = LISTS[origin]
    if each is None and make is list:
        return None

    def convert(given: Any) -> Any:
        kind = type(given)
        if kind not in _SEQUENCES or (each is None and kind is not list):
            return given
        items = given if each is None else map(each, given)
        if kind is collections.deque:
            return collections.deque(items, given.maxlen)
        return make(items) if kind is list else kind(items)

    return convert


def _of_tuple(args: tuple[Any, ...]) -> Convert:
    if len(args) == 2 and args[1] is ...:
        each = converter(args[0])
        return lambda given: (
            given
            if type(given) not in (list, tuple)
            else tuple(map(each, given) if each else given)
        )
    converts = [converter(arg) for arg in args]

    def convert(given: Any) -> Any:
        if type(given) not in (list, tuple):
            return given
        if converts and len(given) != len(converts):
            raise ValueError(f"{len(converts)} values are wanted, and there are {len(given)}")
        pairs = zip(converts or [None] * len(given), given, strict=True)
        return tuple(each(value) if each else value for each, value in pairs)

    return convert


def _of_dict(origin: Any, args: tuple[Any, ...]) -> Convert | None:
    of_key, of_value = (_of_key(args[0]), converter(args[1])) if len(args) == 2 else (None, None)
    if origin is collections.Counter and args:
        of_key = _of_key(args[0])
    make = _empty(origin, args)
    if of_key is None and of_value is None and make is dict:
        return None

    def convert(given: Any) -> Any:
        if not isinstance(given, dict) or (type(given) is not dict and not (of_key or of_value)):
            return given
        twin = make() if type(given) is dict else given.copy()
        twin.clear()
        for key, value in given.items():
            twin[of_key(key) if of_key else key] = of_value(value) if of_value else value
        return twin

    return convert


def _empty(origin: Any, args: tuple[Any, ...]) -> Callable[[], dict[Any, Any]]:
    """What makes an empty mapping of a type; a defaultdict makes what its annotation says."""
    if origin is not collections.defaultdict:
        return DICTS[origin]
    core, _ = type_hints.peeled(args[1] if len(args) == 2 else None)
    kind = get_origin(core) or core
    makes = _empty(kind, get_args(core)) if kind in DICTS else LISTS.get(kind, kind)
    if isinstance(makes, partial):
        return partial(collections.defaultdict, makes)
    return partial(collections.defaultdict, makes if makes in FACTORIES else None)


def _of_key(hint: Any) -> Convert | None:
    """JSON's keys are texts."""
    core, _ = type_hints.peeled(hint)
    if type_hints.unions(core):
        return _of_any_key(core)
    if get_origin(core) is Literal:
        named = get_args(core)
        if all(type(one) is str for one in named):
            return None  # as of values: what JSON has as it is is not compared
        return key_member(named, literal(named))
    if core is bool:
        return truth
    if core in (int, float):
        return lambda given: core(given) if isinstance(given, str) else given
    read = converter(hint)
    if read is None or not (isinstance(core, type) and issubclass(core, Enum)):
        return read
    if issubclass(core, Flag):  # of which several are a member, too
        return lambda given: read(int(given) if isinstance(given, str) else given)
    return key_member(core, read)


def _of_any_key(core: Any) -> Convert | None:
    """Of several types, the first that takes the text."""
    members = type_hints.members(core)
    if str in members or not any(map(_of_key, members)):
        return None
    found = [
        each for one in members if (each := _of_key(one) or literal_conversion(one)) is not None
    ]

    def convert(given: Any) -> Any:
        for each in found:
            with contextlib.suppress(ValueError, TypeError):
                return each(given)
        return refuse_value(core, given)

    return convert


def _of_typeddict(core: Any) -> Convert:
    @lru_cache(1)
    def found() -> dict[str, Convert]:
        made = {key: converter(hint) for key, hint in type_hints.field_hints(core).items()}
        return {key: convert for key, convert in made.items() if convert is not None}

    def convert(given: Any) -> Any:
        converts = found()
        if not converts or not isinstance(given, dict):
            return given
        return {k: converts[k](v) if k in converts else v for k, v in given.items()}

    return convert


def _of_union(hint: Any, core: Any) -> Convert | None:
    """Of several types, the first whose shape the value has: it is not tried whether another one
    fits better deep inside, which would take for ever where types name themselves."""
    written = type_hints.unions(core)
    found = [(member, converter(member)) for member in written]
    if all(convert is None for _, convert in found):
        return None
    others = [one for one in type_hints.members(core) if one is not type(None)]
    by_model = any(type_hints.model_fields(one) is not None for one in others)
    if len(others) == 1:
        (each,) = (convert for _, convert in found if convert is not None)
        return lambda given: None if given is None else each(given)
    by_pydantic = _by_pydantic(hint) if by_model else None

    def convert(given: Any) -> Any:
        for member, convert in found:
            if convert is None and fits(given, member):
                return given
        if by_pydantic is not None:
            return by_pydantic(given)
        for member, convert in found:
            if convert is not None and fits(given, member):
                return convert(given)
        return refuse_value(core, given)

    return convert


def _by_pydantic(hint: Any) -> Convert | None:
    """How pydantic decides between the members of a union; None if it cannot take all of them."""
    try:
        adapter = sys.modules["pydantic"].TypeAdapter(hint)
    except Exception:  # a TypedDict of `typing`, a class that it does not know
        return None
    made: Convert = adapter.validate_python
    return made
