"""What a function's signature says: how to call it, what it reads, and where it may go on."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

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
    return inspect.iscoroutinefunction(_called(function))


def awaits(function: Callable[..., Any]) -> bool:
    """Whether it is written as an async function, under whatever wraps it."""
    while isinstance(function, partial):
        function = function.func
    call = _called(function)
    return any(map(inspect.iscoroutinefunction, (call, inspect.unwrap(call))))


def yields(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a generator."""
    while isinstance(function, partial):
        function = function.func
    call = _called(function)
    return inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call)


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    return function if inspect.isroutine(function) else type(function).__call__


def calling(who: str, run: Callable[..., Any]) -> tuple[Calling, tuple[tuple[str, Calling], ...]]:
    """What `run` takes beside its state: as its second argument, and by keyword. What cannot be
    given to it raises InvalidGraphError, which says so of `who`."""
    try:
        parameters = list(inspect.signature(run).parameters.values())
    except (TypeError, ValueError):
        return "state", ()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not positional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise InvalidGraphError(f"{who} takes no argument; {_TAKES}.")
    second: Calling = "state"
    if len(positional) > 1 and (positional[1].name in NAMED or _is_needed(positional[1])):
        second = NAMED.get(positional[1].name, "context")
    taken = positional[:1] if second == "state" else positional[:2]
    keywords = []
    for p in (p for p in parameters if p not in taken):
        if p.name in NAMED and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            keywords.append((p.name, NAMED[p.name]))
        elif _is_needed(p):
            _refuse(who, p.name)
    if "store" in [p.name for p in taken[1:]]:
        _refuse(who, "store")
    return second, tuple(keywords)


_TAKES = "it takes (state), and beside it a context (ctx), config, runtime or writer"


def _is_needed(p: inspect.Parameter) -> bool:
    return p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)


def _refuse(who: str, name: str) -> NoReturn:
    if name == "store":
        raise InvalidGraphError(
            f"{who} takes a store, and there is none: keep what outlives a thread in a database "
            "of your own, and hand it in with ainvoke(context=...)."
        )
    raise InvalidGraphError(
        f"{who} takes an argument {name!r} that nothing is known to go into; {_TAKES}. Give "
        f"{name!r} a default."
    )


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
    does not say. Then one cannot that uses nothing but its arguments and what is built in."""
    hints = _hints(run)
    if "return" not in hints:
        return not _stays_inside(run)
    options = _options(hints["return"])
    return any(hint in (Any, Command, object) or get_origin(hint) is list for hint in options)


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


def used(function: Callable[..., Any]) -> list[Any]:
    """What the names stand for that the function takes from around it, by now."""
    while isinstance(function, partial):
        function = function.func
    try:
        names = inspect.getclosurevars(_called(function))
    except (TypeError, ValueError):  # not written in Python; a name that stands for nothing yet
        return []
    return [*names.nonlocals.values(), *names.globals.values()]


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
