"""Objects of allowed classes: taken apart into what they hold, and put together from that.

An object is rebuilt without a call of its class: no constructor, no `__post_init__`, no validator
runs again, so it holds exactly what was stored.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any, Final, Literal

from runs.engine.errors import NotStorableError
from runs.engine.values.allowed import name_of
from runs.engine.values.copies import slots_of, static_base

#: What an object holds, by kind: `value` its fields, `attributes` what else was set on it, `extra`
#: and `private` what a pydantic model has beside its fields, `set` the names of the fields that it
#: was given, where these are not all of them; `args` what an exception was made with.
Parts = dict[str, Any]
Kind = Literal["dataclass", "model", "tuple", "call"]

_ABSENT: Final = object()
#: A field that the constructor does not set either.
_UNSET: Final = object()


def parts_of(value: Any) -> Parts:
    """What an object of an allowed class holds. Empty parts are left out, but for `value`."""
    kind, names = _shape(type(value))
    if kind == "tuple":
        return _with_rest({"value": dict(zip(names, tuple(value), strict=True))}, value, names)
    if kind != "model":
        fields = {name: getattr(value, name, _ABSENT) for name in names}
        if _ABSENT in fields.values():
            fields = {name: held for name, held in fields.items() if held is not _ABSENT}
        parts: Parts = {"value": fields}
        if isinstance(value, BaseException) and value.args:
            parts["args"] = {"args": value.args}
        return _with_rest(parts, value, names)
    held = value.__dict__
    parts = _with_rest({"value": {n: held[n] for n in names if n in held}}, value, names)
    extra = value.__pydantic_extra__
    if extra:
        parts["extra"] = extra
    if private := value.__pydantic_private__:
        parts["private"] = {key: v for key, v in private.items() if not _is_undefined(v)}
    given = value.__pydantic_fields_set__
    if given != {*parts["value"], *(extra or ())}:
        parts["set"] = sorted(given)
    return parts


def can_be_restored(cls: type) -> bool:
    """Whether `restore` rebuilds objects of the class; `call` may rebuild the others."""
    return _shape(cls)[0] != "call"


def is_a_value_too(cls: type) -> bool:
    """Whether an object of the class is also a list, a text or the like, beside its fields."""
    base = static_base(cls)
    return not (base is object or issubclass(base, BaseException) or _shape(cls)[0] == "tuple")


def restore(cls: type, parts: Mapping[str, Any]) -> Any:
    """An object that holds `parts`. Fields that the class does not have (any more) are left out,
    new ones get their default. NotStorableError for a new field without one."""
    kind, names = _shape(cls)
    fields = parts["value"]
    if missing := [name for name in names if name not in fields]:
        fields = {**fields, **_defaults(cls, kind, missing, fields)}
    held = {name: fields[name] for name in names if name in fields}
    if kind == "model":
        return _restored_model(cls, held, parts)
    made = _new(cls, kind, held)
    if kind != "tuple":
        for name, item in held.items():
            object.__setattr__(made, name, item)
    for name, item in parts.get("attributes", {}).items():
        object.__setattr__(made, name, item)
    return made


def call(cls: Any, parts: Mapping[str, Any]) -> Any:
    """An object that the class makes of its fields, and that holds exactly these afterwards. For
    objects that also hold what cannot be stored (a lock, a client), and for records of earlier
    versions. Raises what the class raises."""
    kind, names = _shape(cls)
    fields = parts["value"]
    held = {name: fields[name] for name in names if name in fields}
    made: Any
    if hasattr(cls, "__dataclass_fields__"):
        initial = {field.name for field in dataclasses.fields(cls) if field.init}
        made = cls(**{name: item for name, item in held.items() if name in initial})
    else:
        made = cls.model_validate(dict(held))
    if kind == "model":
        made.__dict__.update(held)
        return made
    for name, item in held.items():
        if getattr(made, name, _ABSENT) is not item:
            object.__setattr__(made, name, item)
    if isinstance(made, BaseException):
        object.__setattr__(made, "args", parts.get("args", {}).get("args", ()))
    return made


def _new(cls: Any, kind: Kind, held: Mapping[str, Any]) -> Any:
    if kind == "tuple":
        items: tuple[Any, ...] = tuple.__new__(cls, held.values())
        return items
    return object.__new__(cls)


def _restored_model(cls: type, held: dict[str, Any], parts: Mapping[str, Any]) -> Any:
    made: Any = object.__new__(cls)
    private = _private(cls, parts.get("private", {}))
    extra = parts.get("extra")
    if extra is None and getattr(cls, "model_config", {}).get("extra") == "allow":
        extra = {}
    given = parts.get("set")
    others, slots = parts.get("attributes", {}), _slots(cls)
    attributes = {name: item for name, item in others.items() if name not in slots}
    object.__setattr__(made, "__dict__", {**held, **attributes})
    for name in others.keys() & slots:
        object.__setattr__(made, name, others[name])
    for name, item in (("__pydantic_extra__", extra), ("__pydantic_private__", private)):
        if item is not None or getattr(cls, name, None) is not None:  # a RootModel has no slots
            object.__setattr__(made, name, item)
    known = {*held, *(extra or ())} if given is None else set(given)
    object.__setattr__(made, "__pydantic_fields_set__", known)
    return made


def _private(cls: Any, held: Mapping[str, Any]) -> dict[str, Any] | None:
    declared = cls.__private_attributes__
    if not declared:
        return dict(held) or None
    new = {
        name: attribute.get_default() for name, attribute in declared.items() if name not in held
    }
    return {**{k: v for k, v in new.items() if not _is_undefined(v)}, **held}


def _defaults(
    cls: Any, kind: Kind, missing: Iterable[str], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of fields that are not on record."""
    found: dict[str, Any] = {}
    for name in missing:
        if kind == "tuple":
            value = cls._field_defaults.get(name, _ABSENT)
        elif kind == "model":
            value = _model_default(cls.model_fields[name], fields)
        else:
            value = _field_default(cls, name)
        if value is _ABSENT:
            raise NotStorableError(
                f"The journal holds a {name_of(cls)} without {name!r}, which the class asks for "
                "now. Give the field a default."
            )
        if value is not _UNSET:
            found[name] = value
    return found


def _field_default(cls: Any, name: str) -> Any:
    (field,) = (each for each in dataclasses.fields(cls) if each.name == name)
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _ABSENT if field.init else _UNSET


def _model_default(info: Any, fields: Mapping[str, Any]) -> Any:
    if info.is_required():
        return _ABSENT
    if getattr(info, "default_factory_takes_validated_data", False):
        return info.get_default(call_default_factory=True, validated_data=dict(fields))
    return info.get_default(call_default_factory=True)


def _with_rest(parts: Parts, value: Any, names: tuple[str, ...]) -> Parts:
    """`parts`, with what was set on `value` beside its fields. What a cached property has kept is
    made again when it is asked for."""
    held = getattr(value, "__dict__", None) or {}
    slots = _slots(type(value))
    if not slots and held.keys() <= parts["value"].keys():
        return parts
    cls = type(value)
    rest = {
        name: item
        for name, item in held.items()
        if name not in names and not _is_dunder(name) and not _is_cached(cls, name)
    }
    for name in slots:
        if name not in names and (item := getattr(value, name, _ABSENT)) is not _ABSENT:
            rest[name] = item
    if rest:
        parts["attributes"] = rest
    return parts


def _shape_of(cls: Any) -> tuple[Kind, tuple[str, ...]]:
    if hasattr(cls, "__dataclass_fields__"):
        names = tuple(field.name for field in dataclasses.fields(cls))
        return ("dataclass" if static_base(cls) is object else "call"), names
    if issubclass(cls, tuple):
        return "tuple", tuple(cls._fields)
    names = tuple(getattr(cls, "model_fields", ()))
    is_model = hasattr(cls, "__pydantic_fields_set__") and hasattr(cls, "__private_attributes__")
    return ("model" if is_model and static_base(cls) is object else "call"), names


#: How objects of a class are rebuilt, and the names of its fields.
_shape: Callable[[Any], tuple[Kind, tuple[str, ...]]] = lru_cache(4096)(_shape_of)


def _slots_of(cls: type) -> tuple[str, ...]:
    """The names of the slots of the class that are no attributes of Python's or pydantic's own."""
    fields = _shape(cls)[1]
    return tuple(name for name in slots_of(cls) if not _is_dunder(name) and name not in fields)


_slots: Callable[[Any], tuple[str, ...]] = lru_cache(4096)(_slots_of)


def _is_cached(cls: type, name: str) -> bool:
    return any(isinstance(base.__dict__.get(name), cached_property) for base in cls.__mro__)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_undefined(value: Any) -> bool:
    core = sys.modules.get("pydantic_core")
    return core is not None and value is core.PydanticUndefined
