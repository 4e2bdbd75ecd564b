"""What a conversion is, and how it refuses a value."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

from runs.engine.annotations import type_hints
from runs.engine.annotations.enum_members import (
    literal,
)

Convert = Callable[[Any], Any]


def literal_conversion(hint: Any) -> Convert | None:
    """Refuses what a Literal does not name: that tells the members of a union apart."""
    core, _ = type_hints.peeled(hint)
    return literal(get_args(core)) if get_origin(core) is Literal else None


def refuse_value(core: Any, given: Any) -> Any:
    names = (getattr(one, "__name__", str(one)) for one in type_hints.members(core))
    raise ValueError(f"{reprlib.repr(given)} is none of {', '.join(names)}")


def path_conversion(kind: Any) -> Convert | None:
    if not issubclass(kind, PurePath):
        return None
    return lambda given: kind(given) if isinstance(given, str) else given
