"""What a function's signature says: how to call it, and what it reads."""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable, Collection
from typing import Any, NoReturn, TypeVar

from runs.engine.annotations import function_hints, type_hints
from runs.engine.annotations.function_hints import Unresolved, call_of
from runs.engine.errors import InvalidGraphError
from runs.engine.graph.graph import ExtraArgument
from runs.engine.names import as_text

#: What a node is handed when a parameter has this name; a second one of any other name is the
#: context too.
NAMED: dict[str, ExtraArgument] = {
    "config": "config",
    "ctx": "context",
    "context": "context",
    "runtime": "context",
    "writer": "writer",
}


def name_of(function: object) -> str:
    """What a node that is given without a name is called: as the function, or else as the class of
    the object; a `partial` is called "partial"."""
    name = getattr(function, "__name__", None)
    return as_text(name) if isinstance(name, str) else type(function).__name__


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine: a partial is as async as what it calls, an object as
    its `__call__`."""
    return inspect.iscoroutinefunction(call_of(function))


def awaits(function: Callable[..., Any]) -> bool:
    """Whether it is written as an async function, under whatever wraps it."""
    call = call_of(function)
    return any(map(inspect.iscoroutinefunction, (call, inspect.unwrap(call))))


def yields(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a generator."""
    call = call_of(function)
    return inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call)


def calling(
    who: str, run: Callable[..., Any]
) -> tuple[ExtraArgument, tuple[tuple[str, ExtraArgument], ...]]:
    """What `run` takes beside its state: as its second argument, and by keyword. What cannot be
    given to it raises InvalidGraphError, which says so of `who`."""
    try:
        parameters = list(inspect.signature(run).parameters.values())
    except (TypeError, ValueError):
        return "state", ()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not positional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise InvalidGraphError(f"{who} takes no argument; {_TAKES}.")
    second: ExtraArgument = "state"
    if len(positional) > 1 and (positional[1].name in NAMED or _is_needed(positional[1])):
        second = NAMED.get(positional[1].name) or _second(who, run, positional[1].name)
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


def _second(who: str, run: Callable[..., Any], name: str) -> ExtraArgument:
    """What a second argument of any other name is given: what its annotation says, or a context."""
    hint = function_hints.hints(run).get(name)
    for kind in map(type_hints.class_of, type_hints.members(hint)):
        said = getattr(kind, "__name__", "")
        if kind is collections.abc.Callable or said == "StreamWriter":
            return "writer"
        if isinstance(kind, type) and issubclass(kind, collections.abc.Mapping):
            return "config"
        if kind in (str, int, float, bool, bytes, list, tuple, set):
            _refuse(who, name)
        if said == "BaseStore":
            _refuse(who, "store")
    return "context"


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


def reads(who: str, run: Callable[..., Any], known: Collection[str] = ()) -> Any:
    """The state type that the first parameter of `run` is annotated with; None when it names none.
    InvalidGraphError, which says so of `who`, when it names several, or one that cannot be found
    and is not among the `known` names: those of the graph's own state."""
    try:
        first = next(iter(inspect.signature(run).parameters), "")
    except (TypeError, ValueError):
        return None
    hint = function_hints.hints(run).get(first)
    if isinstance(hint, Unresolved):
        if hint.text in known:
            return None
        raise InvalidGraphError(
            f"{who} reads a {hint.text}, as it is annotated, and nothing of that name can be found."
            " Import it where the graph is built, not under TYPE_CHECKING; or leave the annotation "
            "out, and say it with add_node(..., input_schema=...)."
        )
    found = [one for one in map(_bound, type_hints.members(hint)) if _is_state(one)]
    if len(found) > 1:
        names = " or ".join(str(getattr(one, "__name__", one)) for one in found)
        raise InvalidGraphError(
            f"{who} reads a {names}, as it is annotated, which are several states. Name one of "
            "them."
        )
    return found[0] if found else None


def _bound(hint: Any) -> Any:
    return hint.__bound__ if isinstance(hint, TypeVar) else hint


def _is_state(hint: Any) -> bool:
    kind = type_hints.class_of(hint)
    return isinstance(kind, type) and bool(getattr(kind, "__annotations__", None))
