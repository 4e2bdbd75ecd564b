"""Making objects of dataclasses and pydantic models from their fields, by name."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from runs.engine.annotations.field_defaults import default_of, same
from runs.engine.errors import InvalidGraphError


def maker(kind: Any) -> Callable[..., Any]:
    """What makes an object of a class from its fields, given by name."""
    if hasattr(kind, "model_validate"):
        return partial(_checked, kind, _model_by_name if _knows_names() else _model)
    if hasattr(kind, "__pydantic_fields__"):
        return partial(_checked, kind, _with_the_rest)
    if not dataclasses.is_dataclass(kind) or all(each.init for each in dataclasses.fields(kind)):
        return partial(kind)
    return partial(_with_the_rest, kind)


def check_aliases(kind: Any, fields: Mapping[str, Any]) -> None:
    """Whether objects of a pydantic class can be made by the names of its fields."""
    aliased = _aliased(fields)
    if not aliased:
        return
    clash = [name for name, alias in aliased.items() if alias in fields and alias != name]
    if clash:
        raise InvalidGraphError(
            f"The alias of field {clash[0]!r} of {kind.__name__} is the name of another field. The "
            "keys of a state are the names of its fields: give it another alias."
        )
    if not hasattr(kind, "model_validate"):
        raise InvalidGraphError(
            f"{kind.__name__} is a pydantic dataclass with an alias ({next(iter(aliased))!r}), "
            "which cannot be made by the names of its fields: use a BaseModel, or no alias."
        )
    if not _knows_names():
        raise InvalidGraphError(
            f"{kind.__name__} has aliases, for which pydantic 2.11 is needed. Leave them out."
        )


def _aliased(fields: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: info.validation_alias or info.alias for name, info in fields.items()}
    return {name: alias if isinstance(alias, str) else "" for name, alias in found.items() if alias}


def _knows_names() -> bool:
    """Whether this pydantic can make objects by the names of fields that have aliases."""
    version = getattr(sys.modules.get("pydantic"), "VERSION", "0.0")
    return tuple(map(int, version.split(".")[:2])) >= (2, 11)


def _checked(kind: Any, make: Callable[..., Any], /, **fields: Any) -> Any:
    """What pydantic makes, which does not check the defaults of a class: nor are they checked here
    where a state has them from an object (`when: date = None`)."""
    try:
        return make(kind, **fields)
    except ValueError:
        given = {
            name: value for name, value in fields.items() if not _is_default(kind, name, value)
        }
        if len(given) == len(fields):
            raise
        return make(kind, **given)


def _is_default(kind: Any, name: str, value: Any) -> bool:
    default = default_of(kind, name)
    return default is not None and same(value, default())


def _model(kind: Any, /, **fields: Any) -> Any:
    return kind(**fields)


def _model_by_name(kind: Any, /, **fields: Any) -> Any:
    return kind.model_validate(fields, by_alias=True, by_name=True)


def _with_the_rest(kind: Any, /, **fields: Any) -> Any:
    """A dataclass of which some fields are not for its constructor."""
    late = {each.name for each in dataclasses.fields(kind) if not each.init}
    made = kind(**{name: value for name, value in fields.items() if name not in late})
    for name in late & fields.keys():
        object.__setattr__(made, name, fields[name])
    return made
