"""What type annotations mean, as `typing` has it: the type itself, what `Annotated` says beside it,
and the keys of a state with their types.

Seen through are `Annotated` at any depth, `Required`, `NotRequired`, `ReadOnly`, `Final`, type
aliases (`TypeAliasType`, `NewType`), type variables that a generic class binds, and strings.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Annotated, Any, NewType, TypeVar, Union, get_args, get_origin
from weakref import WeakKeyDictionary

from runs.engine.errors import InvalidGraphError
from runs.engine.names import as_text

#: How deep annotations are looked through: an alias may name itself.
MAX_DEPTH = 20
_QUALIFIERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final", "ClassVar"})


def peeled(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type itself, and all that `Annotated` says beside it, the innermost first."""
    extras: tuple[Any, ...] = ()
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            inner, *own = get_args(hint)
            hint, extras = inner, (*own, *extras)
        elif _is_alias(hint):
            hint = hint.__value__
        elif _is_alias(origin):
            hint = origin.__value__[get_args(hint)]
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif getattr(origin, "_name", None) in _QUALIFIERS:
            (hint,) = get_args(hint)
        else:
            return hint, extras


def unions(core: Any) -> tuple[Any, ...]:
    """The members of a union as they are written; of any other type none."""
    return get_args(core) if get_origin(core) in (Union, types.UnionType) else ()


def members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, at any depth; of any other type the type itself. All are peeled."""
    core, _ = peeled(hint)
    if written := unions(core):
        return tuple(member for part in written for member in members(part))
    return (core,)


def parts(core: Any) -> tuple[Any, ...]:
    """What stands in the brackets of a type, lists of arguments flattened."""
    found: list[Any] = []
    for part in get_args(core):
        found += part if isinstance(part, list) else [part]
    return tuple(found)


def is_typeddict(kind: Any) -> bool:
    """Whether it is a TypedDict, of `typing` or of `typing_extensions`."""
    return isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__total__")


def is_named_tuple(kind: Any) -> bool:
    """Whether it is a class of tuples whose items have names."""
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def model_fields(kind: Any) -> Mapping[str, Any] | None:
    """The fields of a pydantic model or pydantic dataclass; None for anything else.
    InvalidGraphError when a type in it is not defined yet."""
    if not isinstance(kind, type):
        return None
    if hasattr(kind, "model_validate") and hasattr(kind, "model_fields"):
        if not getattr(kind, "__pydantic_complete__", True):
            try:
                kind.model_rebuild()  # type: ignore[attr-defined]
            except Exception as error:
                raise _unresolved(kind, error) from error
        return typing.cast(Mapping[str, Any], kind.model_fields)
    found: Mapping[str, Any] | None = getattr(kind, "__pydantic_fields__", None)
    return found


def is_record(kind: Any) -> bool:
    """Whether it is a class whose objects have named fields: a dataclass or a pydantic model."""
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or model_fields(kind) is not None
    )


def has_fields(kind: Any) -> bool:
    """Whether objects of a class are made of named fields: a record, or a named tuple."""
    return is_record(kind) or is_named_tuple(kind)


def class_of(state: Any) -> Any:
    """The class behind a generic alias: `State` of `State[int]`."""
    return get_origin(state) or state


def hints(state: Any) -> dict[str, Any]:
    """The annotations of a class by key, with all that they say. Of a dataclass or model only its
    fields. InvalidGraphError for a name in them that stands for nothing."""
    kind = class_of(state)
    fields = model_fields(kind)
    if fields is not None and hasattr(kind, "model_validate"):
        return {name: _of_field(info) for name, info in fields.items()}
    bound = dict(_bindings(state))
    return {as_text(key): _bind(hint, bound) for key, hint in _read(kind).items()}


def field_hints(state: Any) -> dict[str, Any]:
    """As `hints`; of a class whose annotations cannot be read, its fields, of any type. For classes
    of values, which may be of another package and need not be understood."""
    try:
        return hints(state)
    except InvalidGraphError:
        kind = class_of(state)
        if dataclasses.is_dataclass(kind):
            return {field.name: Any for field in dataclasses.fields(kind)}
        return dict.fromkeys(getattr(kind, "__annotations__", ()), Any)


#: In how many functions around a graph a name is looked for.
_FUNCTIONS = 5
#: What is known of classes that were read when a graph was built: those that a function defines can
#: be read there only.
_known: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def _read(kind: Any) -> dict[str, Any]:
    found = _known.get(kind)
    if found is None:
        try:
            found = _resolved(kind)
        except Exception as error:
            raise _unresolved(kind, error) from error
        if dataclasses.is_dataclass(kind):
            found = {field.name: found[field.name] for field in dataclasses.fields(kind)}
        _known[kind] = found
    return found


def _resolved(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except NameError:
        return typing.get_type_hints(kind, localns=local_names(), include_extras=True)


def local_names() -> dict[str, Any]:
    """The names in the functions that build the graph, the innermost first: what they define may be
    named in strings."""
    found: dict[str, Any] = {}
    frame: FrameType | None = sys._getframe(1)
    left = _FUNCTIONS
    while frame is not None and left:
        if not _is_ours(frame.f_globals.get("__package__") or ""):
            found = {**frame.f_locals, **found}
            left -= 1
        frame = frame.f_back
    return found


def is_required(state: Any, key: str, hint: Any) -> bool:
    """Whether an object of that type cannot be made without the key."""
    kind = class_of(state)
    if (fields := model_fields(kind)) is not None:
        return bool(fields[key].is_required())
    if dataclasses.is_dataclass(kind):
        (field,) = (each for each in dataclasses.fields(kind) if each.name == key)
        return field.init and field.default is field.default_factory is dataclasses.MISSING
    if is_named_tuple(kind):
        return key not in kind._field_defaults
    for qualifier in _qualifiers(hint):  # TypedDict itself overlooks them in a string
        return qualifier == "Required"
    return key in getattr(kind, "__required_keys__", ())


def _qualifiers(hint: Any) -> Iterator[str]:
    while (origin := get_origin(hint)) is not None:
        name = getattr(origin, "_name", None)
        if name in ("Required", "NotRequired"):
            yield name
        elif origin is not Annotated and name not in _QUALIFIERS:
            return
        hint = get_args(hint)[0]


def _of_field(info: Any) -> Any:
    annotation = info.annotation
    for extra in info.metadata:
        annotation = Annotated[annotation, extra]
    if info.discriminator is not None:
        annotation = Annotated[annotation, info]
    return annotation


def _is_alias(hint: Any) -> bool:
    return type(hint).__name__ == "TypeAliasType"


def _bindings(state: Any) -> Iterator[tuple[Any, Any]]:
    """What the type variables of a class, and of those it inherits from, stand for."""
    kind = class_of(state)
    if not isinstance(kind, type):
        return
    if kind is not state:
        yield from zip(getattr(kind, "__parameters__", ()), get_args(state), strict=False)
    for base in getattr(kind, "__orig_bases__", ()):
        if isinstance(get_origin(base), type):
            yield from _bindings(base)


def _bind(hint: Any, bound: Mapping[Any, Any]) -> Any:
    for _ in bound:  # one may stand for another
        if isinstance(hint, TypeVar):
            hint = bound.get(hint, hint)
        elif free := getattr(hint, "__parameters__", ()):
            hint = hint[tuple(bound.get(one, one) for one in free)]
        else:
            break
    return hint


def _unresolved(kind: Any, error: Exception) -> InvalidGraphError:
    why = f"{error.name!r} stands for nothing there" if isinstance(error, NameError) else str(error)
    return InvalidGraphError(
        f"The annotations of {getattr(kind, '__name__', kind)} cannot be read: {why}. A type "
        "that is named in a string (or under `from __future__ import annotations`) must be found "
        "in the module of the class, or in the function that builds the graph, and not under "
        "TYPE_CHECKING."
    )


def _is_ours(package: str) -> bool:
    return f"{package}.".startswith("runs.engine.")
