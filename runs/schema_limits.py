"""A JSON Schema validator whose cost grows with the payload, whatever schema and payload are.

The library's own compares the items of `uniqueItems` pair by pair, writes the whole value into the
message of every branch that fails, and tries a recursive schema with two branches 2 ** depth times.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from datetime import date, datetime, time
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry

from runs.engine.annotations.scalars import duration

#: Keyword calls that every payload may cost, each of its values may cost more, and none exceeds.
BASE, PER_VALUE, MOST = 200_000, 20, 3_000_000
_LONG_TEXT = 200

_left: ContextVar[list[int]] = ContextVar("keyword calls left")


class TooComplex(Exception):
    """To compare this payload with this schema would take more than the allowed number of steps."""


def validator_of(schema: Mapping[str, Any]) -> Any:
    """A validator for `faults`. It resolves nothing from outside `schema`."""
    # Without `$schema`, which would choose another class where the schema refers to its own root.
    own = {name: value for name, value in schema.items() if name != "$schema"}
    return _Validator(own, registry=Registry(), format_checker=_formats)


def faults(validator: Any, payload: Any, most: int) -> list[ValidationError]:
    """The first `most` places where `payload` (nested 100 levels at most) does not fit.
    TooComplex when that cannot be found out in time."""
    count = [0]
    brief = _brief(payload, count)
    token = _left.set([min(BASE + PER_VALUE * count[0], MOST)])
    try:
        return list(islice(validator.iter_errors(brief), most))
    finally:
        _left.reset(token)


def _spend(steps: int) -> None:
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise TooComplex


def _counted(keyword: Callable[..., Any], *, squared: bool = False) -> Callable[..., Any]:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        # `squared`: it looks up each member in a list of all of them.
        _spend(1 + len(instance) ** 2 // 100 if squared and hasattr(instance, "__len__") else 1)
        return keyword(validator, value, instance, schema)

    return check


def _unique_items(
    validator: Any, wanted: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if wanted and validator.is_type(instance, "array"):
        _spend(len(instance))
        if len({_identity(item) for item in instance}) < len(instance):
            yield ValidationError(f"{instance!r} has non-unique elements")


def _identity(value: Any) -> Any:
    """Equal for what JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return "object", frozenset((key, _identity(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_identity, value))
    return isinstance(value, bool), value


_SQUARED = ("unevaluatedItems", "unevaluatedProperties")
_KEYWORDS = {
    **{
        name: _counted(keyword, squared=name in _SQUARED)
        for name, keyword in Draft202012Validator.VALIDATORS.items()
    },
    "uniqueItems": _counted(_unique_items),
}
_Validator: Any = validators.extend(Draft202012Validator, _KEYWORDS)  # type: ignore[no-untyped-call]


# --- formats ------------------------------------------------------------------------------------

#: How the text of each `format` that is checked is read; ValueError for one that is none.
_READ: Mapping[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "time": time.fromisoformat,
    "duration": duration,
    "uuid": UUID,
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
}
_formats = FormatChecker(formats=())


def _check_as(read: Callable[[str], object]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        if isinstance(value, str):
            read(value)
        return True

    return check


for _name, _read in _READ.items():
    _formats.checks(_name, raises=(ValueError, OverflowError))(_check_as(_read))


# --- values that are short in messages -----------------------------------------------------------


class _Shortener(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxdict, self.maxstring = 4, 20, 20, _LONG_TEXT

    def repr1(self, x: Any, level: int) -> str:
        # By what a value is, not by the name of its class, which for the ones below is their own.
        if isinstance(x, list):
            return self.repr_list(x, level)
        if isinstance(x, dict):
            return self.repr_dict(x, level)
        return self.repr_str(x, level) if isinstance(x, str) else repr(x)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        members = [
            f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}"
            for key, value in islice(x.items(), self.maxdict)
        ]
        return f"{{{', '.join(members)}{', ...' if len(x) > self.maxdict else ''}}}"

    def repr_str(self, x: str, level: int) -> str:
        return repr(str(x)) if len(x) <= self.maxstring else f"{str(x[: self.maxstring])!r}..."


_SHORT = _Shortener()


class _List(list[Any]):
    def __repr__(self) -> str:
        return _SHORT.repr(self)


class _Dict(dict[str, Any]):
    def __repr__(self) -> str:
        return _SHORT.repr(self)


class _Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return _SHORT.repr(self)


_SCALARS = {float, int, bool, type(None)}


def _brief(value: Any, count: list[int]) -> Any:
    """An equal value whose parts are short where a message shows them; counts them."""
    count[0] += 1
    if isinstance(value, dict):
        return _Dict((key, _brief(inner, count)) for key, inner in value.items())
    if isinstance(value, list):
        if set(map(type, value)) <= _SCALARS:  # a long list of numbers
            count[0] += len(value)
            return _List(value)
        return _List(_brief(inner, count) for inner in value)
    if isinstance(value, str) and len(value) > _LONG_TEXT:
        return _Text(value)
    return value
