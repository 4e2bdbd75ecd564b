"""The classes whose objects may be stored, by their names in stored data. Reading a journal never
imports anything: a class that nobody has allowed is not found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, TypeVar, overload

from runs.engine.errors import NotStorableError

T = TypeVar("T", bound=type)

#: Allowed classes by name, as `module.Qualified.Name`.
_allowed: dict[str, type] = {}
#: The names that objects of allowed classes are stored under.
_names: dict[type, str] = {}
#: Those of them that nothing but the annotation of a state has named.
_implied: set[type] = set()


@overload
def allow(cls: T, /) -> T: ...
@overload
def allow(cls: T, /, *, also_known_as: Iterable[str]) -> T: ...
@overload
def allow(*, also_known_as: Iterable[str]) -> Callable[[T], T]: ...
def allow(cls: Any = None, /, *, also_known_as: Iterable[str] = ()) -> Any:
    """Let objects of dataclass, NamedTuple, Enum or pydantic model `cls` be stored. Usable as a
    decorator. Module and qualified name of the class become part of the stored data: after a move
    or a renaming give the old ones, `also_known_as=["old.module.Name"]`.

    TypeError for any other class."""
    names = [also_known_as] if isinstance(also_known_as, str) else list(also_known_as)
    if cls is None:
        return lambda decorated: allow(decorated, also_known_as=names)
    if not is_allowable(cls):
        raise TypeError(
            f"{getattr(cls, '__qualname__', cls)} is neither a dataclass, a NamedTuple, an Enum "
            "nor a pydantic model; store what it holds in a dict instead."
        )
    for name in (name_of(cls), *names):
        before = _allowed.get(_key(name))
        if before is not None and before is not cls and _key(name_of(before)) == _key(name):
            _names.pop(before, None)
        _allowed[_key(name)] = cls
    _names[cls] = name_of(cls)
    _implied.discard(cls)
    return cls


def allow_annotated(cls: type) -> None:
    """Let objects of `cls` be stored because the annotation of a state names it. Idempotent; a
    class that cannot be allowed is left out."""
    if is_allowable(cls) and not is_allowed(cls):
        allow(cls)
        _implied.add(cls)


def is_allowable(cls: Any) -> bool:
    """Whether `allow` takes the class."""
    return isinstance(cls, type) and (
        dataclasses.is_dataclass(cls)
        or issubclass(cls, Enum)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or hasattr(cls, "model_validate")
    )


def is_allowed(cls: type) -> bool:
    """Whether objects of exactly this class can be stored. A second class of the same name takes
    the place of the first: objects of the first would come back as objects of the second."""
    return cls in _names


def is_declared(cls: type) -> bool:
    """Whether `allow` itself has named the class."""
    return is_allowed(cls) and cls not in _implied


def name_of(cls: type) -> str:
    """The name of the class in stored data."""
    return f"{cls.__module__}:{cls.__qualname__}"


def find(name: str) -> type:
    """The class with that name in stored data. NotStorableError when none is allowed."""
    cls = _allowed.get(_key(name))
    if cls is None:
        raise NotStorableError(
            f"The journal holds a {name}, which this process does not allow: import its module and "
            "allow it with runs.engine.serde.allow(). Where the class was moved or renamed, allow "
            f"it under its old name too: allow(cls, also_known_as=[{name!r}])."
        )
    return cls


def _key(name: str) -> str:
    return name.replace(":", ".")
