"""Members of an Enum, what a Literal names, and keys, from the JSON of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from typing import Any

from runs.engine.annotations.scalars import SCALARS
from runs.engine.plain_json import key_text, plain_json

Read = Callable[[Any], Any]


def enum_member(kind: Any) -> Read | None:
    """What makes a member of an Enum of its value, or of the JSON of that (a date as text, a tuple
    as a list); None for a class that is no Enum. It raises ValueError for what is no member."""
    if not issubclass(kind, Enum):
        return None

    def read(given: Any) -> Any:
        try:
            return kind(given)
        except ValueError:
            for made in _readings(kind, given):
                with suppress(ValueError):
                    return kind(made)
            with suppress(KeyError):
                return _by_json(kind)[plain_json(given)]
            raise

    return read


def literal(args: tuple[Any, ...]) -> Read:
    """What makes of JSON what `Literal[args]` names. It raises ValueError for anything else."""
    readers = [one for kind in dict.fromkeys(map(type, args)) if (one := enum_member(kind))]

    def read(given: Any) -> Any:
        for arg in args:
            if type(given) is type(arg) and given == arg:
                return arg
        for reader in readers:
            with suppress(ValueError):
                made = reader(given)
                if any(made is arg for arg in args):
                    return made
        form = plain_json(given)
        for arg in args:
            if given == arg or plain_json(arg) == form:
                return arg
        raise ValueError(f"{given!r} is none of {', '.join(map(repr, args))}")

    return read


def is_json_literal(args: Iterable[Any]) -> bool:
    """Whether JSON has all that a Literal names as it is."""
    return all(type(arg) in (str, int, bool, type(None)) for arg in args)


def key_member(named: Iterable[Any], read: Read) -> Read:
    """As `read`, which makes members of their JSON, for the keys of a mapping: texts in JSON. Of
    several with one text, it is the one that is a text itself, or a member whose value is one."""
    known = {key_text(one): one for one in sorted(named, key=_likeness)}
    return lambda given: known[given] if type(given) is str and given in known else read(given)


def _likeness(named: Any) -> int:
    """How much like its text it is: a text itself is that."""
    if type(named) is str:
        return 2
    return int(isinstance(named.value if isinstance(named, Enum) else named, str))


def truth(key: Any) -> Any:
    """True or False for the text of it, as which JSON has them in keys."""
    if not isinstance(key, str):
        return key
    if key.lower() not in ("true", "false"):
        raise ValueError(f"{key!r} is neither true nor false")
    return key.lower() == "true"


def _readings(kind: type[Enum], given: Any) -> Iterator[Any]:
    """What the JSON value may stand for, by the types of the members' values."""
    for of_value in dict.fromkeys(type(member.value) for member in kind):
        if of_value in SCALARS:
            with suppress(ValueError):
                yield SCALARS[of_value](given)


@lru_cache(256)
def _by_json(kind: type[Enum]) -> Mapping[bytes, Enum]:
    return {plain_json(member): member for member in kind}
