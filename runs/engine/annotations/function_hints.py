"""The annotations of whatever may be a node or router: a function, a partial, a method, an object
that can be called, or something decorated."""

from __future__ import annotations

import contextlib
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from runs.engine.annotations import type_hints


@dataclass(frozen=True)
class Unresolved:
    """An annotation in a string that names what is not there, as under TYPE_CHECKING."""

    text: str


def behind_partials(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a partial calls in the end; anything else itself."""
    while isinstance(function, partial):
        function = function.func
    return function


def call_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a call of it runs: behind partials, and of an object its `__call__`."""
    function = behind_partials(function)
    return function if inspect.isroutine(function) else type(function).__call__


def function_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `call_of`, behind decorators too."""
    function = behind_partials(function)
    inner = inspect.unwrap(function)
    return inspect.unwrap(call_of(function)) if inner is function else function_of(inner)


def hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations by parameter, with all that they say. Each is read by itself: one that names
    what is only there for type checkers is no reason to overlook the others."""
    call = function_of(function)
    try:
        return typing.get_type_hints(call, include_extras=True)
    except Exception:
        return {
            name: _one(call, name, said)
            for name, said in getattr(call, "__annotations__", {}).items()
        }


def _one(call: Any, name: str, said: Any) -> Any:
    holder = types.SimpleNamespace(__annotations__={name: said})
    call = getattr(call, "__func__", call)
    around = type_hints.local_names()
    with contextlib.suppress(TypeError, ValueError):
        around |= inspect.getclosurevars(call).nonlocals
    try:
        found = typing.get_type_hints(
            holder, getattr(call, "__globals__", {}), around, include_extras=True
        )
    except Exception:
        return Unresolved(said if isinstance(said, str) else repr(said))
    return found[name]
