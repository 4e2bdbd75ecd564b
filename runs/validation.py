"""What clients may send as values: JSON that every database keeps and every client reads back
equal, and that fits the workflow it is for.

Refused everywhere: NaN and infinities, whole numbers beyond 64 bits (many JSON readers round them
silently), NUL characters and lone surrogates (Postgres stores neither), nesting deeper than
`MAX_DEPTH`. A fault is `{"at": JSON pointer, "detail": sentence}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from jsonschema.exceptions import ValidationError
from referencing.exceptions import Unresolvable

from runs import schema_limits
from runs.db.guard.user_calls import undisturbed
from runs.db.guard.user_threads import LeftOpen
from runs.errors import Problem
from runs.workflows import Workflow

MAX_DEPTH = 100
MAX_FAULTS = 20
LOWEST, HIGHEST = -(2**63), 2**63 - 1

Fault: TypeAlias = dict[str, str]

#: A place inside a value: the place of what holds it, and the key or index there.
_Place: TypeAlias = "tuple[_Place, str | int] | None"


def value_faults(value: Any, at: str = "") -> list[Fault]:
    """Why `value` cannot be stored; empty when it can. `at` is the pointer of `value` itself. At
    most `MAX_FAULTS` are listed."""
    # To note the place of each value costs ten times as much as to look at it.
    return [] if _is_storable(value) else list(islice(_walk(value, at), MAX_FAULTS))


def schema_faults(
    workflow: Workflow, payload: Any, at: str = "", *, goes_on: bool = False
) -> list[Fault]:
    """Where `payload` does not fit the input schema of `workflow`, or its nodes could not be given
    it as their annotations say; empty when all is well. On a thread that `goes_on`, what is left
    out may be there. A schema that refers to anything outside itself is never fetched: it is a
    Problem."""
    try:
        errors = schema_limits.faults(_validator(workflow), payload, MAX_FAULTS)
    except schema_limits.TooComplex:
        raise Problem(
            422,
            "too_complex",
            f"To compare this payload with the input schema of workflow {workflow.name!r} takes too"
            " many steps. Send a smaller or flatter one.",
            [{"at": at, "detail": "This is too complex for the input schema."}],
        ) from None
    except (Unresolvable, RecursionError) as error:
        raise Problem(
            422,
            "unusable_schema",
            f"The input schema of workflow {workflow.name!r} cannot be applied: it refers to"
            " something outside itself, or to itself without end. Its author must correct it.",
        ) from error
    if errors:
        return [_schema_fault(error, at) for error in errors]
    return type_faults(workflow, partial(workflow.graph.input_faults, payload, goes_on=goes_on), at)


def type_faults(
    workflow: Workflow, find: Callable[[], Iterable[tuple[Iterable[str | int], str]]], at: str
) -> list[Fault]:
    """What the engine finds of values that do not fit their types, as faults. Validators of the
    types are user code: one that leaves a transaction open is a Problem."""
    who = f"A type of the state of workflow {workflow.name!r}"
    try:
        faults = undisturbed(who, lambda: list(islice(find(), MAX_FAULTS)))
    except LeftOpen as error:
        detail = f"{error} Its author must correct it."
        raise Problem(422, "unusable_type", detail, [{"at": at, "detail": detail}]) from error
    return [{"at": pointer(at, keys), "detail": printable(_short(text))} for keys, text in faults]


def pointer(at: str, keys: Iterable[str | int]) -> str:
    """The JSON pointer of what is reached from `at` through `keys`."""
    escaped = (str(key).replace("~", "~0").replace("/", "~1") for key in keys)
    return printable("/".join([at, *escaped]))


def printable(text: str) -> str:
    """`text` with what no client could read (lone surrogates, NUL) written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _is_storable(root: Any) -> bool:
    """Whether `_walk` finds nothing. False also for what only `_walk` understands."""
    level: list[Any] = [root]
    for depth in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is dict:
                if depth == MAX_DEPTH or not all(map(_is_fine_text, value)):
                    return False
                inner += value.values()
            elif kind is list or kind is tuple:
                if depth == MAX_DEPTH:
                    return False
                inner += value
            elif kind is str:
                if not _is_fine_text(value):
                    return False
            elif kind is float:
                if not math.isfinite(value):
                    return False
            elif value is not None and kind is not bool and _scalar_fault(value):
                return False
        if not inner:
            return True
        level = inner
    return False


def _is_fine_text(text: Any) -> bool:
    return type(text) is str and not _text_fault(text)


def _walk(root: Any, at: str) -> Iterator[Fault]:
    # A stack and not recursion: the depth of the input must not become ours.
    stack: list[tuple[Any, _Place, int]] = [(root, None, 0)]
    while stack:
        value, place, depth = stack.pop()
        if isinstance(value, dict | list | tuple) and depth >= MAX_DEPTH:
            yield _fault(at, place, f"This is nested deeper than {MAX_DEPTH} levels.")
        elif isinstance(value, dict):
            for key, inner in value.items():
                if not isinstance(key, str):
                    yield _fault(at, place, f"The key {key!r} is not text.")
                elif why := _text_fault(key):
                    yield _fault(at, (place, key), f"The key {why}")
                stack.append((inner, (place, key), depth + 1))
        elif isinstance(value, list | tuple):
            stack.extend((inner, (place, i), depth + 1) for i, inner in enumerate(value))
        elif why := _scalar_fault(value):
            yield _fault(at, place, why)


def _scalar_fault(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        why = _text_fault(value)
        return f"The text {why}" if why else ""
    if isinstance(value, int):
        if LOWEST <= value <= HIGHEST:
            return ""
        return "Whole numbers must fit into 64 bits; send a larger one as text."
    if isinstance(value, float):
        return "" if math.isfinite(value) else "NaN and infinities are not JSON; send null or text."
    return f"A {type(value).__name__} is not a JSON value."


def _text_fault(text: str) -> str:
    if "\x00" in text:
        return "contains a NUL character; remove it."
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "contains half of a surrogate pair; send well-formed Unicode."
    return ""


def _fault(at: str, place: _Place, detail: str) -> Fault:
    keys: list[str | int] = []
    while place is not None:
        place, key = place
        keys.append(key)
    return {"at": pointer(at, reversed(keys)), "detail": detail}


def _schema_fault(error: ValidationError, at: str) -> Fault:
    return {"at": pointer(at, error.absolute_path), "detail": f"{_short(error.message)}."}


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]}…"


_validators: dict[str, tuple[Workflow, Any]] = {}


def _validator(workflow: Workflow) -> Any:
    cached = _validators.get(workflow.name)
    if cached is None or cached[0] is not workflow:
        cached = (workflow, schema_limits.validator_of(workflow.input_schema))
        _validators[workflow.name] = cached
    return cached[1]
