"""The defaults that a dataclass or pydantic model gives its fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from runs.engine.annotations import type_hints
from runs.engine.values.copies import copied


def default_of(kind: Any, name: str) -> Callable[[], Any] | None:
    """What makes the default of a field; None where there is none, or where it follows from other
    fields."""
    if (fields := type_hints.model_fields(kind)) is not None:
        info = fields.get(name)
        if info is None or info.is_required():
            return None
        return partial(copied, info.default) if info.default_factory is None else _factory(info)
    if not dataclasses.is_dataclass(kind):
        return None
    field = {each.name: each for each in dataclasses.fields(kind)}.get(name)
    if field is None:
        return None
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    return None if field.default is dataclasses.MISSING else partial(copied, field.default)


def is_default(update: Any, name: str, value: Any) -> bool:
    """Whether an object only has a value because its class gives it: a pydantic model knows what it
    was given; of a dataclass, the default counts as not given."""
    if isinstance(update, Mapping):
        return False
    given = getattr(update, "model_fields_set", None)
    if given is not None:
        return name not in given
    default = default_of(type(update), name)
    return default is not None and same(value, default())


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of one type."""
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # an array has no single answer
        return False


def _factory(info: Any) -> Callable[[], Any] | None:
    if getattr(info, "default_factory_takes_validated_data", False):
        return None
    return cast(Callable[[], Any], info.default_factory)
