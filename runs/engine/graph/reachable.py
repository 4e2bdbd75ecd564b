"""What a function can reach by the names in its code. Nothing is called, and no property asked."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import getattr_static
from types import CodeType
from typing import Any

from runs.engine.graph.graph import Graph
from runs.engine.graph.runnables import parts

_ABSENT = object()


def reached(function: Callable[..., Any]) -> Iterator[Any]:
    """The values of the names that the function takes from around it, by now, and of the attributes
    that it looks up on them; of its own object, if it is a method or has a `__call__`; of what a
    partial holds; and the same of what it wraps, and of the functions in LangChain's chains."""
    seen: set[int] = set()
    left: list[Any] = [function]
    while left:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        left += _wrapped(one)
        for known in _reached_directly(one):
            yield known
            if inside := list(parts(known)):
                left += [known, *inside]


def _reached_directly(one: Any) -> Iterator[Any]:
    if inside := list(parts(one)):
        yield from inside
    elif isinstance(one, partial):
        yield from (*one.args, *one.keywords.values())
    elif inspect.isfunction(one):
        yield from _of_code(one.__code__, _names(one))
    elif inspect.ismethod(one):
        yield from _of_method(one.__func__, one.__self__)
    elif not inspect.isroutine(one) and callable(one):
        yield from _of_method(getattr_static(type(one), "__call__", None), one)


def reached_graphs(function: Callable[..., Any]) -> list[Graph]:
    """The graphs that the function can call, each once."""
    graphs = [getattr_static(known, "graph", None) for known in reached(function)]
    return list({id(graph): graph for graph in graphs if isinstance(graph, Graph)}.values())


def _wrapped(function: Any) -> list[Any]:
    if isinstance(function, partial):
        return [function.func]
    inner = getattr_static(function, "__wrapped__", None)
    inside = [cell for cell in _cells(function).values() if inspect.isroutine(cell)]
    return [*([] if inner is None else [inner]), *inside]


def _of_method(function: Any, own: Any) -> Iterator[Any]:
    if inspect.isfunction(function):
        code = function.__code__
        first = dict.fromkeys(code.co_varnames[: min(code.co_argcount, 1)], own)
        yield from _of_code(code, {**_names(function), **first})


def _cells(function: Any) -> dict[str, Any]:
    if not inspect.isfunction(function):
        return {}
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # it stands for nothing yet
            continue
    return found


def _names(function: Any) -> dict[str, Any]:
    names = set(function.__code__.co_names)
    known = {name: value for name, value in function.__globals__.items() if name in names}
    return {**known, **_cells(function)}


def _of_code(code: CodeType, names: Mapping[str, Any]) -> Iterator[Any]:
    """The values of the names, and of the chains of attributes (`holder.graphs.first`) in the code
    and the functions in it."""
    yield from names.values()
    value: Any = _ABSENT
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            if value is not _ABSENT:
                value = getattr_static(value, str(step.argval), _ABSENT)
            if value is not _ABSENT:
                yield value
        elif step.opname.startswith("LOAD_") and isinstance(step.argval, str):
            value = names.get(step.argval, _ABSENT)
        elif step.opname != "CACHE":
            value = _ABSENT
    for inner in code.co_consts:
        if inspect.iscode(inner):
            yield from _of_code(inner, names)
