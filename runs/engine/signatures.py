"""What a function's signature says: how to call it, what it reads, and where it may go on."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Union, get_args, get_origin

from .errors import InvalidGraphError
from .graph import Calling
from .types import Command, Send

#: What a node is handed when a parameter has this name; a second one of any other name is the
#: context too.
NAMED: dict[str, Calling] = {
    "config": "config",
    "ctx": "context",
    "context": "context",
    "runtime": "context",
    "writer": "writer",
}


def name_of(function: object) -> str:
    """What a node that is given without a name is called."""
    name = getattr(function, "__name__", None)
    if name is None:
        raise InvalidGraphError(
            f"A {type(function).__name__} has no name of its own: add_node('<name>', function)."
        )
    return str(name)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine: a partial is as async as what it calls, an object as
    its `__call__`."""
    while isinstance(function, partial):
        function = function.func
    call = function if inspect.isroutine(function) else type(function).__call__
    return inspect.iscoroutinefunction(inspect.unwrap(call))


def calling(name: str, run: Callable[..., Any]) -> tuple[Calling, tuple[tuple[str, Calling], ...]]:
    """What `run` takes beside its state: as its second argument, and by keyword."""
    try:
        parameters = list(inspect.signature(run).parameters.values())
    except (TypeError, ValueError):
        return "state", ()
    keywords = tuple(
        (p.name, NAMED[p.name]) for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in NAMED
    )
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    needed = sum(p.default is p.empty for p in positional)
    if needed > 2 or not (positional or takes_any):
        raise InvalidGraphError(
            f"Node {name!r} takes {needed} arguments; a node takes (state), (state, ctx) or "
            "(state, config)."
        )
    if len(positional) < 2:
        return "state", keywords
    second = positional[1]
    if second.name not in NAMED and second.default is not second.empty:
        return "state", keywords
    return NAMED.get(second.name, "context"), keywords


def reads(run: Callable[..., Any]) -> Any:
    """The state type that a node's first parameter is annotated with; None when it names none."""
    hints = _hints(run)
    try:
        first = next(iter(inspect.signature(run).parameters), "")
    except (TypeError, ValueError):
        return None
    hint = hints.get(first)
    return hint if isinstance(hint, type) and getattr(hint, "__annotations__", None) else None


def destinations(run: Callable[..., Any]) -> tuple[str, ...]:
    """The nodes in `-> Command[Literal["a", "b"]]`."""
    found: list[str] = []
    for hint in _options(_hints(run).get("return")):
        if get_origin(hint) is Command:
            for argument in get_args(hint):
                found += _literals(argument)
    return tuple(found)


def may_choose(run: Callable[..., Any]) -> bool:
    """Whether a node may go where no edge says, by returning a Command: its annotation tells, or
    does not say."""
    hints = _hints(run)
    if "return" not in hints:
        return True
    options = _options(hints["return"])
    return any(hint in (Any, Command, object) or get_origin(hint) is list for hint in options)


def answers(path: Callable[..., Any]) -> tuple[str, ...] | None:
    """The names in a router's `-> Literal["a", "b"]`; None when it does not say, or may Send."""
    hint = _hints(path).get("return")
    options = _options(hint)
    if any(option is Send for option in options):
        return None
    found = [name for option in options for name in _literals(option)]
    return tuple(found) or None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(function, partial):
        function = function.func
    call = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(call)
    except Exception:  # a name that is only there for type checkers is no reason to fail
        return {}


def _options(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(option for part in get_args(hint) for option in _options(part))
    return (hint,)


def _literals(hint: Any) -> list[str]:
    origin = get_origin(hint)
    if origin is Literal:
        return [value for value in get_args(hint) if isinstance(value, str)]
    return [name for part in get_args(hint) for name in _literals(part)]
