"""Where a node or router may go on, by what its annotations say it returns."""

from __future__ import annotations

import collections
import collections.abc
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar, get_args, get_origin

from runs.engine.annotations import function_hints, type_hints
from runs.engine.annotations.function_hints import Unresolved
from runs.engine.errors import InvalidGraphError
from runs.engine.types import Command, Send

#: What may hold several answers.
_CONTAINERS: frozenset[Any] = frozenset(
    {list, tuple, set, frozenset, collections.deque, collections.abc.Sequence}
    | {collections.abc.MutableSequence, collections.abc.Set, collections.abc.MutableSet}
    | {collections.abc.Iterable, collections.abc.Collection}
)
_AWAITABLE: frozenset[Any] = frozenset({collections.abc.Awaitable, collections.abc.Coroutine})


def destinations(run: Callable[..., Any]) -> tuple[str, ...]:
    """The nodes that a node names in `-> Command[Literal["a", "b"]]`, wherever that stands."""
    found: list[str] = []
    for hint in _answers(_returned(run)):
        if get_origin(hint) is Command:
            for target in _answers(*get_args(hint)):
                found += _names(target)
    return tuple(dict.fromkeys(found))


def may_choose(run: Callable[..., Any]) -> bool:
    """Whether a node may go where no edge says, by returning a Command or a Send: its annotation
    tells, or does not say. Then one cannot that uses nothing but its arguments and what is built
    in."""
    returned = _returned(run)
    if isinstance(returned, Unresolved):
        return not _stays_inside(run)
    return any(map(_leads_anywhere, _answers(returned)))


def answers(who: str, path: Callable[..., Any]) -> tuple[str, ...] | None:
    """The names in a router's `-> Literal["a", "b"]`; None when it may answer something else, as a
    Send or a name that it does not say. InvalidGraphError for a Literal that is no name."""
    found: list[str] = []
    for hint in _answers(_returned(path)):
        if hint is type(None):
            continue
        if get_origin(hint) is not Literal:
            return None
        for value in get_args(hint):
            if value is not None and not isinstance(value, str):
                raise InvalidGraphError(
                    f"{who} answers {value!r}, as it is annotated, which is no name of a node. "
                    f"Translate its answers: path_map={{{value!r}: '<node>'}}."
                )
        found += _names(hint)
    return tuple(dict.fromkeys(found)) or None


def may_be_none(path: Callable[..., Any]) -> bool:
    """Whether a router's annotation has None among its answers. One that answers nothing else
    (`-> None`) has forgotten to say where to go."""
    hints = list(_answers(_returned(path)))
    allowed = (
        one is type(None) or (get_origin(one) is Literal and None in get_args(one)) for one in hints
    )
    return hints != [type(None)] and any(allowed)


def _returned(run: Callable[..., Any]) -> Any:
    return function_hints.hints(run).get("return", Unresolved(""))


def _answers(hint: Any, depth: int = 0) -> Iterator[Any]:
    """The single answers in an annotation: unions and containers are opened."""
    for member in type_hints.members(hint):
        origin = get_origin(member)
        if depth > type_hints.MAX_DEPTH:
            yield Any
        elif origin in _AWAITABLE:
            yield from _answers(get_args(member)[-1], depth + 1)
        elif origin in _CONTAINERS:
            for part in get_args(member):
                if part is not ...:
                    yield from _answers(part, depth + 1)
        elif member in _CONTAINERS:
            yield Any
        else:
            yield member


def _leads_anywhere(hint: Any) -> bool:
    if get_origin(hint) is Command:
        return any(get_origin(target) is not Literal for target in _answers(*get_args(hint)))
    if isinstance(hint, (TypeVar, typing.ForwardRef)) or hint in (Any, object):
        return True
    return isinstance(hint, type) and issubclass(hint, (Command, Send))


def _names(hint: Any) -> list[str]:
    if get_origin(hint) is not Literal:
        return []
    return [str.__str__(value) for value in get_args(hint) if isinstance(value, str)]


def _stays_inside(run: Callable[..., Any]) -> bool:
    if not inspect.isfunction(run) or run.__code__.co_cellvars or run.__defaults__:
        return False
    if any(inspect.iscode(constant) for constant in run.__code__.co_consts):
        return False  # a function in it may use more
    try:
        used = inspect.getclosurevars(run)
    except ValueError:  # a variable of the function around has no value yet
        return False
    return not (used.nonlocals or used.globals)
