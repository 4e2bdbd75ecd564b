"""Which channel an annotation asks for: `Annotated[T, reducer]` anywhere `typing` allows it.

What could be meant for the engine and is not understood is refused, never passed over.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, get_origin

from runs.engine.annotations import conversions, type_hints
from runs.engine.errors import InvalidGraphError
from runs.engine.graph.channels import Appending, Channel, LastValue, Reducer, reducer
from runs.engine.graph.signatures import is_async, yields
from runs.engine.values.allowed import is_declared

#: Packages whose marks in `Annotated` are about values, and not for the engine.
_ABOUT_VALUES = frozenset({"pydantic", "pydantic_core", "annotated_types", "typing_extensions"})


@dataclass(frozen=True)
class ButNone:
    """The reducer in `Optional[Annotated[T, reduce]]`: it merges values of T, and None is none.
    What is written after a None takes its place, and a None that is written changes nothing."""

    reduce: Callable[[Any, Any], Any]

    def __call__(self, current: Any, update: Any) -> Any:
        if current is None or update is None:
            return current if update is None else update
        return self.reduce(current, update)

    @property
    def entry(self) -> Any:
        """How values enter the channel: as with the reducer alone."""
        return getattr(self.reduce, "entry", None)


def channel(key: str, hint: Any) -> Channel:
    """The channel of a key with that annotation: what its marks say, else the last value."""
    core, extras = type_hints.peeled(hint)
    marks = _marks(key, extras)
    _check_inside(key, core)
    inner = _of_members(key, core)
    if marks and inner:
        raise _twice(key, [marks[0], inner[0][1]])
    if marks:
        return _made(key, core, marks[0])
    if not inner:
        return LastValue(key)
    (member, mark), others = inner[0], [m for m in type_hints.members(core) if m is not type(None)]
    if len(others) > 1:
        raise InvalidGraphError(
            f"In the annotation of key {key!r}, {_name(mark)} stands at one of several types. Put "
            "it around all of them: Annotated[A | B, reducer]."
        )
    if _is_channel(mark):
        return _made(key, member, mark)
    _check_reducer(key, mark)
    return _converting(reducer(key, core, ButNone(mark)), core)


def _of_members(key: str, core: Any) -> list[tuple[Any, Any]]:
    """The members of a union that have a mark of their own, with it."""
    found = []
    for part in type_hints.unions(core):
        member, extras = type_hints.peeled(part)
        marks = _marks(key, extras)
        deeper = _of_members(key, member)
        if marks and deeper:
            raise _twice(key, [marks[0], deeper[0][1]])
        found += [(member, mark) for mark in marks] + deeper
    return found


def _marks(key: str, extras: tuple[Any, ...]) -> list[Any]:
    """What in `Annotated` says how writes are merged: one, or none."""
    found: list[Any] = []
    for extra in extras:
        if _is_mark(key, extra) and extra not in found:
            found.append(extra)
    if len(found) > 1:
        raise _twice(key, found)
    return found


def _is_mark(key: str, extra: Any) -> bool:
    kind = extra if isinstance(extra, type) else get_origin(extra) or type(extra)
    if _is_channel(extra):
        return True
    packages = {base.__module__.partition(".")[0] for base in getattr(kind, "__mro__", (kind,))}
    if packages & _ABOUT_VALUES:
        return False
    if isinstance(extra, type) or "langgraph" in packages or hasattr(kind, "from_checkpoint"):
        raise InvalidGraphError(
            f"Key {key!r} is annotated with {_name(extra)}, which is no channel of this engine, "
            "and no function. Give a reducer (Annotated[list, operator.add]), a channel of "
            "runs.engine (EphemeralValue), or leave it out."
        )
    return callable(extra)


def _is_channel(mark: Any) -> bool:
    return isinstance(mark, Channel) or (isinstance(mark, type) and issubclass(mark, Channel))


def _check_inside(key: str, core: Any, depth: int = 0) -> None:
    """Refuse a mark inside a container, where it could merge nothing."""
    if depth > type_hints.MAX_DEPTH:  # an alias that names itself
        return
    for member in type_hints.members(core):
        for part in _parts(member):
            inner, extras = type_hints.peeled(part)
            for extra in extras:
                is_reducer = inspect.isroutine(extra) or isinstance(extra, partial)
                if _is_channel(extra) or (is_reducer and not isinstance(extra, type)):
                    raise InvalidGraphError(
                        f"In the annotation of key {key!r}, {_name(extra)} stands inside of "
                        f"{getattr(member, '__name__', member)}[...]. A reducer merges what the "
                        "key holds as a whole: put it around the whole type."
                    )
            _check_inside(key, inner, depth + 1)


def _parts(member: Any) -> Iterator[Any]:
    return (part for part in type_hints.parts(member) if part is not ...)


def _made(key: str, core: Any, mark: Any) -> Channel:
    if isinstance(mark, Channel):
        return replace(mark, name=key)
    if not isinstance(mark, type):
        _check_reducer(key, mark)
        return _converting(reducer(key, core, mark), core)
    try:
        made: Channel = mark(key)
    except TypeError:
        raise InvalidGraphError(
            f"Key {key!r} is annotated with the class {mark.__name__}, which needs more than the "
            "name of the key: give the reducer itself (Annotated[list, operator.add])."
        ) from None
    return made


def _converting(made: Reducer, core: Any) -> Reducer:
    """A reducer that is given objects where its annotation says so, if `allow` itself has named
    their classes. Appending ones do not look at what they merge."""
    convert = conversions.converter(core)
    if convert is None or isinstance(made, Appending) or made.entry is not None:
        return made
    objects, to_objects = cache(partial(conversions.classes, core)), convert

    def converted(value: Any) -> Any:
        return to_objects(value) if all(map(is_declared, objects())) else value

    return replace(made, convert=converted)


def _check_reducer(key: str, reduce: Callable[..., Any]) -> None:
    if is_async(reduce) or yields(reduce):
        raise InvalidGraphError(
            f"The reducer of key {key!r}, {_name(reduce)}, is async or a generator. Give a plain "
            "function that returns the merged value."
        )
    try:
        inspect.signature(reduce).bind(None, None)
    except ValueError:  # some that are written in C do not say what they take
        return
    except TypeError:
        raise InvalidGraphError(
            f"The reducer of key {key!r} is called with two values, the present one and the new "
            f"one, and so it takes two values: {inspect.signature(reduce)} does not."
        ) from None


def _twice(key: str, marks: list[Any]) -> InvalidGraphError:
    return InvalidGraphError(
        f"Key {key!r} is annotated with {' and '.join(map(_name, marks))}: which of them merges "
        "its writes? Leave one."
    )


def _name(mark: Any) -> str:
    return str(getattr(mark, "__name__", None) or type(mark).__name__)
